"""The handler that makes OTLP log records: the logging instrumentation's, with message and arguments apart."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Any

from opentelemetry._logs import LogRecord, get_logger
from opentelemetry.instrumentation.logging.handler import LoggingHandler

from otelext import semconv
from otelext.capture.context import get_current
from otelext.capture.failure import report_setup
from otelext.logs.code import code_of
from otelext.logs.entry import entry_of

if TYPE_CHECKING:
    import logging

    from otelext.logs.entry import Entry


class OtlpHandler(LoggingHandler):
    """Hands log records to the OpenTelemetry SDK, of each what may leave alone."""

    def _translate(self, record: logging.LogRecord) -> LogRecord:
        entry = entry_of(record)
        attributes = _raw(entry)
        if self._log_code_attributes:
            attributes.update(code_of(record))
        return _record(entry, attributes)

    def emit(self, record: logging.LogRecord) -> None:
        """Emit a record. Never raises, as the instrumentation's would where a processor does."""
        try:
            super().emit(record)
        except Exception as error:  # noqa: BLE001  # a processor of the user's
            report_setup("otelext could not emit a log record (%s)", type(error).__qualname__)

    def publish(self, entry: Entry) -> None:
        """Emit an entry that is no record's. Never raises."""
        if entry.level < self.level or self._is_emitting.get():
            return
        token = self._is_emitting.set(True)
        try:
            get_logger(entry.logger, logger_provider=self._logger_provider).emit(_record(entry, _raw(entry)))
        except Exception as error:  # noqa: BLE001  # as above
            report_setup("otelext could not emit a log record (%s)", type(error).__qualname__)
        finally:
            self._is_emitting.reset(token)


def _record(entry: Entry, attributes: dict[str, Any]) -> LogRecord:
    return LogRecord(
        timestamp=entry.time_ns,
        observed_timestamp=time_ns(),
        context=entry.context or get_current() or None,
        severity_text=entry.severity_text,
        severity_number=entry.severity,
        body=entry.body,
        attributes=attributes,
        event_name=entry.event,
    )


def _raw(entry: Entry) -> dict[str, Any]:
    attributes = dict(entry.attributes)
    if entry.user is not None:
        attributes[semconv.USER_ID] = entry.user  # the exporter hashes it, as it does those of spans
    return attributes
