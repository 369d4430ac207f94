"""OTLP requests built by hand."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otelext import semconv

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA


def attributes(values: Mapping[str, str | float]) -> list[KeyValue]:
    return [
        KeyValue(key=k, value=AnyValue(string_value=v) if isinstance(v, str) else AnyValue(double_value=v))
        for k, v in values.items()
    ]


_pairs = attributes


def resource(instance: str = "one") -> Resource:
    return Resource(attributes=attributes({semconv.SERVICE_NAME: "documents", semconv.SERVICE_INSTANCE_ID: instance}))


def traces(
    count: int = 1, *, trace_id: bytes | None = None, padding: int = 0, resource_padding: int = 0
) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    found = request.resource_spans.add(resource=resource())
    if resource_padding:
        found.resource.attributes.extend(attributes({"padding": "x" * resource_padding}))
    scope = found.scope_spans.add()
    scope.scope.name = semconv.SCOPE_NAME
    now = time.time_ns()
    for _ in range(count):
        span = scope.spans.add(
            trace_id=os.urandom(16) if trace_id is None else trace_id,
            span_id=os.urandom(8),
            name="chat tiny-vlm",
            start_time_unix_nano=now - 10**9,
            end_time_unix_nano=now,
        )
        pad = {"padding": os.urandom(padding // 2).hex()} if padding else {}
        span.attributes.extend(attributes({semconv.OUTCOME: "completed", semconv.REQUEST_MODEL: "tiny-vlm", **pad}))
    return request


def counter(
    name: str,
    value: float,
    *,
    start_ns: int,
    time_ns: int,
    instance: str = "one",
    temporality: AggregationTemporality.ValueType = CUMULATIVE,
    flags: int = 0,
    model: str | None = None,
    attributes: dict[str, str] | None = None,
) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    found = request.resource_metrics.add(resource=resource(instance))
    metric = found.scope_metrics.add().metrics.add(name=name, unit="1")
    metric.sum.aggregation_temporality = temporality
    metric.sum.is_monotonic = True
    metric.sum.data_points.add(
        as_double=value,
        start_time_unix_nano=start_ns,
        time_unix_nano=time_ns,
        flags=flags,
        attributes=_pairs({**(attributes or {}), **({} if model is None else {"model": model})}),
    )
    return request


def gauge(
    name: str,
    *values: float,
    attributes: dict[str, str],
    service: str = "documents",
    time_ns: int | None = None,
    flags: int = 0,
) -> ExportMetricsServiceRequest:
    """One reading a value, a second apart, the last of them at `time_ns`."""
    request = ExportMetricsServiceRequest()
    found = request.resource_metrics.add()
    found.resource.attributes.extend(_pairs({semconv.SERVICE_NAME: service}))
    metric = found.scope_metrics.add().metrics.add(name=name)
    last = time.time_ns() if time_ns is None else time_ns
    for ago, value in enumerate(reversed(values)):
        metric.gauge.data_points.add(
            as_double=value, time_unix_nano=last - ago * 10**9, flags=flags, attributes=_pairs(attributes)
        )
    return request


def histogram(
    name: str,
    counts: Sequence[int],
    bounds: Sequence[float],
    *,
    start_ns: int,
    time_ns: int,
    total: float = 0.0,
    instance: str = "one",
    temporality: AggregationTemporality.ValueType = CUMULATIVE,
) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    found = request.resource_metrics.add(resource=resource(instance))
    metric = found.scope_metrics.add().metrics.add(name=name, unit="s")
    metric.histogram.aggregation_temporality = temporality
    metric.histogram.data_points.add(
        count=sum(counts),
        sum=total,
        bucket_counts=counts,
        explicit_bounds=bounds,
        start_time_unix_nano=start_ns,
        time_unix_nano=time_ns,
    )
    return request


def logs(count: int = 1) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add(resource=resource()).scope_logs.add()
    for i in range(count):
        record = scope.log_records.add(time_unix_nano=time.time_ns(), severity_text="INFO")
        record.body.string_value = f"line {i}"
    return request
