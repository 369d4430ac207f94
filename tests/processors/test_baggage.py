"""Baggage on the SDK's spans: those that start in its context, within the light lane, and never what came from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

import otelext
from otelext import semconv
from otelext.capture.baggage import BAGGAGE
from otelext.capture.binding import current_binding
from otelext.processors.baggage import BaggageSpanProcessor, add
from otelext.processors.genai import GenAISpanProcessor
from otelext.testing import capture

if TYPE_CHECKING:
    from collections.abc import Iterator

TENANT = semconv.TENANT_ID


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exported: InMemorySpanExporter) -> trace.Tracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BaggageSpanProcessor())
    provider.add_span_processor(SimpleSpanProcessor(exported))
    return provider.get_tracer("a-library")


@pytest.fixture
def of_clinic() -> Iterator[Context]:
    context = baggage.set_baggage(TENANT, "clinic-a", get_current())
    token = attach(baggage.set_baggage("diagnosis", "secret", context))
    yield get_current()
    detach(token)


@pytest.mark.usefixtures("of_clinic")
def test_a_span_carries_the_named_entries(tracer: trace.Tracer, exported: InMemorySpanExporter) -> None:
    tracer.start_span("SELECT", kind=SpanKind.CLIENT).end()
    (span,) = exported.get_finished_spans()
    assert dict(span.attributes or {}) == {TENANT: "clinic-a"}


def test_the_context_given_is_the_one_read(
    tracer: trace.Tracer, exported: InMemorySpanExporter, of_clinic: Context
) -> None:
    tracer.start_span("SELECT", context=Context()).end()
    tracer.start_span("SELECT", context=baggage.set_baggage(TENANT, "clinic-b", of_clinic)).end()
    assert [dict(span.attributes or {}) for span in exported.get_finished_spans()] == [{}, {TENANT: "clinic-b"}]


@pytest.mark.usefixtures("of_clinic")
def test_a_span_keeps_its_own_attribute(tracer: trace.Tracer, exported: InMemorySpanExporter) -> None:
    tracer.start_span("SELECT", attributes={TENANT: "its-own"}).end()
    (span,) = exported.get_finished_spans()
    assert dict(span.attributes or {}) == {TENANT: "its-own"}


@pytest.mark.usefixtures("of_clinic")
@pytest.mark.parametrize("kind", [SpanKind.SERVER, SpanKind.CONSUMER])
@pytest.mark.parametrize("trust", [True, False])
def test_what_an_entrance_starts_with_is_from_outside(
    kind: SpanKind,
    trust: bool,
    tracer: trace.Tracer,
    exported: InMemorySpanExporter,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(BAGGAGE, "trust", trust)
    tracer.start_span("GET /", kind=kind).end()
    (span,) = exported.get_finished_spans()
    assert (TENANT in (span.attributes or {})) is trust


@pytest.mark.usefixtures("of_clinic")
def test_the_light_lane_stays_open() -> None:
    with capture(span_processors=[BaggageSpanProcessor()]) as captured:
        with otelext.inference("chat"), trace.get_tracer("a-library").start_as_current_span("SELECT"):
            pass
        assert current_binding().light
    assert [(span.attributes or {})[TENANT] for span in captured.spans()] == ["clinic-a", "clinic-a"]


@pytest.mark.usefixtures("of_clinic")
def test_our_own_spans_are_the_same_in_the_sdks_lane() -> None:
    class StartListener(SpanProcessor):
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            """Nothing."""

    found = []
    for processors in ([], [StartListener()]):
        with capture(span_processors=[*processors, BaggageSpanProcessor()]) as captured, otelext.inference("chat"):
            token = attach(baggage.set_baggage(semconv.USER_ID, "set-later", get_current()))
            with otelext.stage("prefill"):
                pass
            detach(token)
        found.append([{key for key in span.attributes or {} if key.endswith(".id")} for span in captured.spans()])
    assert found == [[{TENANT}, {TENANT}]] * 2


def processors_of(provider: TracerProvider) -> list[type]:
    return [type(processor) for processor in provider._active_span_processor._span_processors]


def test_it_is_added_once_and_before_others(exported: InMemorySpanExporter) -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    assert add(provider)
    assert add(provider)
    assert processors_of(provider) == [BaggageSpanProcessor, SimpleSpanProcessor]


def test_it_stands_behind_our_own() -> None:
    with capture() as captured:
        current_binding()
        assert add(captured.tracer_provider)
        assert processors_of(captured.tracer_provider)[:2] == [GenAISpanProcessor, BaggageSpanProcessor]
        with otelext.inference("chat"):
            pass
        assert current_binding().light
        assert processors_of(captured.tracer_provider)[:2] == [GenAISpanProcessor, BaggageSpanProcessor]


def test_one_of_the_users_is_enough() -> None:
    provider = TracerProvider(shutdown_on_exit=False, active_span_processor=ConcurrentMultiSpanProcessor(2))
    nested = ConcurrentMultiSpanProcessor(1)
    nested.add_span_processor(BaggageSpanProcessor())
    provider.add_span_processor(nested)
    assert add(provider)
    assert processors_of(provider) == [ConcurrentMultiSpanProcessor]


@pytest.mark.parametrize("provider", [object(), None, trace.NoOpTracerProvider(), trace.ProxyTracerProvider()])
def test_another_provider_is_left_alone(provider: object) -> None:
    assert not add(provider)
