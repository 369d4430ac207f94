"""OTLP spans and log records as rows of the store."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from otelext import semconv
from otelext.viewer.flattened import Flattened
from otelext.viewer.values import attributes_of, origin_of, text_of, time_of, value_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    from opentelemetry.proto.trace.v1.trace_pb2 import Span

    from otelext.viewer.values import Value

_TRACE_ID_BYTES = 16
_SPAN_ID_BYTES = 8
_EMPTY = "[]"
_LONGEST_S = 2**63 / 1e9  # the longest that fits between two times of the store


class SpanRow(NamedTuple):
    """A row of the table `spans`."""

    received_ns: int
    service: str
    instance: str
    scope: str
    resource: str
    attributes: str
    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: int
    start_ns: int
    end_ns: int
    status: int
    status_message: str
    trace_state: str
    flags: int
    events: str
    links: str
    model: str | None
    operation: str | None
    stage: str | None
    outcome: str | None
    ttft_s: float | None
    tpot_s: float | None
    consumer_wait_s: float | None
    output_tokens: int | None


class LogRow(NamedTuple):
    """A row of the table `logs`."""

    received_ns: int
    service: str
    instance: str
    scope: str
    resource: str
    attributes: str
    time_ns: int
    observed_ns: int
    severity: int
    severity_text: str
    event_name: str
    body: str
    trace_id: str
    span_id: str
    flags: int


def flatten_spans(request: ExportTraceServiceRequest, received_ns: int) -> Flattened:
    """Rows of a traces request; spans without valid ids are rejected, as the specification asks."""
    rows: list[SpanRow] = []
    rejected = 0
    for resource_spans in request.resource_spans:
        service, instance, resource = origin_of(resource_spans.resource)
        for scope_spans in resource_spans.scope_spans:
            scope = scope_spans.scope.name
            for span in scope_spans.spans:
                if _id(span.trace_id, _TRACE_ID_BYTES) and _id(span.span_id, _SPAN_ID_BYTES):
                    rows.append(_span_row(span, received_ns, service, instance, scope, resource))
                else:
                    rejected += 1
    reason = "spans need a trace_id of 16 and a span_id of 8 bytes, not all zero" if rejected else ""
    return Flattened({"spans": rows}, rejected, reason)


def flatten_logs(request: ExportLogsServiceRequest, received_ns: int) -> Flattened:
    """Rows of a logs request. An invalid trace or span id is left empty: the record stands without it."""
    rows: list[LogRow] = []
    for resource_logs in request.resource_logs:
        service, instance, resource = origin_of(resource_logs.resource)
        for scope_logs in resource_logs.scope_logs:
            scope = scope_logs.scope.name
            for record in scope_logs.log_records:
                body = value_of(record.body)
                row = LogRow(
                    received_ns,
                    service,
                    instance,
                    scope,
                    resource,
                    text_of(attributes_of(record.attributes)),
                    time_of(record.time_unix_nano),
                    time_of(record.observed_time_unix_nano),
                    record.severity_number,
                    record.severity_text,
                    record.event_name,
                    body if isinstance(body, str) else text_of(body),
                    _id(record.trace_id, _TRACE_ID_BYTES),
                    _id(record.span_id, _SPAN_ID_BYTES),
                    record.flags,
                )
                rows.append(row)
    return Flattened({"logs": rows})


def _span_row(span: Span, received_ns: int, service: str, instance: str, scope: str, resource: str) -> SpanRow:
    attributes = attributes_of(span.attributes)
    return SpanRow(
        received_ns,
        service,
        instance,
        scope,
        resource,
        text_of(attributes),
        span.trace_id.hex(),
        span.span_id.hex(),
        _id(span.parent_span_id, _SPAN_ID_BYTES),
        span.name,
        min(max(span.kind, 0), 255),
        time_of(span.start_time_unix_nano),
        time_of(span.end_time_unix_nano),
        min(max(span.status.code, 0), 255),
        span.status.message,
        span.trace_state,
        span.flags,
        _events(span.events) if span.events else _EMPTY,
        _links(span.links) if span.links else _EMPTY,
        _string(attributes.get(semconv.REQUEST_MODEL)),
        _string(attributes.get(semconv.OPERATION)),
        _string(attributes.get(semconv.STAGE)),
        _string(attributes.get(semconv.OUTCOME)),
        _seconds(attributes.get(semconv.TIME_TO_FIRST_TOKEN)),
        _seconds(attributes.get(semconv.TIME_PER_OUTPUT_TOKEN)),
        _seconds(attributes.get(semconv.CONSUMER_WAIT)),
        _integer(attributes.get(semconv.OUTPUT_TOKENS)),
    )


def _events(events: Sequence[Span.Event]) -> str:
    return text_of(
        [
            {
                "name": event.name,
                "time_ns": time_of(event.time_unix_nano),
                "attributes": attributes_of(event.attributes),
            }
            for event in events
        ]
    )


def _links(links: Sequence[Span.Link]) -> str:
    return text_of(
        [
            {
                "trace_id": link.trace_id.hex(),
                "span_id": link.span_id.hex(),
                "trace_state": link.trace_state,
                "attributes": attributes_of(link.attributes),
            }
            for link in links
        ]
    )


def _id(raw: bytes, length: int) -> str:
    return raw.hex() if len(raw) == length and any(raw) else ""


def _string(value: Value) -> str | None:
    return value if isinstance(value, str) else None


def _seconds(value: Value) -> float | None:
    """A duration; None for what is none, as senders may put anything into an attribute."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value <= _LONGEST_S else None


def _integer(value: Value) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
