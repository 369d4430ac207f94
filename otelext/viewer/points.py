"""OTLP metric data points as rows of the store."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from otelext.viewer.distribution import LARGEST_BOUND
from otelext.viewer.flattened import Flattened
from otelext.viewer.formats import counted
from otelext.viewer.values import attributes_of, origin_of, text_of, time_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.metrics.v1.metrics_pb2 import (
        Exemplar,
        ExponentialHistogramDataPoint,
        HistogramDataPoint,
        Metric,
        NumberDataPoint,
        SummaryDataPoint,
    )

    Point = NumberDataPoint | HistogramDataPoint | ExponentialHistogramDataPoint | SummaryDataPoint


class PointRow(NamedTuple):
    """A row of the table `points`; what a kind of metric does not have is None."""

    received_ns: int
    service: str
    instance: str
    scope: str
    resource: str
    attributes: str
    metric: str
    unit: str
    kind: str
    temporality: int
    monotonic: bool
    stream: int
    start_ns: int
    time_ns: int
    flags: int
    value: float | None = None
    value_count: int | None = None
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    bounds: Sequence[float] | None = None
    bucket_counts: Sequence[int] | None = None
    scale: int | None = None
    zero_count: int | None = None
    zero_threshold: float | None = None
    positive_offset: int | None = None
    positive_counts: Sequence[int] | None = None
    negative_offset: int | None = None
    negative_counts: Sequence[int] | None = None
    quantiles: str | None = None
    exemplars: str | None = None


@dataclass(frozen=True)
class _Owner:
    received_ns: int
    service: str
    instance: str
    scope: str
    resource: str
    metric: str
    unit: str

    def stream(self, kind: str, attributes: str) -> int:
        """Number of a metric stream, as the data model identifies one.

        https://opentelemetry.io/docs/specs/otel/metrics/data-model/#opentelemetry-protocol-data-model
        """
        digest = self._digest.copy()
        digest.update(f"{kind}\0{attributes}\0".encode())
        return int.from_bytes(digest.digest(), "big")

    @cached_property
    def _digest(self) -> blake2b:
        # Shared by a metric's points: a resource may be long.
        return blake2b(f"{self.resource}\0{self.scope}\0{self.metric}\0{self.unit}\0".encode(), digest_size=8)


def flatten_points(request: ExportMetricsServiceRequest, received_ns: int) -> Flattened:
    """Rows of a metrics request; points that contradict themselves are rejected."""
    rows: list[PointRow] = []
    rejected = 0
    reason = ""
    for resource_metrics in request.resource_metrics:
        service, instance, resource = origin_of(resource_metrics.resource)
        for scope_metrics in resource_metrics.scope_metrics:
            scope = scope_metrics.scope.name
            for metric in scope_metrics.metrics:
                # Each reading of a message's text is a copy, so all of a metric's rows share one.
                owner = _Owner(received_ns, service, instance, scope, resource, metric.name, metric.unit)
                for row, wrong in _rows(metric, owner):
                    if wrong:
                        rejected += 1
                        reason = f"metric {owner.metric}: {wrong}"
                    else:
                        rows.append(row)
    return Flattened({"points": rows}, rejected, reason)


def _rows(metric: Metric, owner: _Owner) -> Iterator[tuple[PointRow, str]]:
    kind = metric.WhichOneof("data")
    if kind == "gauge":
        for number in metric.gauge.data_points:
            yield _number_row(number, _head(owner, number, kind, 0, monotonic=False))
    elif kind == "sum":
        total = metric.sum
        for number in total.data_points:
            head = _head(owner, number, kind, total.aggregation_temporality, monotonic=total.is_monotonic)
            yield _number_row(number, head)
    elif kind == "histogram":
        temporality = metric.histogram.aggregation_temporality
        for point in metric.histogram.data_points:
            yield _histogram_row(point, _head(owner, point, kind, temporality, monotonic=True))
    elif kind == "exponential_histogram":
        temporality = metric.exponential_histogram.aggregation_temporality
        for scaled in metric.exponential_histogram.data_points:
            yield _exponential_row(scaled, _head(owner, scaled, kind, temporality, monotonic=True))
    elif kind == "summary":
        for summary in metric.summary.data_points:
            yield _summary_row(summary, _head(owner, summary, kind, 0, monotonic=False))


def _head(owner: _Owner, point: Point, kind: str, temporality: int, *, monotonic: bool) -> PointRow:
    attributes = text_of(attributes_of(point.attributes))
    return PointRow(
        owner.received_ns,
        owner.service,
        owner.instance,
        owner.scope,
        owner.resource,
        attributes,
        owner.metric,
        owner.unit,
        kind,
        min(max(temporality, 0), 255),
        monotonic,
        owner.stream(kind, attributes),
        time_of(point.start_time_unix_nano),
        time_of(point.time_unix_nano),
        point.flags,
    )


def _number_row(point: NumberDataPoint, row: PointRow) -> tuple[PointRow, str]:
    kind = point.WhichOneof("value")
    value = float(point.as_int) if kind == "as_int" else point.as_double
    return row._replace(value=value, exemplars=_exemplars(point.exemplars)), ""


def _histogram_row(point: HistogramDataPoint, row: PointRow) -> tuple[PointRow, str]:
    bounds, counts = list(point.explicit_bounds), list(point.bucket_counts)
    wrong = ""
    if counts and len(counts) != len(bounds) + 1:
        wrong = (
            f"{counted(len(counts), 'bucket count')} for {counted(len(bounds), 'bound')}, must be one more than bounds"
        )
    elif counts and sum(counts) != point.count:
        wrong = f"bucket counts add up to {sum(counts)}, count is {point.count}"
    elif not all(abs(bound) <= LARGEST_BOUND for bound in bounds):
        wrong = f"explicit bounds must be finite and no further from 0 than {LARGEST_BOUND:g}"
    elif any(left >= right for left, right in itertools.pairwise(bounds)):
        wrong = "explicit bounds must grow"
    return row._replace(
        value_count=point.count,
        sum=point.sum if point.HasField("sum") else None,
        min=point.min if point.HasField("min") else None,
        max=point.max if point.HasField("max") else None,
        bounds=bounds,
        bucket_counts=counts,
        exemplars=_exemplars(point.exemplars),
    ), wrong


def _exponential_row(point: ExponentialHistogramDataPoint, row: PointRow) -> tuple[PointRow, str]:
    return row._replace(
        value_count=point.count,
        sum=point.sum if point.HasField("sum") else None,
        min=point.min if point.HasField("min") else None,
        max=point.max if point.HasField("max") else None,
        scale=point.scale,
        zero_count=point.zero_count,
        zero_threshold=point.zero_threshold,
        positive_offset=point.positive.offset,
        positive_counts=list(point.positive.bucket_counts),
        negative_offset=point.negative.offset,
        negative_counts=list(point.negative.bucket_counts),
        exemplars=_exemplars(point.exemplars),
    ), ""


def _summary_row(point: SummaryDataPoint, row: PointRow) -> tuple[PointRow, str]:
    quantiles = text_of([{"quantile": q.quantile, "value": q.value} for q in point.quantile_values])
    return row._replace(value_count=point.count, sum=point.sum, quantiles=quantiles), ""


def _exemplars(exemplars: Iterable[Exemplar]) -> str | None:
    found = [
        {
            "time_ns": time_of(exemplar.time_unix_nano),
            "value": float(exemplar.as_int) if exemplar.WhichOneof("value") == "as_int" else exemplar.as_double,
            "trace_id": exemplar.trace_id.hex(),
            "span_id": exemplar.span_id.hex(),
            "attributes": attributes_of(exemplar.filtered_attributes),
        }
        for exemplar in exemplars
    ]
    return text_of(found) if found else None
