"""Distributions: histograms that can be added, subtracted and asked for quantiles.

Quantiles of histograms follow Prometheus's `histogram_quantile`
(https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile): linear interpolation in
the bucket that holds the rank, from 0 in the lowest one, and the highest bound for ranks beyond it.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


LARGEST_BOUND: Final = 1e300
"""How far from 0 a bound may lie: the difference of any two, and sums of many, are finite."""


@dataclass(frozen=True)
class Quantile:
    """A quantile and how sure it is.

    Attributes:
        value: In the histogram's unit.
        beyond: Whether the true value lies somewhere above `value`, past the highest bound.
    """

    value: float
    beyond: bool = False


@dataclass(frozen=True)
class Histogram:
    """Counts between explicit bounds.

    Attributes:
        bounds: Upper bounds, growing; each bucket holds what is at most its bound.
        counts: One count a bound, and one of what lies above all bounds.
        sum: Sum of all values, in the unit of the bounds.
    """

    bounds: tuple[float, ...] = ()
    counts: tuple[float, ...] = (0.0,)
    sum: float = 0.0

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.bounds) + 1:
            raise ValueError(f"{len(self.counts)} counts for {len(self.bounds)} bounds, must be one more than bounds")

    @property
    def count(self) -> float:
        """How many values there are."""
        return sum(self.counts)

    @property
    def mean(self) -> float | None:
        """Sum over count, None without values."""
        return self.sum / self.count if self.count else None

    def plus(self, other: Histogram) -> Histogram:
        """Both together. Where bounds differ, counts are shared out evenly within a bucket, as a quantile does."""
        if not self.count:
            return other
        if not other.count:
            return self
        total = self.sum + other.sum
        if self.bounds == other.bounds:
            counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
            return Histogram(self.bounds, counts, total)
        bounds = tuple(sorted({*self.bounds, *other.bounds}))
        left, right = self._on(bounds), other._on(bounds)
        return Histogram(bounds, tuple(a + b for a, b in zip(left, right, strict=True)), total)

    def minus(self, earlier: Histogram) -> Histogram:
        """What came since an earlier reading of the same stream; all of it when the bounds were others then."""
        if self.bounds != earlier.bounds:
            return self
        counts = tuple(a - b for a, b in zip(self.counts, earlier.counts, strict=True))
        return Histogram(self.bounds, counts, self.sum - earlier.sum)

    def quantile(self, q: float) -> Quantile | None:
        """The value below which the share `q` (0 to 1) lies, None without values or bounds."""
        total = self.count
        if not total or not self.bounds:
            return None
        rank = q * total
        below = 0.0
        lower = 0.0 if self.bounds[0] > 0 else self.bounds[0]
        for bound, count in zip(self.bounds, self.counts, strict=False):
            if count and below + count >= rank:
                return Quantile(lower + (bound - lower) * max(0.0, rank - below) / count)
            below += count
            lower = bound
        return Quantile(self.bounds[-1], beyond=True)

    def _on(self, bounds: tuple[float, ...]) -> list[float]:
        """Counts on finer bounds that include this histogram's own."""
        counts = [0.0] * (len(bounds) + 1)
        counts[-1] = self.counts[-1]
        lower = min(0.0, bounds[0])
        for bound, count in zip(self.bounds, self.counts, strict=False):
            if count:
                inside = [i for i, edge in enumerate(bounds) if lower < edge <= bound] or [bounds.index(bound)]
                edges = [lower, *(bounds[i] for i in inside)]
                width = bound - lower
                for i, (left, right) in zip(inside, itertools.pairwise(edges), strict=True):
                    counts[i] += count * ((right - left) / width if width > 0 else 1.0)
            lower = bound
        return counts


@dataclass(frozen=True)
class ExponentialHistogram:
    """Counts in buckets that grow by a factor of `2 ** 2 ** -scale`.

    https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram

    Attributes:
        scale: Resolution.
        zero: Values too small to tell from zero.
        positive: Counts by bucket index: index i holds (base ** i, base ** (i + 1)].
        negative: The same for the magnitudes of negative values.
        sum: Sum of all values.
    """

    scale: int
    zero: float
    positive: Mapping[int, float]
    negative: Mapping[int, float]
    sum: float

    def minus(self, earlier: ExponentialHistogram) -> ExponentialHistogram:
        """What came since an earlier reading, at the coarser scale of the two."""
        scale = min(self.scale, earlier.scale)
        positive = Counter(_at_scale(self.positive, self.scale, scale))
        positive.subtract(_at_scale(earlier.positive, earlier.scale, scale))
        negative = Counter(_at_scale(self.negative, self.scale, scale))
        negative.subtract(_at_scale(earlier.negative, earlier.scale, scale))
        return ExponentialHistogram(scale, self.zero - earlier.zero, positive, negative, self.sum - earlier.sum)

    def explicit(self) -> Histogram:
        """The same counts between explicit bounds; the zero bucket ends at 0, and bounds at `LARGEST_BOUND`."""
        counts: dict[float, float] = {}
        for index, count in self.negative.items():
            if count:
                # The magnitudes (base ** i, base ** (i + 1)] are the values [-base ** (i + 1), -base ** i).
                counts.setdefault(-self._edge(index + 1), 0.0)
                upper = -self._edge(index)
                counts[upper] = counts.get(upper, 0.0) + count
        if self.zero or self.negative:
            counts[0.0] = counts.get(0.0, 0.0) + self.zero
        for index, count in self.positive.items():
            if count:
                counts.setdefault(self._edge(index), 0.0)
                upper = self._edge(index + 1)
                counts[upper] = counts.get(upper, 0.0) + count
        bounds = tuple(sorted(counts))
        return Histogram(bounds, (*(counts[bound] for bound in bounds), 0.0), self.sum)

    def _edge(self, index: int) -> float:
        """`base ** index`, at most `LARGEST_BOUND`; senders may name indices whose value no float holds."""
        try:
            return min(math.pow(2.0, math.ldexp(index, -self.scale)), LARGEST_BOUND)
        except OverflowError:
            return LARGEST_BOUND if index > 0 else 0.0


def _at_scale(counts: Mapping[int, float], scale: int, coarser: int) -> dict[int, float]:
    merged: dict[int, float] = {}
    for index, count in counts.items():
        merged[index >> (scale - coarser)] = merged.get(index >> (scale - coarser), 0.0) + count
    return merged
