"""What one process publishes of its inferences: how many were active when, and on which GPUs. No model's name leaves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otelext.gpu.energy.shares import Slice

if TYPE_CHECKING:
    from collections.abc import Sequence

SLICES: Final = 2000
SETS: Final = 16
GPUS: Final = 64
"""Of slices, of different sets of GPUs, and of GPUs in a set: what one process may publish."""
_TEXT: Final = 100
SHORTEST_NS: Final = 10**7
LONGEST_NS: Final = 600 * 10**9
"""Intervals that are believed."""
_MOST: Final = 1e6


class Activity(NamedTuple):
    """The published word of a process.

    Attributes:
        published_to_ns: Up to when it is told; nothing before that changes any more.
        dropped_to_ns: Up to when it is no longer told; 0 where all is.
        interval_ns: How often the process means to publish.
        slices: When inferences were active, in order of time; in between none were.
    """

    published_to_ns: int
    dropped_to_ns: int
    interval_ns: int
    slices: tuple[Slice, ...]


def bounded(slices: Sequence[Slice], from_ns: int) -> int:
    """How many of the oldest slices must go: those before a moment, and those that are too many."""
    kept = 0
    sets: set[frozenset[str]] = set()
    for one in reversed(slices):
        sets.add(one.gpus)
        if one.end_ns <= from_ns or kept == SLICES or len(sets) > SETS:
            break
        kept += 1
    return len(slices) - kept


def document(activity: Activity) -> Any:
    """What is published of it."""
    sets: dict[frozenset[str], int] = {}
    slices = [(one.start_ns, one.end_ns, one.number, sets.setdefault(one.gpus, len(sets))) for one in activity.slices]
    return {
        "published_to_ns": activity.published_to_ns,
        "dropped_to_ns": activity.dropped_to_ns,
        "interval_ns": activity.interval_ns,
        "gpus": [sorted(gpus) for gpus in sets],
        "slices": slices,
    }


def parse(told: Any, now_ns: int) -> Activity | None:
    """The activity of a document; None where it can't be one."""
    if not isinstance(told, dict):
        return None
    published_to_ns, dropped_to_ns, interval_ns, gpus, slices = (
        told.get(name) for name in ("published_to_ns", "dropped_to_ns", "interval_ns", "gpus", "slices")
    )
    if (
        not isinstance(published_to_ns, int)
        or not isinstance(dropped_to_ns, int)
        or not isinstance(interval_ns, int)
        or not 0 <= dropped_to_ns <= published_to_ns <= now_ns
        or not SHORTEST_NS <= interval_ns <= LONGEST_NS
        or not isinstance(gpus, list)
        or not isinstance(slices, list)
        or max(len(gpus) - SETS, len(slices) - SLICES) > 0
    ):
        return None
    sets = [_set(one) for one in gpus]
    found, last_ns = [], dropped_to_ns
    for one in slices:
        read = _slice(one, sets)
        if read is None or read.start_ns < last_ns or read.end_ns > published_to_ns:
            return None
        found.append(read)
        last_ns = read.end_ns
    return Activity(published_to_ns, dropped_to_ns, interval_ns, tuple(found))


def _set(told: Any) -> frozenset[str] | None:
    if (
        not isinstance(told, list)
        or len(told) > GPUS
        or not all(isinstance(gpu, str) and len(gpu) <= _TEXT for gpu in told)
    ):
        return None
    return frozenset(told)


def _slice(told: Any, sets: Sequence[frozenset[str] | None]) -> Slice | None:
    if not isinstance(told, list) or len(told) != len(Slice._fields):
        return None
    start_ns, end_ns, number, place = told
    if (
        not isinstance(start_ns, int)
        or not isinstance(end_ns, int)
        or not isinstance(number, (int, float))
        or not isinstance(place, int)
        or not start_ns < end_ns
        or not (math.isfinite(number) and 0 <= number <= _MOST)
        or not 0 <= place < len(sets)
    ):
        return None
    gpus = sets[place]
    return None if gpus is None else Slice(start_ns, end_ns, number, gpus)
