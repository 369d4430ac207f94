"""The arithmetic of the TTFT breakdown: integer nanoseconds, parts that sum exactly."""

from __future__ import annotations

from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING

from otelext.semconv import UNATTRIBUTED_STAGE

if TYPE_CHECKING:
    from collections.abc import Sequence


def split(
    start: int,
    first: int,
    stages: Sequence[tuple[int, int | None, str]],
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
    if not holds and (parts := _in_a_row(start, first, stages)) is not None:
        return parts
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


def _in_a_row(start: int, first: int, stages: Sequence[tuple[int, int | None, str]]) -> dict[str, int] | None:
    """The parts where one stage follows the other, as nearly always; else None."""
    parts = {UNATTRIBUTED_STAGE: first - start}
    edge = start
    for begin, end, name in stages:
        if begin >= first or (end is not None and end <= start):
            continue
        if begin < edge:
            if edge > start:
                return None
            begin = start  # noqa: PLW2901  # a stage that another thread began before the inference did
        edge = first if end is None or end > first else end
        parts[name] = parts.get(name, 0) + edge - begin
        parts[UNATTRIBUTED_STAGE] -= edge - begin
    return parts
