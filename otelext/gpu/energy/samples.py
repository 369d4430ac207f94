"""The published curve of joules of each GPU: what the lease holder reads, and the next one goes on with."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otelext import semconv
from otelext.gpu.energy.shares import Piece
from otelext.gpu.snapshot import EnergySample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_SAMPLES: Final = 32
_GPUS: Final = 64
_TEXT: Final = 100
_SOURCES: Final = (semconv.ENERGY_FROM_COUNTER, semconv.ENERGY_FROM_POWER)
_WATTS: Final = 100_000
"""More than any GPU draws: a difference above it is none of energy."""


class Curve(NamedTuple):
    """The joules of one GPU.

    Attributes:
        samples: In order of time, the latest few.
        idle_to_ns: Up to when holders have counted what was idle.
        longest_ns: The longest time between two samples over which a straight line stands for what was.
    """

    samples: tuple[EnergySample, ...]
    idle_to_ns: int
    longest_ns: int

    @property
    def to_ns(self) -> int:
        """Up to when it is known."""
        return self.samples[-1].at_ns

    def pieces(self) -> Iterator[Piece]:
        """What is known of it. A counter that was set back, or two readers' integrals of power, leave a gap."""
        for left, right in pairwise(self.samples):
            nanoseconds, joules = right.at_ns - left.at_ns, right.joules - left.joules
            if (
                (left.source, left.epoch) == (right.source, right.epoch)
                and nanoseconds <= self.longest_ns
                and 0 <= joules * 1e9 <= _WATTS * nanoseconds
            ):
                yield Piece(left.at_ns, right.at_ns, joules, left.source)


def continued(curve: Curve | None, sample: EnergySample, longest_ns: int) -> Curve:
    """A curve with one more sample, if that is newer; begun where there was none."""
    if curve is None:
        return Curve((sample,), 0, longest_ns)
    if sample.at_ns <= curve.to_ns:
        return curve
    return Curve((*curve.samples[1 - _SAMPLES :], sample), curve.idle_to_ns, longest_ns)


def newest(*many: Mapping[str, Curve]) -> dict[str, Curve]:
    """Of several holders' curves by GPU, those that go furthest."""
    found: dict[str, Curve] = {}
    for curves in many:
        for gpu, curve in curves.items():
            known = found.get(gpu)
            if known is None or (known.to_ns, known.idle_to_ns) < (curve.to_ns, curve.idle_to_ns):
                found[gpu] = curve
    return found


def document(curves: Mapping[str, Curve]) -> Any:
    """What is published of them."""
    return {
        gpu: {"idle_to_ns": curve.idle_to_ns, "longest_ns": curve.longest_ns, "samples": [*map(list, curve.samples)]}
        for gpu, curve in list(curves.items())[:_GPUS]
    }


def parse(told: Any, now_ns: int) -> dict[str, Curve]:
    """The curves of a document, without those that can't be."""
    found: dict[str, Curve] = {}
    if not isinstance(told, dict) or len(told) > _GPUS:
        return found
    for gpu, curve in told.items():
        if len(gpu) > _TEXT or not isinstance(curve, dict) or not isinstance(curve.get("samples"), list):
            continue
        idle_to_ns, longest_ns = curve.get("idle_to_ns"), curve.get("longest_ns")
        samples = [*map(_sample, curve["samples"][-_SAMPLES:])]
        whole = [sample for sample in samples if sample is not None]
        if (
            isinstance(idle_to_ns, int)
            and isinstance(longest_ns, int)
            and whole
            and len(whole) == len(samples)
            and _ordered(sample.at_ns for sample in whole)
            and max(whole[-1].at_ns, idle_to_ns) <= now_ns
        ):
            found[gpu] = Curve(tuple(whole), idle_to_ns, longest_ns)
    return found


def _sample(told: Any) -> EnergySample | None:
    if not isinstance(told, list) or len(told) != len(EnergySample._fields):
        return None
    at_ns, joules, source, epoch = told
    if (
        isinstance(at_ns, int)
        and isinstance(joules, (int, float))
        and math.isfinite(joules)
        and source in _SOURCES
        and isinstance(epoch, str)
        and len(epoch) <= _TEXT
    ):
        return EnergySample(at_ns, float(joules), source, epoch)
    return None


def _ordered(moments: Iterable[int]) -> bool:
    return all(left < right for left, right in pairwise(moments))
