"""Holds the telemetry against what the clients wrote down themselves and against the engine's own clock."""

from __future__ import annotations

import json
import statistics
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from otelext import semconv

from .client import BROKEN, HANGING_UP, SLOW, TWIN, Outcome

MOST_TPOT_DIFFERENCE: Final = 0.20
MOST_WAIT_DIFFERENCE: Final = 0.10
MOST_PREFILL_DIFFERENCE_SECONDS: Final = 0.005
MOST_ENGINE_DIFFERENCE: Final = 0.03


@dataclass(frozen=True)
class Measured:
    """One inference as the telemetry has it; durations in seconds, None where there is none.

    Attributes:
        request_id: The client's name for the request.
        outcome: How it ended.
        tpot: Time per output token.
        consumer_wait: Time for which it waited for its client.
        prefill: Duration of its prefill stage.
        error: `error.type`.
    """

    request_id: str
    outcome: str
    tpot: float | None
    consumer_wait: float | None
    prefill: float | None
    error: str | None


@dataclass(frozen=True)
class Finding:
    """One comparison, in words with its figures."""

    holds: bool
    text: str


class Viewer:
    """Asks a running viewer.

    Args:
        url: Its address.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def get(self, path: str) -> Any:  # JSON
        """The answer to a GET.

        Raises:
            OSError: No viewer answers.
        """
        # Proxies of the environment are for the outer world.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self._url + path, timeout=30) as answer:
            return json.load(answer)

    def inferences(self) -> list[dict[str, Any]]:
        """Every inference, the last one first."""
        found: list[dict[str, Any]] = []
        page = self.get("/api/inferences?limit=1000")
        found += page["inferences"]
        while page["next"]:
            page = self.get(f"/api/inferences?limit=1000&cursor={page['next']}")
            found += page["inferences"]
        return found

    def counted(self) -> int:
        """Inferences that the metrics count."""
        total: int = self.get("/api/report?since=all")["requests"]["total"]
        return total

    def measured(self) -> dict[str, Measured]:
        """Every inference with a request id, by that id."""
        found = {}
        for inference in self.inferences():
            spans = self.get(f"/api/traces/{inference['trace_id']}")["spans"]
            of_inference = next(span for span in spans if span["span_id"] == inference["span_id"])
            attributes = of_inference["attributes"]
            prefill = [s for s in spans if s["stage"] == "prefill" and s["parent_id"] == inference["span_id"]]
            if (name := attributes.get(semconv.REQUEST_ID)) is not None:
                found[name] = Measured(
                    request_id=name,
                    outcome=inference["outcome"],
                    tpot=inference["tpot_s"],
                    consumer_wait=inference["consumer_wait_s"],
                    prefill=(prefill[0]["end_ns"] - prefill[0]["start_ns"]) / 1e9 if prefill else None,
                    error=attributes.get(semconv.ERROR_TYPE),
                )
        return found


def compare(outcomes: Sequence[Outcome], measured: Mapping[str, Measured], critical_field_errors: int) -> list[Finding]:
    """Every comparison that the outcomes allow.

    Args:
        outcomes: What the clients saw.
        measured: What the telemetry holds, by request id.
        critical_field_errors: What the telemetry counts of them.
    """
    pairs = [(outcome, measured[outcome.name]) for outcome in outcomes if outcome.name in measured]
    found = [
        Finding(
            len(pairs) == len(outcomes),
            f"requests: the clients sent {len(outcomes)}, the traces hold {len(pairs)} of them",
        )
    ]
    found += _tpot_of_slow_readers(pairs)
    found += _consumer_wait(pairs)
    found += _hang_ups(pairs)
    found += _broken(pairs)
    found += _engine(pairs)
    seen = critical_field_errors_seen(outcomes)
    found.append(
        Finding(
            seen == critical_field_errors,
            f"critical-field errors: the clients count {seen} in the answers, the metrics {critical_field_errors}",
        )
    )
    return found


def events_of(outcome: Outcome) -> Iterator[dict[str, Any]]:
    """The JSON of the server-sent events that a client received whole."""
    for block in outcome.body.decode(errors="replace").split("\n\n")[:-1]:
        for line in block.splitlines():
            if line.startswith("data: {"):
                yield json.loads(line.removeprefix("data: "))


def timings_of(outcome: Outcome) -> dict[str, Any] | None:
    """The engine's own timings at the end of an answer."""
    return next((event["timings"] for event in events_of(outcome) if event.get("timings")), None)


