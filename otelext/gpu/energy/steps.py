"""How many inferences are active at a time, as a step function."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Interval = tuple[str | None, int, int | None]
    """A model, and when its inference began and ended; None while it is open. Nanoseconds of one clock."""

Window = tuple[int, int]
"""Begin and end of a stretch of time, in nanoseconds."""

MOST: Final = 400
"""Inferences of one stretch of time that are told one by one; of more the mean of each slice is told."""
SLICES: Final = 200


class Step(NamedTuple):
    """What holds from a moment on, until the next step's.

    Attributes:
        at_ns: The moment.
        active: Inferences that are active, by model; a mean where it is no whole number.
    """

    at_ns: int
    active: Mapping[str | None, float]

    @property
    def total(self) -> float:
        """Of all models."""
        return sum(self.active.values())


def steps(begin_ns: int, end_ns: int, intervals: Iterable[Interval]) -> list[Step]:
    """The step function of a stretch of time, in which what an interval has outside of it doesn't count."""
    within = [
        (model, max(began, begin_ns), end_ns if ended is None else min(ended, end_ns))
        for model, began, ended in intervals
    ]
    within = [one for one in within if one[1] < one[2]]
    return _means(begin_ns, end_ns, within) if len(within) > MOST else _exact(begin_ns, within)


def _exact(begin_ns: int, within: Sequence[tuple[str | None, int, int]]) -> list[Step]:
    changes: dict[int, dict[str | None, int]] = {begin_ns: {}}
    for model, began, ended in within:
        for at_ns, change in ((began, 1), (ended, -1)):
            here = changes.setdefault(at_ns, {})
            here[model] = here.get(model, 0) + change
    found: list[Step] = []
    active: dict[str | None, float] = {}
    for at_ns in sorted(changes):
        for model, change in changes[at_ns].items():
            active[model] = active.get(model, 0) + change
        found.append(Step(at_ns, {model: number for model, number in active.items() if number}))
    return found


def _means(begin_ns: int, end_ns: int, within: Sequence[tuple[str | None, int, int]]) -> list[Step]:
    edges = [begin_ns + (end_ns - begin_ns) * i // SLICES for i in range(SLICES + 1)]
    time: list[dict[str | None, float]] = [{} for _ in range(SLICES)]
    for model, began, ended in within:
        for i in range(bisect_right(edges, began) - 1, SLICES):
            if edges[i] >= ended:
                break
            overlap = min(ended, edges[i + 1]) - max(began, edges[i])
            time[i][model] = time[i].get(model, 0.0) + overlap
    return [
        Step(edges[i], {model: spent / (edges[i + 1] - edges[i]) for model, spent in time[i].items()})
        for i in range(SLICES)
        if edges[i + 1] > edges[i]
    ]


def within(activity: Sequence[Step], windows: Sequence[Window]) -> list[Step]:
    """What is left of a step function where it counts in some windows of time alone; nothing is active between them."""
    moments = [step.at_ns for step in activity]
    found: list[Step] = []
    for begin_ns, end_ns in windows:
        first = bisect_right(moments, begin_ns) - 1
        found.append(Step(begin_ns, activity[first].active if first >= 0 else {}))
        found += (step for step in activity[first + 1 :] if step.at_ns < end_ns)
        found.append(Step(end_ns, {}))
    return found


def at(moments: Sequence[int], numbers: Sequence[float], at_ns: int) -> float:
    """The value of a step function at a moment, 0 before its first step."""
    place = bisect_right(moments, at_ns) - 1
    return numbers[place] if place >= 0 else 0.0
