"""Who used what: each active inference has an equal share of what its GPU uses."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from otelext.gpu.energy.steps import at

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otelext.gpu.energy.curve import Stretch
    from otelext.gpu.energy.steps import Step


class Numbers(NamedTuple):
    """How many inferences of another process are active: the moments of change, and what holds from each."""

    moments: Sequence[int]
    numbers: Sequence[float]


class Shares(NamedTuple):
    """What came of a stretch of time, in joules.

    Attributes:
        active: This process's part, by model and source.
        idle: What was used while nobody's inference was active, by source.
    """

    active: dict[tuple[str | None, str], float]
    idle: dict[str, float]


def shared_out(
    begin_ns: int, end_ns: int, curve: Iterable[Stretch], own: Sequence[Step], others: Sequence[Numbers]
) -> Shares:
    """Share out the energy of one GPU over a stretch of time.

    Args:
        begin_ns: Where it begins.
        end_ns: Where it ends.
        curve: The GPU's energy.
        own: This process's activity on this GPU.
        others: That of the others.
    """
    found = Shares({}, {})
    moments = [step.at_ns for step in own]
    changes = sorted({*moments, *(moment for other in others for moment in other.moments)})
    totals = [step.total for step in own]
    for stretch in curve:
        first, last = max(begin_ns, stretch.begin_ns), min(end_ns, stretch.end_ns)
        if first >= last:
            continue
        edges = [first, *(moment for moment in changes if first < moment < last), last]
        for from_ns, to_ns in pairwise(edges):
            joules = stretch.watts * (to_ns - from_ns) / 1e9
            everybody = at(moments, totals, from_ns) + sum(at(*other, from_ns) for other in others)
            if everybody <= 0:
                found.idle[stretch.source] = found.idle.get(stretch.source, 0.0) + joules
                continue
            for model, number in _active(own, moments, from_ns).items():
                key = model, stretch.source
                found.active[key] = found.active.get(key, 0.0) + joules * number / everybody
    return found


def _active(own: Sequence[Step], moments: Sequence[int], at_ns: int) -> dict[str | None, float]:
    place = int(at(moments, range(len(own)), at_ns)) if moments and at_ns >= moments[0] else -1
    return dict(own[place].active) if place >= 0 else {}