def critical_field_errors_seen(outcomes: Sequence[Outcome]) -> int:
    """Fields that the answers themselves call wrong."""
    return sum(
        field["correct"] is False
        for outcome in outcomes
        for event in events_of(outcome)
        for field in event.get("fields", ())
    )


def _tpot_of_slow_readers(pairs: Sequence[tuple[Outcome, Measured]]) -> Iterator[Finding]:
    slow, twins = (_figures(pairs, kind, lambda m: m.tpot) for kind in (SLOW, TWIN))
    own_slow, own_twins = (_engine_tpots(pairs, kind) for kind in (SLOW, TWIN))
    if not (slow and twins and own_slow and own_twins):
        return
    ours = statistics.median(slow) / statistics.median(twins) - 1
    engine = statistics.median(own_slow) / statistics.median(own_twins) - 1
    yield Finding(
        # The engine's own clock tells a machine that was slower meanwhile from a client that leaked into the figure.
        abs(ours) <= MOST_TPOT_DIFFERENCE or abs(ours - engine) <= MOST_ENGINE_DIFFERENCE,
        f"TPOT: slow readers {statistics.median(slow) * 1e3:.1f} ms, the same requests read quickly "
        f"{statistics.median(twins) * 1e3:.1f} ms: {ours:+.1%} (the engine's own clock: {engine:+.1%})",
    )


def _consumer_wait(pairs: Sequence[tuple[Outcome, Measured]]) -> Iterator[Finding]:
    for outcome, measured in pairs:
        if outcome.behaviour == SLOW and measured.consumer_wait is not None and outcome.paused:
            difference = measured.consumer_wait / outcome.paused - 1
            yield Finding(
                abs(difference) <= MOST_WAIT_DIFFERENCE,
                f"consumer wait of {outcome.name}: telemetry {measured.consumer_wait:.2f} s, "
                f"the client's log {outcome.paused:.2f} s: {difference:+.1%}",
            )


def _hang_ups(pairs: Sequence[tuple[Outcome, Measured]]) -> Iterator[Finding]:
    outcomes = [measured.outcome for outcome, measured in pairs if outcome.behaviour == HANGING_UP]
    right = outcomes.count(semconv.Outcome.CLIENT_DISCONNECTED.value)
    if outcomes:
        yield Finding(right == len(outcomes), f"hang-ups: {right} of {len(outcomes)} are client_disconnected")


def _broken(pairs: Sequence[tuple[Outcome, Measured]]) -> Iterator[Finding]:
    of_broken = [measured for outcome, measured in pairs if outcome.behaviour == BROKEN]
    right = [m for m in of_broken if m.outcome == semconv.Outcome.ERROR.value and m.error]
    if of_broken:
        kinds = ", ".join(sorted({m.error.rpartition(".")[2] for m in right if m.error}))
        yield Finding(
            len(right) == len(of_broken), f"broken files: {len(right)} of {len(of_broken)} are errors ({kinds})"
        )


def _engine(pairs: Sequence[tuple[Outcome, Measured]]) -> Iterator[Finding]:
    prefill, tpot = [], []
    for outcome, measured in pairs:
        timings = timings_of(outcome)
        if timings is None or measured.prefill is None or measured.tpot is None:
            continue
        prefill.append(measured.prefill - timings["prompt_ms"] / 1e3)
        tpot.append(measured.tpot / (timings["predicted_ms"] / 1e3 / (timings["predicted_n"] - 1)) - 1)
    if not prefill:
        return
    yield Finding(
        abs(statistics.median(prefill)) <= MOST_PREFILL_DIFFERENCE_SECONDS,
        f"prefill: {statistics.median(prefill) * 1e3:+.2f} ms from llama.cpp's own, "
        f"at the median of {len(prefill)} requests",
    )
    yield Finding(
        abs(statistics.median(tpot)) <= MOST_ENGINE_DIFFERENCE,
        f"TPOT: {statistics.median(tpot):+.2%} from llama.cpp's own, at the median of {len(tpot)} requests",
    )


def _figures(
    pairs: Sequence[tuple[Outcome, Measured]], behaviour: str, figure: Callable[[Measured], float | None]
) -> list[float]:
    figures = (figure(measured) for outcome, measured in pairs if outcome.behaviour == behaviour)
    return [value for value in figures if value is not None]


def _engine_tpots(pairs: Sequence[tuple[Outcome, Measured]], behaviour: str) -> list[float]:
    timings = (timings_of(outcome) for outcome, _ in pairs if outcome.behaviour == behaviour)
    return [t["predicted_ms"] / 1e3 / (t["predicted_n"] - 1) for t in timings if t is not None]
