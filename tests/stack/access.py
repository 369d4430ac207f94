"""Sending with credentials: the SDK's exporters, a bare call over gRPC, and what they send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otelext import semconv
from tests.stack import otlp_json

if TYPE_CHECKING:
    from collections.abc import Mapping

SERVICE: Final = "credentials"
EMPTY: Final = {
    "traces": otlp_json.traces([], {}),
    "metrics": otlp_json.metrics([], {}),
    "logs": otlp_json.logs([], {}),
}


def message(trace_id: str) -> dict[str, Any]:
    return otlp_json.traces(
        [otlp_json.span(trace_id, "sent", {semconv.EXEMPLAR: True})], {semconv.SERVICE_NAME: SERVICE}
    )


def a_span() -> tuple[ReadableSpan, str]:
    """A span of the SDK, and its trace id."""
    provider = TracerProvider(resource=Resource({semconv.SERVICE_NAME: SERVICE}), shutdown_on_exit=False)
    span = provider.get_tracer("sdk").start_span("sent")
    span.end()
    assert isinstance(span, ReadableSpan)
    return span, f"{span.get_span_context().trace_id:032x}"


def exported(exporter: SpanExporter) -> str | None:
    """The id of a trace that an exporter of the SDK brought to its receiver, none if it was refused."""
    span, trace_id = a_span()
    result = exporter.export([span])
    exporter.shutdown()
    return trace_id if result is SpanExportResult.SUCCESS else None


def grpc_status(
    target: str, credentials: grpc.ChannelCredentials | None = None, metadata: Mapping[str, str] | None = None
) -> grpc.StatusCode:
    """What a call over gRPC is answered."""
    made = grpc.insecure_channel(target) if credentials is None else grpc.secure_channel(target, credentials)
    with made as channel:
        try:
            TraceServiceStub(channel).Export(
                ExportTraceServiceRequest(), timeout=10, metadata=tuple((metadata or {}).items())
            )
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK
