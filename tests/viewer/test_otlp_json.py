from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import SeverityNumber
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from otelext.viewer.otlp_json import MalformedError, decode

texts = st.text(st.characters(codec="utf-8"), max_size=20)
times = st.integers(0, 2**64 - 1)
ids16 = st.binary(min_size=16, max_size=16)
ids8 = st.binary(min_size=8, max_size=8)
finite = st.floats(allow_nan=False)  # NaN is unequal to itself; infinities stay


def any_values() -> st.SearchStrategy[AnyValue]:
    simple = st.one_of(
        st.builds(lambda v: AnyValue(string_value=v), texts),
        st.builds(lambda v: AnyValue(int_value=v), st.integers(-(2**63), 2**63 - 1)),
        st.builds(lambda v: AnyValue(double_value=v), finite),
        st.builds(lambda v: AnyValue(bool_value=v), st.booleans()),
        st.builds(lambda v: AnyValue(bytes_value=v), st.binary(max_size=20)),
        st.just(AnyValue()),
    )
    return st.recursive(
        simple,
        lambda inner: st.one_of(
            st.builds(lambda v: AnyValue(array_value=ArrayValue(values=v)), st.lists(inner, max_size=3)),
            st.builds(
                lambda v: AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key=k, value=x) for k, x in v])),
                st.lists(st.tuples(texts, inner), max_size=3),
            ),
        ),
        max_leaves=6,
    )


# Attribute names that are spelled like ids must come through as they are.
attributes = st.lists(
    st.builds(lambda k, v: KeyValue(key=k, value=v), texts | st.sampled_from(["traceId", "span_id"]), any_values()),
    max_size=4,
)


@st.composite
def trace_requests(draw: st.DrawFn) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add()
    resource_spans.resource.attributes.extend(draw(attributes))
    scope_spans = resource_spans.scope_spans.add()
    scope_spans.scope.name = draw(texts)
    for _ in range(draw(st.integers(0, 3))):
        span = scope_spans.spans.add(
            trace_id=draw(ids16),
            span_id=draw(ids8),
            parent_span_id=draw(ids8 | st.just(b"")),
            name=draw(texts),
            kind=draw(st.sampled_from(Span.SpanKind.values())),
            start_time_unix_nano=draw(times),
            end_time_unix_nano=draw(times),
        )
        span.attributes.extend(draw(attributes))
        span.status.code = draw(st.sampled_from(Status.StatusCode.values()))
        event = span.events.add(name=draw(texts), time_unix_nano=draw(times))
        event.attributes.extend(draw(attributes))
        span.links.add(trace_id=draw(ids16), span_id=draw(ids8))
    return request


@st.composite
def metric_requests(draw: st.DrawFn) -> ExportMetricsServiceRequest:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name=draw(texts))
    metric.histogram.aggregation_temporality = draw(st.sampled_from(AggregationTemporality.values()))
    point = metric.histogram.data_points.add(
        count=draw(times), sum=draw(finite), explicit_bounds=draw(st.lists(finite, max_size=4))
    )
    point.bucket_counts.extend(draw(st.lists(times, max_size=4)))
    point.exemplars.add(trace_id=draw(ids16), span_id=draw(ids8), as_double=draw(finite))
    number = request.resource_metrics[0].scope_metrics[0].metrics.add(name=draw(texts)).sum.data_points.add()
    number.as_int = draw(st.integers(-(2**63), 2**63 - 1))
    number.attributes.extend(draw(attributes))
    return request


@st.composite
def log_requests(draw: st.DrawFn) -> ExportLogsServiceRequest:
    request = ExportLogsServiceRequest()
    record = (
        request.resource_logs.add()
        .scope_logs.add()
        .log_records.add(
            trace_id=draw(ids16),
            span_id=draw(ids8),
            severity_number=draw(st.sampled_from(SeverityNumber.values())),
            time_unix_nano=draw(times),
        )
    )
    record.body.CopyFrom(draw(any_values()))
    record.attributes.extend(draw(attributes))
    return request


def otlp_json(request: Any, *, upper: bool) -> bytes:
    """What the specification asks a sender for, written here a second time."""

    def with_hex_ids(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                k: with_hex(v) if k in {"traceId", "spanId", "parentSpanId"} else with_hex_ids(v)
                for k, v in value.items()
            }
        return [with_hex_ids(v) for v in value] if isinstance(value, list) else value

    def with_hex(value: str) -> str:
        digits = base64.b64decode(value).hex()
        return digits.upper() if upper else digits

    plain = json_format.MessageToDict(request, use_integers_for_enums=True)
    return json.dumps(with_hex_ids(plain)).encode()


@given(st.one_of(trace_requests(), metric_requests(), log_requests()), st.booleans())
def test_otlp_json_decodes_to_the_protobuf_original(request: Any, upper: bool) -> None:
    assert decode(otlp_json(request, upper=upper), type(request)()) == request


def test_enums_as_numbers_and_64_bit_integers_as_strings_or_numbers() -> None:
    body = b"""{"resourceSpans": [{"scopeSpans": [{"spans": [
        {"kind": 2, "startTimeUnixNano": "18446744073709551615", "endTimeUnixNano": 5, "madeUp": {"x": 1}}]}]}]}"""
    span = decode(body, ExportTraceServiceRequest()).resource_spans[0].scope_spans[0].spans[0]
    assert (span.kind, span.start_time_unix_nano, span.end_time_unix_nano) == (2, 2**64 - 1, 5)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"\xff\xfe{}",
        b'{"resourceSpans": 5}',
        b'{"resourceSpans": [5]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": 5}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "abc"}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "\\ud800"}]}]}]}',
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": "-1"}]}]}]}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"resourceSpans": [{"resource": {"attributes": [{"key": "a", "value": '
        + b'{"arrayValue": {"values": [' * 400
        + b"]}}" * 400
        + b"}]}}]}",
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": ' + b"9" * 5000 + b"}]}]}]}",
    ],
)
def test_what_is_no_otlp_json_is_refused_with_a_reason(body: bytes) -> None:
    with pytest.raises(MalformedError, match=r"\w"):
        decode(body, ExportTraceServiceRequest())


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_body_raises_anything_but_malformed(body: bytes) -> None:
    with contextlib.suppress(MalformedError):
        decode(body, ExportTraceServiceRequest())
