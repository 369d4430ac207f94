"""The SDK's providers as a service has them, but for exporters that discard."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from opentelemetry.context import Context
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.trace import ReadableSpan, Span


class Discard(SpanExporter):
    """Takes spans and keeps none."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:  # noqa: ARG002  # the SDK's signature
        """Succeed."""
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is open."""


class DiscardLogs(LogRecordExporter):
    """Takes log records and keeps none."""

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:  # noqa: ARG002  # as above
        """Succeed."""
        return LogRecordExportResult.SUCCESS

    def force_flush(self, timeout_millis: int = 10_000) -> bool:  # noqa: ARG002  # as above
        """Nothing waits."""
        return True

    def shutdown(self) -> None:
        """Nothing is open."""


class NoticesStarts(SpanProcessor):
    """Looks at the start of spans, as many a user's processor does: it closes the light lane."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Look."""


class Providers(NamedTuple):
    """The global providers.

    Attributes:
        tracers: Of spans, which are discarded.
        meters: Of metrics.
        reader: Where those are read.
    """

    tracers: TracerProvider
    meters: MeterProvider
    reader: InMemoryMetricReader


def set_providers(*, sampled: bool = True, processors: Iterable[SpanProcessor] = ()) -> Providers:
    """Make providers with a batch processor and a reader, and set them as the global ones.

    Args:
        sampled: Whether root spans are.
        processors: Further span processors.
    """
    reader = InMemoryMetricReader()
    tracers = TracerProvider(sampler=ParentBased(ALWAYS_ON if sampled else ALWAYS_OFF), shutdown_on_exit=False)
    for processor in (*processors, BatchSpanProcessor(Discard(), max_queue_size=100_000)):
        tracers.add_span_processor(processor)
    meters = MeterProvider([reader], shutdown_on_exit=False)
    trace.set_tracer_provider(tracers)
    metrics.set_meter_provider(meters)
    return Providers(tracers, meters, reader)


def set_logs() -> LoggerProvider:
    """Make a provider of log records, with a batch processor, and set it as the global one."""
    logs = LoggerProvider(shutdown_on_exit=False)
    logs.add_log_record_processor(BatchLogRecordProcessor(DiscardLogs(), max_queue_size=100_000))
    set_logger_provider(logs)
    return logs
