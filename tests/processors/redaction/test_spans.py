"""Spans as they leave: real SDK spans through a real processor into an exporter behind ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, Status, StatusCode, TraceFlags, TraceState

from otelext.processors import allowed
from otelext.processors.redaction.exporters import RedactingSpanExporter
from otelext.processors.redaction.rules import Rules
from otelext.processors.redaction.spans import redact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.trace import Tracer

SECRET = f"k1m-{uuid4().hex}"  # in no literal


class Recorded:
    def __init__(self, rules: Rules | None = None, **provider: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(**provider)
        self.provider.add_span_processor(SimpleSpanProcessor(RedactingSpanExporter(self.exporter, rules or Rules())))

    @property
    def tracer(self) -> Tracer:
        return self.provider.get_tracer(__name__)

    @property
    def span(self) -> ReadableSpan:
        (span,) = self.exporter.get_finished_spans()
        return span


def everywhere(recorded: Recorded) -> None:
    state = TraceState([("vendor", SECRET)])
    linked = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1), trace_state=state)
    span = recorded.tracer.start_span(
        f"read {SECRET}", attributes={"prompt": SECRET, SECRET: 1}, links=[Link(linked, {"note": SECRET})]
    )
    span.add_event(SECRET, {"text": SECRET})
    span.record_exception(ValueError(SECRET))
    span.set_status(Status(StatusCode.ERROR, SECRET))
    span.end()


def test_nothing_of_it_leaves() -> None:
    recorded = Recorded(resource=Resource({"service.name": "s", "owner": SECRET}))
    everywhere(recorded)
    span = recorded.span
    assert SECRET not in span.to_json()
    assert span.name == "[redacted]"
    assert [event.name for event in span.events] == ["[redacted]", "exception"]
    assert span.events[1].attributes == {"exception.type": "ValueError", "exception.escaped": "False"}
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description is None
    assert not span.links[0].context.trace_state
    assert span.links[0].context.span_id == 2
    assert dict(span.resource.attributes) == {"service.name": "s"}


@pytest.mark.parametrize(
    ("capture", "opened"),
    [
        ("span_attributes", {"attributes", "key", "link", "event attribute"}),
        ("span_names", {"name", "event"}),
        ("status_descriptions", {"status"}),
        ("exception_messages", {"message"}),
        ("exception_stacktraces", {"stacktrace"}),
        ("resource_attributes", {"resource"}),
    ],
)
def test_each_opt_out_opens_what_it_names_and_nothing_else(capture: str, opened: set[str]) -> None:
    recorded = Recorded(Rules(capture=frozenset({capture})), resource=Resource({"owner": SECRET}))
    everywhere(recorded)
    span = recorded.span
    attributes: Any = span.attributes
    event, exception = (dict(e.attributes or {}) for e in span.events)
    places = {
        "name": span.name,
        "attributes": attributes.get("prompt", ""),
        "key": "".join(attributes),
        "link": str(span.links[0].attributes),
        "event": span.events[0].name,
        "event attribute": str(event),
        "message": str(exception.get("exception.message")),
        "stacktrace": str(exception.get("exception.stacktrace")),
        "status": str(span.status.description),
        "resource": str(dict(span.resource.attributes)),
    }
    assert {place for place, text in places.items() if SECRET in text} == opened


def test_a_span_that_may_leave_is_passed_on_as_it_is() -> None:
    span = ReadableSpan("exception", attributes={"http.route": "/"}, resource=Resource({"service.name": "s"}))
    assert redact(span, Rules()) is span


def test_what_the_provider_dropped_is_still_told() -> None:
    limits = SpanLimits(max_span_attributes=1, max_events=1, max_links=1)
    recorded = Recorded(span_limits=limits)
    link = Link(SpanContext(1, 2, is_remote=True))
    span = recorded.tracer.start_span("exception", attributes={"a": 1, "b": 2}, links=[link, link])
    span.add_event("x", {})
    span.add_event("y", {})
    span.end()
    assert (recorded.span.dropped_attributes, recorded.span.dropped_events, recorded.span.dropped_links) == (1, 1, 1)


@pytest.mark.parametrize("name", ["a constant name of this file", "GET", "connect"])
def test_a_name_that_is_written_in_the_program_stays(name: str) -> None:
    recorded = Recorded()
    recorded.tracer.start_span(name).end()
    assert recorded.span.name == name


@pytest.mark.parametrize(
    ("words", "attributes", "leaves"),
    [
        (("POST", "/receipts/{id}"), {"http.route": "/receipts/{id}"}, True),
        (("chat", "qwen"), {"gen_ai.operation.name": "chat", "gen_ai.request.model": "qwen"}, True),
        (("SELECT", "claims"), {"db.namespace": "claims"}, True),
        (("/*k1m*/", "claims"), {"db.namespace": "claims"}, False),
        (("run/json.dumps",), {}, True),
        (("BackgroundTask", "everywhere"), {}, True),
    ],
)
def test_a_name_stays_that_is_made_of_what_leaves(
    words: tuple[str, ...], attributes: dict[str, str], leaves: bool
) -> None:
    recorded = Recorded()
    name = " ".join(words)  # written nowhere as a whole
    recorded.provider.get_tracer("opentelemetry.instrumentation.any").start_span(name, attributes=attributes).end()
    assert recorded.span.name == (name if leaves else "[redacted]")


class Broken(SpanExporter):
    def __init__(self) -> None:
        self.got: list[ReadableSpan] = []
        self.is_down = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.got.extend(spans)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self.is_down = True


class Hostile(ReadableSpan):
    @property
    def attributes(self) -> Any:
        raise RuntimeError(SECRET)


def test_a_span_that_cannot_be_looked_at_is_left_out_and_the_others_go(caplog: pytest.LogCaptureFixture) -> None:
    behind = Broken()
    exporter = RedactingSpanExporter(behind, Rules())
    assert exporter.export([Hostile("x"), ReadableSpan("exception")]) is SpanExportResult.SUCCESS
    assert [span.name for span in behind.got] == ["exception"]
    assert SECRET not in caplog.text
    exporter.shutdown()
    assert behind.is_down


values = st.recursive(
    st.one_of(st.just(SECRET), st.just(SECRET.encode()), st.integers(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("words", "leaves"),
    [(("POST", "/receipts/17"), "POST"), (("select", "/srv/k1m.db"), "select"), (("k1m", "x"), "[redacted]")],
)
def test_of_a_name_that_does_not_stay_the_method_or_statement_does(words: tuple[str, ...], leaves: str) -> None:
    recorded = Recorded()
    recorded.provider.get_tracer("opentelemetry.instrumentation.any").start_span(" ".join(words)).end()
    assert recorded.span.name == leaves


@given(st.dictionaries(st.text(max_size=8).filter(lambda key: key not in allowed.names()), values, max_size=5))
def test_nothing_nested_leaves_under_any_name(attributes: dict[str, Any]) -> None:
    span = redact(ReadableSpan("exception", attributes={**attributes, "http.route": [{"x": SECRET}]}), Rules())
    assert SECRET not in repr(dict(span.attributes or {}))
