"""A small OTLP/HTTP receiver for tests: decodes with the official protobuf classes and adds up what was counted."""

from __future__ import annotations

import gzip
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from typing_extensions import Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from google.protobuf.message import Message
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage

Attributes = dict[str, Any]


class Span(NamedTuple):
    """A received span: the message, its scope's name and its resource's attributes."""

    message: SpanMessage
    scope: str
    resource: Attributes

    @property
    def name(self) -> str:
        return self.message.name

    @property
    def kind(self) -> str:
        """`SERVER`, `CLIENT`, `INTERNAL`, ..."""
        return self.message.SpanKind.Name(self.message.kind).removeprefix("SPAN_KIND_")

    @property
    def attributes(self) -> Attributes:
        return attributes_of(self.message.attributes)


class LogRecord(NamedTuple):
    """A received log record."""

    body: str
    severity: str
    attributes: Attributes
    trace_id: bytes
    span_id: bytes
    scope: str
    resource: Attributes


class Point(NamedTuple):
    """A received data point: `value` is a number's value or a histogram's count, `total` a histogram's sum."""

    metric: str
    value: float
    total: float
    start: int
    time: int
    attributes: Attributes
    resource: Attributes
    message: Any


class OtlpReceiver:
    """Receives on a free loopback port, as a context manager; what came is read as `spans`, `points` and `logs`.

    Attributes:
        endpoint: The value for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    """

    def __init__(self, port: int = 0) -> None:
        self._lock = threading.Lock()
        self._requests: dict[str, list[Any]] = {"/v1/traces": [], "/v1/metrics": [], "/v1/logs": []}
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self._take))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="otlp-receiver")
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _take(self, path: str, body: bytes) -> bytes | None:
        kinds: dict[str, tuple[type[Message], type[Message]]] = {
            "/v1/traces": (ExportTraceServiceRequest, ExportTraceServiceResponse),
            "/v1/metrics": (ExportMetricsServiceRequest, ExportMetricsServiceResponse),
            "/v1/logs": (ExportLogsServiceRequest, ExportLogsServiceResponse),
        }
        if path not in kinds:
            return None
        request, response = kinds[path]
        message = request.FromString(body)
        with self._lock:
            self._requests[path].append(message)
        return response().SerializeToString()

    def _received(self, path: str) -> list[Any]:
        with self._lock:
            return list(self._requests[path])

    def clear(self) -> None:
        """Forget what was received."""
        with self._lock:
            for requests in self._requests.values():
                requests.clear()

    @property
    def messages(self) -> list[Any]:
        """Every request received so far, as it came."""
        return [message for path in ("/v1/traces", "/v1/metrics", "/v1/logs") for message in self._received(path)]

    @property
    def spans(self) -> list[Span]:
        """Every span received so far."""
        return [
            Span(span, scope.scope.name, attributes_of(group.resource.attributes))
            for request in self._received("/v1/traces")
            for group in request.resource_spans
            for scope in group.scope_spans
            for span in scope.spans
        ]

    @property
    def logs(self) -> list[LogRecord]:
        """Every log record received so far."""
        return [
            LogRecord(
                str(value_of(record.body)),
                record.severity_text,
                attributes_of(record.attributes),
                record.trace_id,
                record.span_id,
                scope.scope.name,
                attributes_of(group.resource.attributes),
            )
            for request in self._received("/v1/logs")
            for group in request.resource_logs
            for scope in group.scope_logs
            for record in scope.log_records
        ]

    @property
    def points(self) -> list[Point]:
        """Every data point received so far, in the order of arrival."""
        return list(self._points())

    def _points(self) -> Iterator[Point]:
        for request in self._received("/v1/metrics"):
            for group in request.resource_metrics:
                resource = attributes_of(group.resource.attributes)
                for scope in group.scope_metrics:
                    for metric in scope.metrics:
                        for point in getattr(metric, metric.WhichOneof("data")).data_points:
                            yield _point(metric.name, point, resource)

    def last_points(self, metric: str, **attributes: object) -> list[Point]:
        """The last cumulative point of each series of `metric`.

        A series is (service.instance.id, start time, attributes): a process that starts anew begins another one.

        Args:
            metric: Its name.
            attributes: Only points that carry them; `_` in a key stands for `.`.
        """
        wanted = {key.replace("_", "."): value for key, value in attributes.items()}
        last: dict[object, Point] = {}
        for point in self._points():
            if point.metric != metric:
                continue
            if any(_dotted(point.attributes).get(key) != value for key, value in wanted.items()):
                continue
            series = (point.resource.get("service.instance.id"), point.start, tuple(sorted(point.attributes.items())))
            if series not in last or last[series].time <= point.time:
                last[series] = point
        return list(last.values())

    def total(self, metric: str, **attributes: object) -> float:
        """What all processes together counted: the sum of `last_points`."""
        return sum(point.value for point in self.last_points(metric, **attributes))

    def wait_for(self, condition: Callable[[], object], what: str, timeout: float = 20.0) -> None:
        """Poll until `condition` holds.

        Raises:
            AssertionError: It did not in time; names `what` and says what came.
        """
        deadline = time.monotonic() + timeout
        while not condition():
            if time.monotonic() > deadline:
                names = sorted({span.name for span in self.spans})
                metrics = sorted({point.metric for point in self._points()})
                raise AssertionError(
                    f"{what} did not arrive in {timeout:g} s; spans: {names}; metrics: {metrics}; "
                    f"logs: {[record.body for record in self.logs][:20]}"
                )
            time.sleep(0.05)


def value_of(value: AnyValue) -> Any:
    """An `AnyValue` as Python's."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return attributes_of(value.kvlist_value.values)
    return getattr(value, kind)


def attributes_of(pairs: Iterable[KeyValue]) -> Attributes:
    """Attributes as a dictionary."""
    return {pair.key: value_of(pair.value) for pair in pairs}


def _dotted(attributes: Attributes) -> Attributes:
    return {key.replace("_", "."): value for key, value in attributes.items()}


def _point(metric: str, point: Any, resource: Attributes) -> Point:
    if hasattr(point, "bucket_counts") or hasattr(point, "count"):
        value, total = float(point.count), float(point.sum)
    else:
        value = total = float(getattr(point, point.WhichOneof("value") or "as_double"))
    return Point(
        metric,
        value,
        total,
        point.start_time_unix_nano,
        point.time_unix_nano,
        attributes_of(point.attributes),
        resource,
        point,
    )


def _handler(take: Callable[[str, bytes], bytes | None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0")))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            answer = take(self.path, body)
            self.send_response(404 if answer is None else 200)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", str(len(answer or b"")))
            self.end_headers()
            self.wfile.write(answer or b"")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler
