"""Log records as they leave."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.attributes import BoundedAttributes

from otelext import semconv
from otelext.constant import REDACTED, Constant
from otelext.processors.redaction import each, exceptions
from otelext.processors.redaction.counts import COUNTS
from otelext.processors.redaction.names import NAMES
from otelext.processors.redaction.scopes import resource_of, scope_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.sdk._logs import ReadableLogRecord

    from otelext.processors.redaction.rules import Rules

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


def leaving(records: Iterable[ReadableLogRecord], rules: Rules, *, copied: bool = False) -> list[ReadableLogRecord]:
    """What leaves of each log record; `copied` as for `redact`."""
    return each.leaving(
        records, lambda record: redact(record, rules, copied=copied), "a log record", semconv.REDACTED_LOG_MESSAGE
    )


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
