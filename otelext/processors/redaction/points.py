"""Data points that have the same attributes since redaction took some away, made one: duplicates break receivers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.metrics.export import (
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    NumberDataPoint,
    Sum,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from opentelemetry.sdk.metrics import Exemplar

    Data = Sum | Gauge | Histogram | ExponentialHistogram

MAX_EXEMPLARS: Final = 20
"""Exemplars that a merged point keeps, the newest ones; of an explicit histogram, the newest of each bucket."""
MAX_BUCKETS: Final = 160
"""Buckets of a sign in a merged exponential histogram, as in the SDK's, unless one of the points had more."""


def merged(data: Data) -> tuple[Data, int]:
    """Data with one point for each set of attributes.

    Sums and histograms add up, from the earliest start to the latest time. Of a gauge the latest value stays, of several
    of the same time the one that comes last. Explicit histograms with other boundaries than the first of them can't be
    added to it: they are left out.

    Args:
        data: Data of a metric, which stays as it is.

    Returns:
        The data, the very same where no two points have the same attributes, and how many points were left out.

    Raises:
        TypeError: The data is of a kind that is not known.
    """
    groups: dict[Hashable, list[Any]] = {}
    for point in data.data_points:
        groups.setdefault(_identity(point.attributes), []).append(point)
    if len(groups) == len(data.data_points):
        return data, 0
    merge = _MERGES.get(type(data))
    if merge is None:
        raise TypeError(f"points of {type(data).__qualname__} can't be merged")
    left_out = 0
    points = []
    for group in groups.values():
        if len(group) == 1:
            points += group
            continue
        point, others = merge(group)
        points.append(point)
        left_out += others
    given: Any = data
    return replace(given, data_points=points), left_out


def _identity(attributes: Mapping[str, Any] | None) -> Hashable:
    """What is the same in points of one series."""
    return frozenset((key, _tagged(value)) for key, value in (attributes or {}).items())


def _tagged(value: Any) -> Hashable:
    # True, 1 and 1.0 are equal in Python and three values in OTLP; a NaN is not equal to itself.
    if isinstance(value, float):
        return "float", repr(value)
    if value is None or isinstance(value, (str, bytes, int)):
        return type(value).__name__, value
    if isinstance(value, (tuple, list)):
        return "sequence", tuple(map(_tagged, value))
    if isinstance(value, Mapping):
        return "mapping", frozenset((key, _tagged(item)) for key, item in value.items())
    # Never asked whether it is equal to another, as that is the user's code.
    return type(value).__name__, id(value)


def _sum(points: Sequence[NumberDataPoint]) -> tuple[NumberDataPoint, int]:
    total = sum(point.value for point in points)
    return replace(points[0], **_times(points), value=total, exemplars=_newest(points)), 0


def _latest(points: Sequence[NumberDataPoint]) -> tuple[NumberDataPoint, int]:
    # All that are collected together have one time: as in the SDK, the last one stays.
    return max(reversed(points), key=lambda point: point.time_unix_nano), 0


def _histogram(points: Sequence[HistogramDataPoint]) -> tuple[HistogramDataPoint, int]:
    bounds = tuple(points[0].explicit_bounds)
    alike = [point for point in points if tuple(point.explicit_bounds) == bounds]
    by_bucket: dict[int, Exemplar] = {}
    for exemplar in sorted(_exemplars(alike), key=_age):
        by_bucket[bisect_left(bounds, exemplar.value)] = exemplar
    point = replace(
        points[0],
        **_times(alike),
        **_statistics(alike),
        bucket_counts=tuple(map(sum, zip(*(point.bucket_counts for point in alike), strict=True))),
        exemplars=[exemplar for _, exemplar in sorted(by_bucket.items())],
    )
    return point, len(points) - len(alike)


def _exponential(points: Sequence[ExponentialHistogramDataPoint]) -> tuple[ExponentialHistogramDataPoint, int]:
    # https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponential-scale
    sides = [(point.scale, _counts(point.positive), _counts(point.negative)) for point in points]
    # A point that has zeros alone has whatever scale, and must not cost the others their resolution.
    scale = min(
        (scale for scale, positive, negative in sides if positive or negative),
        default=min(point.scale for point in points),
    )
    positive = _at(scale, ((own, counts) for own, counts, _ in sides))
    negative = _at(scale, ((own, counts) for own, _, counts in sides))
    # Between values far apart there may be billions of buckets.
    limit = max(
        MAX_BUCKETS, *(len(side.bucket_counts) for point in points for side in (point.positive, point.negative))
    )
    while max(_span(positive), _span(negative)) > limit:
        positive = _at(scale - 1, [(scale, positive)])
        negative = _at(scale - 1, [(scale, negative)])
        scale -= 1
    flags = 0
    for point in points:
        flags |= point.flags
    merged_point = replace(
        points[0],
        **_times(points),
        **_statistics(points),
        scale=scale,
        zero_count=sum(point.zero_count for point in points),
        positive=_buckets(positive),
        negative=_buckets(negative),
        flags=flags,
        exemplars=_newest(points),
    )
    return merged_point, 0


def _counts(buckets: Buckets) -> dict[int, int]:
    """Counts by index, those that are not 0."""
    return {index: count for index, count in enumerate(buckets.bucket_counts, buckets.offset) if count}


def _at(scale: int, sides: Iterable[tuple[int, Mapping[int, int]]]) -> dict[int, int]:
    """Counts by index at one scale, of all that have no lower one."""
    found: dict[int, int] = {}
    for own, counts in sides:
        for index, count in counts.items():
            # A scale lower, the buckets 2i and 2i + 1 are one, below 0 too; where all are left out there is no scale.
            lower = index >> (own - scale)
            found[lower] = found.get(lower, 0) + count
    return found


def _span(counts: Mapping[int, int]) -> int:
    return max(counts) - min(counts) + 1 if counts else 0


def _buckets(counts: Mapping[int, int]) -> Buckets:
    if not counts:
        return Buckets(offset=0, bucket_counts=[0])
    first, last = min(counts), max(counts)
    return Buckets(offset=first, bucket_counts=[counts.get(index, 0) for index in range(first, last + 1)])


def _times(points: Sequence[Any]) -> dict[str, Any]:
    return {
        "start_time_unix_nano": min(point.start_time_unix_nano for point in points),
        "time_unix_nano": max(point.time_unix_nano for point in points),
    }


def _statistics(points: Sequence[Any]) -> dict[str, Any]:
    return {
        "count": sum(point.count for point in points),
        "sum": sum(point.sum for point in points),
        "min": min(point.min for point in points),
        "max": max(point.max for point in points),
    }


def _exemplars(points: Iterable[Any]) -> list[Exemplar]:
    return [exemplar for point in points for exemplar in point.exemplars]


def _newest(points: Iterable[Any]) -> list[Exemplar]:
    return sorted(_exemplars(points), key=_age)[-MAX_EXEMPLARS:]


def _age(exemplar: Exemplar) -> int:
    return exemplar.time_unix_nano


_MERGES: Final[dict[type, Callable[[Any], tuple[Any, int]]]] = {
    Sum: _sum,
    Gauge: _latest,
    Histogram: _histogram,
    ExponentialHistogram: _exponential,
}
