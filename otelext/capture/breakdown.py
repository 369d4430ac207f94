"""The arithmetic of the TTFT breakdown: integer nanoseconds, parts that sum exactly."""

from __future__ import annotations

from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING

from otelext.semconv import UNATTRIBUTED_STAGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def split(
    start: int,
    first: int,
    stages: Iterable[tuple[int, int | None, str]],
    holds: Sequence[tuple[int, int]] = (),
) -> dict[str, int]:
    """Share the time from `start` to `first` out among the stages that were open.

    Every instant belongs to the open stages, split equally where several are open (odd nanoseconds go to
    the earliest), or to `unattributed`, as does every instant in which the consumer held a chunk.

    Args:
        start: Start of the inference, in nanoseconds.
        first: Arrival of the first chunk that holds output, on the same clock.
        stages: Top-level stages as (start, end or None while open, name), in any order.
        holds: Times in which the consumer held a chunk, as (start, end).

    Returns:
        Nanoseconds by stage name, `unattributed` always among them. The values sum to `first - start`.
    """
    # Stable: of stages that began at the same instant, the one opened first stays the earliest.
    spans = sorted(
        (
            (max(begin, start), first if end is None else min(end, first), name)
            for begin, end, name in stages
            if begin < first and (end is None or end > start)
        ),
        key=itemgetter(0),
    )
    parts = {UNATTRIBUTED_STAGE: 0}
    if not holds and _disjoint(spans):
        taken = 0
        for begin, end, name in spans:
            parts[name] = parts.get(name, 0) + end - begin
            taken += end - begin
        parts[UNATTRIBUTED_STAGE] += first - start - taken
        return parts

    held = [(max(begin, start), min(end, first)) for begin, end in holds if begin < first and end > start]
    edges = {start, first}
    edges.update(edge for begin, end, _ in spans for edge in (begin, end))
    edges.update(edge for hold in held for edge in hold)
    for left, right in pairwise(sorted(edges)):
        names = [name for begin, end, name in spans if begin <= left and end >= right]
        if not names or any(begin <= left and end >= right for begin, end in held):
            names = [UNATTRIBUTED_STAGE]
        share, odd = divmod(right - left, len(names))
        for name in names:
            parts[name] = parts.get(name, 0) + share
        parts[names[0]] += odd
    return parts


def _disjoint(spans: list[tuple[int, int, str]]) -> bool:
    return all(spans[i][1] <= spans[i + 1][0] for i in range(len(spans) - 1))
