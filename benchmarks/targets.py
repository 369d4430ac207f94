"""The targets: what is measured, who measures it, and what it is at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rounds import MISSED, summary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NOISE = "the same once more: the noise"
HEAD = ("| target | at most | median | range | noise | met |", "| --- | ---: | ---: | ---: | ---: | --- |")
NOT_MEASURED = "not measured"
MEMORY_LIMIT, OBJECTS_LIMIT = 1000.0, 5.0
"""What `long_run.py` may keep for 1,000 inferences: bytes that are resident, and objects."""


@dataclass(frozen=True)
class Ended:
    """A program that has run.

    Attributes:
        status: Its exit status.
        printed: Its tables.
        found: What it wrote as JSON.
        seconds: What it took.
    """

    status: int
    printed: str
    found: Mapping[str, Any]
    seconds: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether it ended before all was measured."""
        return self.status not in {0, MISSED} or not self.found


@dataclass(frozen=True)
class Row:
    """A target and what became of it.

    Attributes:
        what: What is measured, and against what.
        cells: The table's other cells.
        met: Whether it is; None where there is none, or where nothing was measured.
    """

    what: str
    cells: Sequence[str]
    met: bool | None

    @property
    def measured(self) -> bool:
        """Whether there is a figure."""
        return NOT_MEASURED not in self.cells

    def __str__(self) -> str:
        return "| " + " | ".join((self.what, *self.cells)) + " |"


@dataclass(frozen=True)
class Target:
    """One target.

    Attributes:
        what: What is measured, and against what.
        program: Who measures it.
        contender: Its name there.
        figure: Its figure.
        limit: What it is at most; None where it is shown beside the others without a target of its own.
        base: The contender that is 1x, where that isn't the program's own.
    """

    what: str
    program: str
    contender: str
    figure: str
    limit: float | None
    base: str | None = None

    def row(self, ended: Mapping[str, Ended]) -> Row:
        """What became of it."""
        limit = "" if self.limit is None else f"{self.limit:.2f}"
        one = ended.get(self.program)
        if one is None or one.failed:
            return Row(self.what, (limit, NOT_MEASURED, "", "", "no target" if self.limit is None else ""), None)
        told, noise = self._told(one.found, self.contender), self._told(one.found, NOISE)
        met = None if self.limit is None else told["median"] <= self.limit
        cells = (
            limit,
            f"**{told['median']:.3f}**",
            f"{told['min']:.3f} to {told['max']:.3f}",
            f"{noise['median']:.3f}" if self.base is None else "",
            _met(met),
        )
        return Row(self.what, cells, met)

    def _told(self, found: Mapping[str, Any], contender: str) -> Mapping[str, float]:
        base = found["base"] if self.base is None else self.base
        return summary([one[contender][self.figure] / one[base][self.figure] for one in found["rounds"]])


RAW, LEAN, BARE = "the same by hand", "the leanest by hand", "the same without telemetry"
NO_CONTEXT = "leanest by hand, no context"
TARGETS = (
    Target(f"request path, to {RAW}", "request_path", "otelext", "request path", 0.12),
    Target(f"total CPU, worker included, to {RAW}", "request_path", "otelext", "total CPU", 0.35),
    Target(
        f"total CPU, each request emitted alone, to {RAW}",
        "request_path",
        "otelext, each request emitted alone",
        "total CPU",
        None,
    ),
    Target(
        f"total CPU, with the log line of each inference, to {RAW}",
        "request_path",
        "otelext, with a line of each",
        "total CPU",
        None,
    ),
    Target(f"a token of a generator, to {LEAN}", "per_token", "otelext", "generator", 1.1),
    Target(f"the lower bound of a generator's token, to {LEAN}", "per_token", "lower bound", "generator", None),
    Target(
        f"a token of a generator, to {LEAN} without a context of its own",
        "per_token",
        "otelext",
        "generator",
        None,
        NO_CONTEXT,
    ),
    Target(f"a token of an async generator, to {LEAN}", "per_token", "otelext", "async generator", 1.1),
    Target(f"the lower bound of an async generator's, to {LEAN}", "per_token", "lower bound", "async generator", None),
    Target(
        f"a token of an async generator, to {LEAN} without a context of its own",
        "per_token",
        "otelext",
        "async generator",
        None,
        NO_CONTEXT,
    ),
    Target(f"a token of `stream()`, to {LEAN}", "per_token", "otelext", "stream()", None),
    Target(f"a token of a callback, to {LEAN}", "per_token", "otelext", "callback", None),
    Target(
        "import and `configure(instrument=False)`, to the SDK alone",
        "start",
        "import otelext, configure(instrument=False)",
        "CPU",
        1.1,
    ),
    Target("a log line as JSON, to plain JSON logging", "log_line", "otelext, JSON", "arguments", None),
    Target(
        "the same, to plain JSON logging with ids and fields",
        "log_line",
        "otelext, JSON",
        "arguments",
        None,
        "plain JSON, with ids and fields",
    ),
    Target(
        "a log line as JSON and as OTLP, to plain JSON logging", "log_line", "otelext, JSON and OTLP", "arguments", None
    ),
    Target(f"CPU of 200 streams in one loop, to {BARE}", "streams", "otelext", "CPU", 1.4),
    Target(f"their event loop's lag at p99, to {BARE}", "streams", "otelext", "lag p99", 2.0),
    Target(f"CPU of 200 streams under uvicorn, to {BARE}", "streams_uvicorn", "otelext", "CPU", None),
    Target(f"the server's event loop's lag at p99, to {BARE}", "streams_uvicorn", "otelext", "lag p99", None),
)


def rows(ended: Mapping[str, Ended]) -> list[Row]:
    """What became of each target."""
    return [*(target.row(ended) for target in TARGETS), _lost(ended.get("replay")), *_long_run(ended.get("long_run"))]


def _lost(replay: Ended | None) -> Row:
    what = "spans, counts or values lost in the replay"
    if replay is None or replay.failed:
        return Row(what, ("0", NOT_MEASURED, "", "", ""), None)
    met = replay.status == 0
    return Row(what, ("0", f"**{'0' if met else 'some'}**", "", "", _met(met)), met)


def _long_run(long_run: Ended | None) -> list[Row]:
    found = []
    for figure, what, limit, shown in (
        ("resident", "memory kept for 1,000 inferences, upper end of the 95 % interval, bytes", MEMORY_LIMIT, ",.0f"),
        ("malloc", "the same of memory in use by `malloc`", MEMORY_LIMIT, ",.0f"),
        ("objects", "the same of objects in use by Python", OBJECTS_LIMIT, ",.1f"),
    ):
        at_most = f"{limit:,.0f}"
        if long_run is None or long_run.failed:
            found.append(Row(what, (at_most, NOT_MEASURED, "", "", ""), None))
            continue
        high = long_run.found["slopes"][figure]["high"]
        found.append(Row(what, (at_most, f"**{high:{shown}}**", "", "", _met(high < limit)), high < limit))
    what = "descriptors, threads and counts that are wrong after the long run"
    if long_run is None or long_run.failed:
        return [*found, Row(what, ("0", NOT_MEASURED, "", "", ""), None)]
    wrong = len(long_run.found["wrong"])
    return [*found, Row(what, ("0", f"**{wrong}**", "", "", _met(not wrong)), not wrong)]


def _met(met: bool | None) -> str:
    return "no target" if met is None else "yes" if met else "**no**"
