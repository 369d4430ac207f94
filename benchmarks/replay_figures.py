"""The figures of `replay.py`: their names, what was lost, and the table."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from replay_receiver import COUNTED, DROPPED
from rounds import summary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from rounds import Figures

BARE, OURS = "without telemetry", "otelext"
CPU, SECONDS, PEAK, GROWTH = "CPU, s", "took, s", "resident at most, MiB", "grown by, MiB"
LATE, OWN, TOTAL = "engine to schedule", "otelext to engine", "otelext to schedule"
MOMENTS = ("TTFT", "TPOT")
STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "median": statistics.median,
    "p99": lambda errors: sorted(errors)[math.ceil(0.99 * len(errors)) - 1],
    "max": max,
}


def errors(name: str, pairs: Iterable[tuple[Sequence[float], Sequence[float]]]) -> Figures:
    """How far the first of each pair of TTFT and TPOT are from the second, in seconds."""
    by_moment = zip(*([abs(one - other) for one, other in zip(*pair, strict=True)] for pair in pairs), strict=True)
    return {
        _figure(name, moment, statistic): of(found)
        for moment, found in zip(MOMENTS, by_moment, strict=True)
        for statistic, of in STATISTICS.items()
    }


def _figure(name: str, moment: str, statistic: str) -> str:
    return f"{name}: {moment} {statistic}"


def as_made(name: str) -> str:
    """The figure of how many of these were made."""
    return f"{name} made"


def as_received(name: str) -> str:
    """The figure of how many of them were received."""
    return f"{name} received"


def lost(rounds: Sequence[Mapping[str, Figures]]) -> list[str]:
    """A sentence for each thing that did not arrive as it was made."""
    sentences = []
    for number, one in enumerate(rounds, 1):
        figures = one[OURS]
        sentences += [
            f"round {number}: {figures[as_received(name)]:,.0f} {name} were received of {figures[as_made(name)]:,.0f} made"
            for name in COUNTED
            if figures[as_received(name)] != figures[as_made(name)]
        ]
        sentences += [f"round {number}: {name}: {figures[name]:,.0f}" for name in DROPPED if figures[name]]
    return sentences


def table(rounds: Sequence[Mapping[str, Figures]]) -> str:
    """All answers as Markdown."""

    def spread(values: Iterable[float], shown: str) -> str:
        told = summary(list(values))
        return f"**{told['median']:{shown}}** ({told['min']:{shown}} to {told['max']:{shown}})"

    lines = [
        f"| median (min to max) of {len(rounds)} rounds | {CPU} | of one core | to {BARE} | {PEAK} | {GROWTH} |",
        "| --- |" + " ---: |" * 5,
    ]
    for name in (BARE, OURS):
        found = [one[name] for one in rounds]
        cells = (
            spread((one[CPU] for one in found), ".2f"),
            spread((one[CPU] / one[SECONDS] for one in found), ".1%"),
            spread((one[name][CPU] / one[BARE][CPU] for one in rounds), ".3f"),
            spread((one[PEAK] for one in found), ".1f"),
            spread((one[GROWTH] for one in found), ".1f"),
        )
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    columns = [f"{moment} {statistic}" for moment in MOMENTS for statistic in STATISTICS]
    lines += [
        "",
        "| errors, µs: the middle round's median, the worst round's p99 and max | " + " | ".join(columns) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for name, error in ((BARE, LATE), (OURS, LATE), (OURS, OWN), (OURS, TOTAL)):
        shown = [_error([one[name] for one in rounds], error, moment, s) for moment in MOMENTS for s in STATISTICS]
        lines.append(f"| {error}, {name} | " + " | ".join(shown) + " |")
    lines += ["", "| over all rounds | made | received |", "| --- | ---: | ---: |"]
    for name in COUNTED:
        made, arrived = (sum(one[OURS][of(name)] for one in rounds) for of in (as_made, as_received))
        lines.append(f"| {name} | {made:,.0f} | {arrived:,.0f} |")
    lines += [f"| {name} | | {sum(one[OURS][name] for one in rounds):,.0f} |" for name in DROPPED]
    return "\n".join(lines) + "\n"


def _error(figures: Sequence[Figures], error: str, moment: str, statistic: str) -> str:
    name = _figure(error, moment, statistic)
    found = [one[name] * 1e6 for one in figures if name in one]
    if not found:
        return "none"
    return f"{statistics.median(found) if statistic == 'median' else max(found):,.2f}"
