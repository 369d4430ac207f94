"""Redaction around the exporters of providers that others made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from opentelemetry._logs import LogRecord
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk._logs.export import (
    BatchLogRecordProcessor,
    InMemoryLogRecordExporter,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import (
    ConcurrentMultiSpanProcessor,
    SpanProcessor,
    SynchronousMultiSpanProcessor,
    TracerProvider,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otelext.capture import failure
from otelext.processors.redaction import rules
from otelext.processors.redaction.rules import PROCESS, Rules
from otelext.processors.redaction.wrap import wrap_logger_provider, wrap_meter_provider, wrap_tracer_provider

SECRET = f"k1m-{uuid4().hex}"  # in no literal


@pytest.fixture(autouse=True)
def _the_process_is_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PROCESS, "rules", Rules())
    monkeypatch.setattr(PROCESS, "unwrapped", ())
    monkeypatch.setattr(failure, "_last", {})


def names(exporter: InMemorySpanExporter) -> list[str]:
    return [span.name for span in exporter.get_finished_spans()]


@pytest.mark.parametrize("processor", [SimpleSpanProcessor, BatchSpanProcessor])
@pytest.mark.parametrize("late", [False, True])
def test_spans_are_redacted_whenever_the_processor_came(processor: Any, late: bool) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    if late:
        assert wrap_tracer_provider(provider)
    provider.add_span_processor(processor(exporter))
    if not late:
        assert wrap_tracer_provider(provider)
    assert wrap_tracer_provider(provider)
    provider.get_tracer("t").start_span(SECRET, attributes={"prompt": SECRET}).end()
    provider.shutdown()
    assert names(exporter) == ["[redacted]"]


def test_processors_inside_of_others_are_found() -> None:
    exporter = InMemorySpanExporter()
    inner = ConcurrentMultiSpanProcessor()
    inner.add_span_processor(SimpleSpanProcessor(exporter))
    provider = TracerProvider(active_span_processor=inner)
    assert wrap_tracer_provider(provider)
    provider.get_tracer("t").start_span(SECRET).end()
    assert names(exporter) == ["[redacted]"]
    provider.shutdown()


def test_what_is_added_to_a_processor_of_processors_later_is_redacted() -> None:
    own, inner = InMemorySpanExporter(), InMemorySpanExporter()
    several = SynchronousMultiSpanProcessor()
    provider = TracerProvider(active_span_processor=several)
    assert wrap_tracer_provider(provider)
    several.add_span_processor(SimpleSpanProcessor(own))
    nested = ConcurrentMultiSpanProcessor()
    provider.add_span_processor(nested)
    nested.add_span_processor(SimpleSpanProcessor(inner))
    provider.get_tracer("t").start_span(SECRET).end()
    assert names(own) == names(inner) == ["[redacted]"]
    provider.shutdown()


class Own(SpanProcessor):
    """A processor of the user's, which sends by all that it holds."""

    def on_end(self, span: Any) -> None:
        for value in vars(self).values():
            for sender in value if isinstance(value, list) else [value]:
                if isinstance(sender, SpanProcessor):
                    sender.on_end(span)
                elif callable(sender):
                    sender([span])
                else:
                    sender.export([span])


@dataclass(frozen=True, eq=False)
class Frozen(Own):
    exporter: SpanExporter


class Around(Own):
    def __init__(self, exporter: SpanExporter) -> None:
        self.processor = SimpleSpanProcessor(exporter)


class InAList(Own):
    def __init__(self, exporter: SpanExporter) -> None:
        self.first = InMemorySpanExporter()
        self.others = [exporter]


class ByAMethod(Own):
    def __init__(self, exporter: SpanExporter) -> None:
        self.first = InMemorySpanExporter()
        self.send = exporter.export


class AroundAnother(Own):
    def __init__(self, exporter: SpanExporter) -> None:
        self.first = InMemorySpanExporter()
        self.other = Around(exporter)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("own", [Frozen, Around, InAList, ByAMethod, AroundAnother])
def test_a_processor_of_the_users_lets_nothing_out_however_it_holds_its_exporter(own: Any, late: bool) -> None:
    exporter, behind, provider = InMemorySpanExporter(), InMemorySpanExporter(), TracerProvider()
    if late:
        assert wrap_tracer_provider(provider)
    provider.add_span_processor(own(exporter))
    provider.add_span_processor(SimpleSpanProcessor(behind))
    assert wrap_tracer_provider(provider)
    provider.get_tracer("t").start_span(SECRET, attributes={"user.id": "kim"}).end()
    assert names(exporter) == names(behind) == ["[redacted]"]


