"""How sure one may be that something does not grow: the slope of `long_run.py` and its interval."""

from __future__ import annotations

import statistics
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTS = 10
STUDENT = 2.262
"""The 97.5 % quantile of Student's distribution with 9 degrees of freedom, one less than there are parts."""


class Slope(NamedTuple):
    """What is added from one sample to the next, the ends of its 95 % interval, and how increments follow each other.

    `correlation` is that of neighbouring increments: about -0.1 where memory moves in steps at random moments, and down
    to -0.5 where it goes up and down around a line, as the interval is then wider than need be. Well above 0 it would
    be too narrow.
    """

    mean: float
    low: float
    high: float
    correlation: float


def slope(values: Sequence[float]) -> Slope:
    """The slope over samples at even distances, from their increments over ten parts.

    A regression line takes the samples, or the means of blocks of them, for independent of each other. Resident memory
    isn't: it goes up by a step at a random moment and stays there, and what looks like a straight line with small
    residuals is chance. Increments are what such steps leave independent, so that the interval is Student's around
    their mean: of a random walk it holds the drift as often as it says, and of values that fluctuate around a line more
    often. What does not fill a part is left out at the beginning.

    Args:
        values: More than ten.
    """
    size = (len(values) - 1) // PARTS
    ends = values[len(values) - 1 - size * PARTS :: size]
    increments = [(after - before) / size for before, after in pairwise(ends)]
    mean = statistics.fmean(increments)
    half = STUDENT * statistics.stdev(increments) / len(increments) ** 0.5
    off = [increment - mean for increment in increments]
    squares = sum(one * one for one in off)
    neighbours = sum(one * other for one, other in pairwise(off))
    return Slope(mean, mean - half, mean + half, neighbours / squares if squares else 0.0)
