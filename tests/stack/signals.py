"""Numbered telemetry of each signal: a request of the number n, and which numbers a backend holds."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_CUMULATIVE
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from tests.stack.servers import get

if TYPE_CHECKING:
    from tests.stack.stack import Stack

METRIC: Final = "reliability.requests"
# Attributes that the Collector lets pass.
_PADDED: Final = "url.template"
_NUMBER: Final = "vlm.stage"
_PAGE: Final = 5000


class Signal(Protocol):
    """What is sent to `path`, and what a backend holds of it."""

    name: str
    path: str

    def request(self, service: str, n: int, items: int, padding: int) -> bytes:
        """A serialized request with `items` items and at least `padding` bytes more for each."""
        ...

    def stored(self, stack: Stack, service: str) -> Counter[int]:
        """How many items are in the backend, by the number of their request."""
        ...


class _Traces:
    """Each request is one trace, whose id is its number."""

    name = "spans"
    path = "/v1/traces"

    def request(self, service: str, n: int, items: int, padding: int) -> bytes:
        now = time.time_ns()
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add(resource=_resource(service))
        spans = resource.scope_spans.add().spans
        for item in range(items):
            spans.add(
                trace_id=_trace_id(service, n),
                span_id=(item + 1).to_bytes(8, "big"),
                parent_span_id=(1).to_bytes(8, "big") if item else b"",
                name="numbered",
                start_time_unix_nano=now,
                end_time_unix_nano=now + 10**6,
                attributes=[_attribute(_PADDED, "x" * padding)],
            )
        return request.SerializeToString()

    def stored(self, stack: Stack, service: str) -> Counter[int]:
        traces = stack.jaeger.traces(service, limit=100_000)
        return Counter({int(trace["traceID"][-16:], 16): len(trace["spans"]) for trace in traces})


class _Metrics:
    """Each request is the next value of `items` series of a counter, which is its number."""

    name = "data points"
    path = "/v1/metrics"

    def __init__(self) -> None:
        self._start = time.time_ns()

    def request(self, service: str, n: int, items: int, padding: int) -> bytes:
        now = time.time_ns()
        request = ExportMetricsServiceRequest()
        resource = request.resource_metrics.add(resource=_resource(service))
        metric = resource.scope_metrics.add().metrics.add(name=METRIC, description="x" * padding * items)
        metric.sum.is_monotonic = True
        metric.sum.aggregation_temporality = AGGREGATION_TEMPORALITY_CUMULATIVE
        for item in range(items):
            metric.sum.data_points.add(
                start_time_unix_nano=self._start,
                time_unix_nano=now,
                as_int=n,
                attributes=[_attribute(_NUMBER, str(item))],
            )
        return request.SerializeToString()

    def stored(self, stack: Stack, service: str) -> Counter[int]:
        selector = f'{METRIC.replace(".", "_")}_total{{service_name="{service}"}}[1h]'
        answer = get(f"{stack.prometheus.url}/api/v1/query", query=selector)
        assert answer.status_code == 200, answer.text
        return Counter(int(value) for series in answer.json()["data"]["result"] for _, value in series["values"])


class _Logs:
    """Each request is `items` lines, which begin with its number."""

    name = "log records"
    path = "/v1/logs"

    def request(self, service: str, n: int, items: int, padding: int) -> bytes:
        now = time.time_ns()
        request = ExportLogsServiceRequest()
        resource = request.resource_logs.add(resource=_resource(service))
        records = resource.scope_logs.add().log_records
        for item in range(items):
            records.add(time_unix_nano=now + item, body=AnyValue(string_value=f"{n} {item} {'x' * padding}"))
        return request.SerializeToString()

    def stored(self, stack: Stack, service: str) -> Counter[int]:
        found: Counter[int] = Counter()
        begin, end = time.time_ns() - 3600 * 10**9, time.time_ns() + 60 * 10**9
        while True:
            answer = get(
                f"{stack.loki.url}/loki/api/v1/query_range",
                query=f'{{service_name="{service}"}} | keep service_name',
                start=begin,
                end=end,
                limit=_PAGE,
                direction="forward",
            )
            assert answer.status_code == 200, answer.text
            entries = [entry for stream in answer.json()["data"]["result"] for entry in stream["values"]]
            found.update(int(line.split(" ", 1)[0]) for _, line, *_ in entries)
            if len(entries) < _PAGE:
                return found
            begin = max(int(at) for at, *_ in entries) + 1


TRACES: Final[Signal] = _Traces()
METRICS: Final[Signal] = _Metrics()
LOGS: Final[Signal] = _Logs()
SIGNALS: Final = (TRACES, METRICS, LOGS)


def _trace_id(service: str, n: int) -> bytes:
    return service.encode()[-8:].rjust(8, b"-") + n.to_bytes(8, "big")


def _resource(service: str) -> Resource:
    # Bodies of log records pass from otelext alone, which has redacted them.
    return Resource(attributes=[_attribute("service.name", service), _attribute("telemetry.distro.name", "otelext")])


def _attribute(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))
