"""The three signals of OTLP: their official messages and what becomes of them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import (
    ExportLogsPartialSuccess,
    ExportLogsServiceRequest,
    ExportLogsServiceResponse,
)
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsPartialSuccess,
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from otelext.viewer import otlp_json
from otelext.viewer.points import flatten_points
from otelext.viewer.spans import flatten_logs, flatten_spans

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from google.protobuf.message import Message

    from otelext.viewer.flattened import Flattened
    from otelext.viewer.store import Store

MAX_BODY: Final = 20 * 1024 * 1024
"""Bytes that one request may have, before and after decompression; the Collector's default."""

PROTOBUF: Final = "application/x-protobuf"
JSON: Final = "application/json"


@dataclass(frozen=True)
class Signal:
    """One of traces, metrics and logs.

    Attributes:
        path: Where OTLP/HTTP takes it.
        request: The export request's message type.
        flatten: Turns a request, and the time of receipt in Unix nanoseconds, into rows.
        respond: Makes the response out of the rejected records' count and the reason.
    """

    path: str
    request: type[Message]
    flatten: Callable[[Any, int], Flattened]
    respond: Callable[[int, str], Message]

    def parse(self, body: bytes, content_type: str = PROTOBUF) -> Message:
        """The request in a body.

        Raises:
            MalformedError: The body is not of this signal's message type.
        """
        message = self.request()
        if content_type == JSON:
            return otlp_json.decode(body, message)
        try:
            message.ParseFromString(body)
        except DecodeError as error:
            raise otlp_json.MalformedError(f"the body is not a protobuf {message.DESCRIPTOR.name}: {error}") from error
        return message

    def receive(self, message: Message, store: Store) -> tuple[Message, Future[None]]:
        """Queue a request's records; the response may leave when the future is done.

        Args:
            message: A request of this signal.
            store: Where to keep it.

        Raises:
            BatchTooLargeError: The records are larger than the store takes at once; nothing was queued.
            StoreBusyError: The store cannot keep up; nothing was queued.
        """
        flattened = self.flatten(message, time.time_ns())
        committed = store.submit(flattened.rows)
        return self.respond(flattened.rejected, flattened.reason), committed


def _traces_response(rejected: int, reason: str) -> Message:
    if not rejected:
        return ExportTraceServiceResponse()
    partial = ExportTracePartialSuccess(rejected_spans=rejected, error_message=reason)
    return ExportTraceServiceResponse(partial_success=partial)


def _metrics_response(rejected: int, reason: str) -> Message:
    if not rejected:
        return ExportMetricsServiceResponse()
    partial = ExportMetricsPartialSuccess(rejected_data_points=rejected, error_message=reason)
    return ExportMetricsServiceResponse(partial_success=partial)


def _logs_response(rejected: int, reason: str) -> Message:
    if not rejected:
        return ExportLogsServiceResponse()
    partial = ExportLogsPartialSuccess(rejected_log_records=rejected, error_message=reason)
    return ExportLogsServiceResponse(partial_success=partial)


TRACES: Final = Signal("/v1/traces", ExportTraceServiceRequest, flatten_spans, _traces_response)
METRICS: Final = Signal("/v1/metrics", ExportMetricsServiceRequest, flatten_points, _metrics_response)
LOGS: Final = Signal("/v1/logs", ExportLogsServiceRequest, flatten_logs, _logs_response)
SIGNALS: Final = (TRACES, METRICS, LOGS)
