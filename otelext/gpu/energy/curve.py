"""The energy of a GPU over time, between two samples of which it is used evenly."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otelext.gpu.snapshot import EnergySample

MOST_SAMPLES: Final = 64
"""Samples that are kept of each GPU."""


class Stretch(NamedTuple):
    """From one sample to the next.

    Attributes:
        begin_ns: When it begins.
        end_ns: When it ends.
        watts: What was used meanwhile.
        source: What tells it: `counter` or `power`.
    """

    begin_ns: int
    end_ns: int
    watts: float
    source: str


def stretches(samples: Sequence[EnergySample]) -> Iterator[Stretch]:
    """What is known of the energy; nothing between samples that can't be compared, and none across a reset."""
    for before, after in pairwise(samples):
        same = (before.source, before.epoch) == (after.source, after.epoch)
        if same and after.at_ns > before.at_ns and after.joules >= before.joules:
            watts = (after.joules - before.joules) / (after.at_ns - before.at_ns) * 1e9
            yield Stretch(before.at_ns, after.at_ns, watts, after.source)
