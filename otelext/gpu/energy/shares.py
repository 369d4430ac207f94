"""Who gets how much of a GPU's energy: arithmetic alone, without a clock or a file."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Piece(NamedTuple):
    """Energy that a GPU used evenly over a time.

    Attributes:
        start_ns: Its beginning.
        end_ns: Its end, later than the beginning.
        joules: What was used in it.
        source: `counter` or `power`.
    """

    start_ns: int
    end_ns: int
    joules: float
    source: str


class Slice(NamedTuple):
    """A time in which one process had the same number of inferences active.

    Attributes:
        start_ns: Its beginning.
        end_ns: Its end, later than the beginning.
        number: How many; no whole number where shorter times were merged.
        gpus: UUIDs of the physical GPUs that the process used.
    """

    start_ns: int
    end_ns: int
    number: float
    gpus: frozenset[str]


class Work(NamedTuple):
    """A slice of this process, by model.

    Attributes:
        slice: As others see it.
        models: Its number by model; they add up to that of the slice.
    """

    slice: Slice
    models: Mapping[str | None, float]


class Shares(NamedTuple):
    """Joules of one GPU and window.

    Attributes:
        active: This process's, by model and source.
        idle: Nobody's, by source.
    """

    active: dict[tuple[str | None, str], float]
    idle: dict[str, float]


def shares(
    pieces: Iterable[Piece],
    own: Sequence[Work],
    others: Iterable[Sequence[Slice]],
    active_ns: tuple[int, int],
    idle_ns: tuple[int, int],
) -> Shares:
    """What this process gets of a GPU's energy, and what nobody does.

    Args:
        pieces: The GPU's energy; they don't overlap.
        own: What this process did on the GPU, in order of time; between slices nothing was active.
        others: The same of each other process.
        active_ns: From when to when this process's share is asked.
        idle_ns: The same of what nobody gets; of the same beginning and end for none.
    """
    active: dict[tuple[str | None, str], float] = defaultdict(float)
    idle: dict[str, float] = defaultdict(float)
    start, end = min(active_ns[0], idle_ns[0]), max(active_ns[1], idle_ns[1])
    lanes = [_within([work.slice for work in own], start, end), *(_within(other, start, end) for other in others)]
    models = {work.slice.start_ns: work.models for work in own}
    for piece in pieces:
        if piece.start_ns >= end or piece.end_ns <= start:
            continue
        cuts = {piece.start_ns, piece.end_ns, *active_ns, *idle_ns}
        cuts.update(moment for lane in lanes for one in lane for moment in one[:2])
        moments = sorted(cut for cut in cuts if piece.start_ns <= cut <= piece.end_ns)
        cursors = [_Cursor(lane) for lane in lanes]
        for left, right in pairwise(moments):
            joules = piece.joules * ((right - left) / (piece.end_ns - piece.start_ns))
            present = [cursor.at(left) for cursor in cursors]
            number = sum(one.number for one in present if one is not None)
            if number <= 0:
                if idle_ns[0] <= left < idle_ns[1]:
                    idle[piece.source] += joules
            elif present[0] is not None and active_ns[0] <= left < active_ns[1]:
                for model, part in models[present[0].start_ns].items():
                    active[model, piece.source] += joules * (part / number)
    return Shares(dict(active), dict(idle))


class _Cursor:
    """Reads the slices of one process in order of time."""

    __slots__ = ("_place", "_slices")

    def __init__(self, slices: Sequence[Slice]) -> None:
        self._slices = slices
        self._place = 0

    def at(self, moment_ns: int) -> Slice | None:
        while self._place < len(self._slices) and self._slices[self._place].end_ns <= moment_ns:
            self._place += 1
        if self._place < len(self._slices) and self._slices[self._place].start_ns <= moment_ns:
            return self._slices[self._place]
        return None


def _within(slices: Iterable[Slice], start_ns: int, end_ns: int) -> list[Slice]:
    return [one for one in slices if one.start_ns < end_ns and one.end_ns > start_ns]