class Vendor(SpanProcessor):
    """Exports by means of its own."""

    def __init__(self) -> None:
        self.got: list[str] = []

    def on_end(self, span: Any) -> None:
        self.got.append(span.to_json())


class Enriching(SpanProcessor):
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        span.set_attribute("http.route", "/enriched")


def test_a_processor_without_an_exporter_is_shown_what_may_leave(caplog: pytest.LogCaptureFixture) -> None:
    vendor, provider, exporter = Vendor(), TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(Enriching())
    provider.add_span_processor(vendor)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    assert wrap_tracer_provider(provider)
    provider.get_tracer("t").start_span(SECRET, attributes={"prompt": SECRET}).end()
    (seen,) = vendor.got
    assert SECRET not in seen
    assert "/enriched" in seen
    assert f"{__name__}.Vendor" in caplog.text
    # An auditor sees it in the backend.
    (span,) = exporter.get_finished_spans()
    assert span.resource.attributes["otelext.unwrapped"] == (f"{__name__}.Vendor",)


def test_it_gets_everything_where_the_user_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PROCESS, "rules", Rules(capture=frozenset({"unwrapped_exporters"})))
    vendor, provider = Vendor(), TracerProvider()
    wrap_tracer_provider(provider)
    provider.add_span_processor(vendor)
    provider.get_tracer("t").start_span(SECRET).end()
    assert SECRET in vendor.got[0]


@pytest.mark.parametrize("processor", [SimpleLogRecordProcessor, BatchLogRecordProcessor])
@pytest.mark.parametrize("late", [False, True])
def test_log_records_are_redacted_whenever_the_processor_came(processor: Any, late: bool) -> None:
    exporter, provider = InMemoryLogRecordExporter(), LoggerProvider()
    if late:
        assert wrap_logger_provider(provider)
    provider.add_log_record_processor(processor(exporter))
    if not late:
        assert wrap_logger_provider(provider)
    provider.get_logger("json").emit(LogRecord(body=SECRET))
    provider.force_flush()
    (found,) = exporter.get_finished_logs()
    assert found.log_record.body == "[redacted]"
    provider.shutdown()


class LogVendor(LogRecordProcessor):
    def __init__(self) -> None:
        self.got: list[Any] = []

    def on_emit(self, log_record: Any) -> None:
        self.got.append(log_record.log_record.body)
        log_record.log_record.attributes["http.route"] = "/enriched"

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return True


def test_a_log_processor_without_an_exporter_sees_what_may_leave_and_can_still_add() -> None:
    vendor, exporter, provider = LogVendor(), InMemoryLogRecordExporter(), LoggerProvider()
    provider.add_log_record_processor(vendor)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    assert wrap_logger_provider(provider)
    provider.get_logger("json").emit(LogRecord(body=SECRET, attributes={"prompt": SECRET}))
    assert vendor.got == ["[redacted]"]
    (found,) = exporter.get_finished_logs()
    assert dict(found.log_record.attributes or {}) == {"http.route": "/enriched"}


def test_metrics_are_redacted_for_readers_that_are_there_and_for_those_that_come() -> None:
    there, late = InMemoryMetricReader(), InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[there])
    assert wrap_meter_provider(provider)
    provider.add_metric_reader(late)
    provider.get_meter("json").create_counter("c").add(1, {"patient": SECRET})
    for reader in (there, late):
        data = reader.get_metrics_data()
        assert data is not None
        assert SECRET not in data.to_json()
    provider.shutdown()


@pytest.mark.parametrize("wrap", [wrap_tracer_provider, wrap_logger_provider, wrap_meter_provider])
def test_a_provider_that_is_not_the_sdks_can_not_be_wrapped(wrap: Any) -> None:
    assert not wrap(object())


def test_an_auditor_sees_what_was_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules.PROCESS, "rules", Rules(capture=frozenset({"span_names", "log_arguments"})))
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    wrap_tracer_provider(provider)
    provider.get_tracer("t").start_span(SECRET).end()
    (span,) = exporter.get_finished_spans()
    assert span.resource.attributes["otelext.capture"] == ("log_arguments", "span_names")
