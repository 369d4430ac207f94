"""Log records as they leave, and the exporter that lets no others out."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult

from otelext import semconv
from otelext.capture.failure import report_setup
from otelext.constant import REDACTED, Constant
from otelext.processors.redaction import exceptions
from otelext.processors.redaction.counts import COUNTS
from otelext.processors.redaction.names import NAMES
from otelext.processors.redaction.rules import PROCESS, Rules
from otelext.processors.redaction.samples import LOGS, SAMPLES, of_logs
from otelext.processors.redaction.scopes import resource_of, scope_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord

_SEVERITIES: Final = frozenset(
    {
        "NOTSET",
        "WARNING",
        "CRITICAL",
        *(
            f"{name}{number}"
            for name in ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
            for number in ("", 2, 3, 4)
        ),
    }
)


class RedactingLogRecordExporter(LogRecordExporter):
    """Hands to another exporter what may leave of each log record. Usable by itself, around any `LogRecordExporter`.

    A body leaves if it is a `Constant`, as the bodies of our own handlers are, which see message and arguments apart.

    Attributes:
        exporter: The other one.
    """

    def __init__(self, exporter: LogRecordExporter, rules: Rules | None = None) -> None:
        """Wrap an exporter.

        Args:
            exporter: The exporter.
            rules: What may leave; what holds in the process if None.
        """
        self.exporter = exporter
        self._rules = rules

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Export what may leave; a record that can't be looked at is left out."""
        rules = PROCESS.rules if self._rules is None else self._rules
        leaving: list[ReadableLogRecord] = []
        for record in batch:
            try:
                leaving.append(redact(record, rules))
            except Exception as error:  # noqa: BLE001  # whatever a foreign object does when it is looked at
                COUNTS.add(semconv.REDACTED_LOG_MESSAGE)
                report_setup("otelext left a log record out that could not be redacted (%s)", type(error).__qualname__)
        SAMPLES.take(LOGS, of_logs(leaving))
        return self.exporter.export(leaving) if leaving else LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        """Shut the other exporter down."""
        self.exporter.shutdown()  # type: ignore[no-untyped-call]  # the SDK's

    def force_flush(self, timeout_millis: int = 10_000) -> bool:
        """Flush the other exporter."""
        return self.exporter.force_flush(timeout_millis)


def redact(record: ReadableLogRecord, rules: Rules, *, copied: bool = False) -> ReadableLogRecord:
    """A log record as it leaves.

    Args:
        record: The record.
        rules: The rules.
        copied: Whether it is a copy in any case, for who may write on it.

    Returns:
        `record` itself where all of it may leave.
    """
    entry = record.log_record
    given: Any = entry.attributes or {}
    attributes: Any = exceptions.leaving(rules, given, semconv.REDACTED_LOG_ATTRIBUTE)
    body = _body(entry.body, rules)
    scope = None if record.instrumentation_scope is None else scope_of(rules, record.instrumentation_scope)
    event_name = entry.event_name
    if (
        event_name is not None
        and type(event_name) is not Constant
        and not NAMES.leaves(event_name, None if scope is None else scope.name, {})
    ):
        COUNTS.add(semconv.REDACTED_EVENT_NAME)
        event_name = REDACTED
    severity = entry.severity_text
    if severity is not None and severity not in _SEVERITIES:
        severity = None
    resource = resource_of(rules, record.resource)
    if (
        attributes is given
        and body is entry.body
        and event_name is entry.event_name
        and severity is entry.severity_text
        and resource is record.resource
        and scope is record.instrumentation_scope
        and entry.exception is None
        and not copied
    ):
        return record
    leaving = copy.copy(entry)
    leaving.body, leaving.event_name, leaving.severity_text = body, event_name, severity
    leaving.exception = None  # the SDK has made attributes of it
    if attributes is not given:
        bounded = BoundedAttributes(attributes=attributes)
        bounded.dropped = record.dropped_attributes
        leaving.attributes = bounded
    return replace(record, log_record=leaving, resource=resource, instrumentation_scope=scope)


def _body(body: Any, rules: Rules) -> Any:
    if body is None or type(body) is Constant or rules.captures("log_messages"):
        return body
    COUNTS.add(semconv.REDACTED_LOG_MESSAGE)
    return REDACTED
