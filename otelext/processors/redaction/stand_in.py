"""Processors that stand for those of others, and show them what may leave alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs import LogRecordProcessor, ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor

from otelext.processors.redaction import logs, spans
from otelext.processors.redaction.rules import PROCESS

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span


class RedactedSpanProcessor(SpanProcessor):
    """Stands for a span processor in whose hands no exporter is found: ended spans reach it redacted.

    Attributes:
        processor: The other one.
    """

    def __init__(self, processor: SpanProcessor) -> None:
        self.processor = processor

    def on_end(self, span: ReadableSpan) -> None:
        """Hand over what may leave of the span."""
        for leaving in spans.leaving((span,), PROCESS.rules):
            self.processor.on_end(leaving)

    def shutdown(self) -> None:
        """Shut the other one down."""
        self.processor.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the other one."""
        return self.processor.force_flush(timeout_millis)


class RedactedStartingSpanProcessor(RedactedSpanProcessor):
    """The same for a processor that looks at starts: it sees the span itself, as it may write on it."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """As the other one does."""
        self.processor.on_start(span, parent_context)

    def _on_ending(self, span: Span) -> None:
        self.processor._on_ending(span)  # noqa: SLF001  # the SDK's hook


class RedactedLogRecordProcessor(LogRecordProcessor):
    """Stands for a log record processor in whose hands no exporter is found: it sees records redacted.

    Attributes that it sets reach the processors behind it, as before.

    Attributes:
        processor: The other one.
    """

    def __init__(self, processor: LogRecordProcessor) -> None:
        self.processor = processor

    def on_emit(self, log_record: ReadWriteLogRecord) -> None:
        """Hand over what may leave of the record, and take back what was added to it."""
        entry = log_record.log_record
        resource = log_record.resource or Resource.get_empty()
        readable = ReadableLogRecord(entry, resource, log_record.instrumentation_scope, log_record.limits)
        for leaving in logs.leaving((readable,), PROCESS.rules, copied=True):
            shown = ReadWriteLogRecord(
                leaving.log_record, leaving.resource, leaving.instrumentation_scope, log_record.limits
            )
            before = dict(shown.log_record.attributes or {})
            self.processor.on_emit(shown)
            attributes: Any = entry.attributes
            for key, value in (shown.log_record.attributes or {}).items():
                if key not in before or before[key] is not value:
                    attributes[key] = value

    def enabled(self, **about: Any) -> bool:
        """As the other one says."""
        return self.processor.enabled(**about)

    def shutdown(self) -> None:
        """Shut the other one down."""
        self.processor.shutdown()

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Flush the other one."""
        return self.processor.force_flush(timeout_millis)


def stand_in_for_spans(processor: SpanProcessor) -> RedactedSpanProcessor:
    """What stands for a span processor; it looks at starts only where that one does, since the light lane asks."""
    kind = type(processor)
    ignores = kind.on_start is SpanProcessor.on_start and kind._on_ending is SpanProcessor._on_ending  # noqa: SLF001
    return RedactedSpanProcessor(processor) if ignores else RedactedStartingSpanProcessor(processor)
