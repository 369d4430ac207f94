"""The inferences of this process, as slices of time in which their number stays the same."""

from __future__ import annotations

from collections import Counter, defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from otelext.gpu.energy.shares import Slice, Work

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

SLICES: Final = 150
"""Slices that one pass may add: what is published of twelve intervals stays bounded."""


class Interval(NamedTuple):
    """An inference.

    Attributes:
        model: Its model, where it has one.
        start_ns: When it began.
        end_ns: When it ended; None while it is active.
    """

    model: str | None
    start_ns: int
    end_ns: int | None


def work(
    intervals: Iterable[Interval], gpus: frozenset[str], start_ns: int, end_ns: int, limit: int = SLICES
) -> tuple[Work, ...]:
    """What was active between two moments, in order of time; nothing where none was.

    Where the numbers change more often than the limit allows, times of equal length take the place of the times between
    changes, with the mean number over each: sums over time stay the same.
    """
    changes: dict[int, Counter[str | None]] = defaultdict(Counter)
    for model, began, ended in intervals:
        left, right = max(began, start_ns), end_ns if ended is None else min(ended, end_ns)
        if left < right:
            changes[left][model] += 1
            changes[right][model] -= 1
    steps = list(_steps(changes))
    if len(steps) > limit:
        steps = list(_merged(steps, start_ns, end_ns, limit))
    return tuple(Work(Slice(left, right, sum(models.values()), gpus), models) for left, right, models in steps)


def _steps(changes: Mapping[int, Counter[str | None]]) -> Iterator[tuple[int, int, dict[str | None, float]]]:
    moments = sorted(changes)
    active: Counter[str | None] = Counter()
    for left, right in pairwise(moments):
        active.update(changes[left])
        models: dict[str | None, float] = {model: number for model, number in active.items() if number}
        if models:
            yield left, right, models


def _merged(
    steps: Iterable[tuple[int, int, Mapping[str | None, float]]], start_ns: int, end_ns: int, limit: int
) -> Iterator[tuple[int, int, dict[str | None, float]]]:
    bounds = [start_ns + (end_ns - start_ns) * place // limit for place in range(limit + 1)]
    sums: list[dict[str | None, int]] = [{} for _ in range(limit)]
    place = 0
    for left, right, models in steps:
        while bounds[place + 1] <= left:
            place += 1
        at = place
        while at < limit and bounds[at] < right:
            overlap = min(right, bounds[at + 1]) - max(left, bounds[at])
            for model, number in models.items():
                sums[at][model] = sums[at].get(model, 0) + int(number) * overlap
            at += 1
    for at, total in enumerate(sums):
        if total:
            length = bounds[at + 1] - bounds[at]
            yield bounds[at], bounds[at + 1], {model: count / length for model, count in total.items()}
