"""What one log line is, whatever logged it: built in the thread that logs, of what may leave alone."""

from __future__ import annotations

import logging
import sys
import threading
import weakref
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry._logs import SeverityNumber

from otelext import semconv
from otelext.capture.context import get_current
from otelext.capture.request import origin_of, request_of
from otelext.constant import Constant
from otelext.logs import failure
from otelext.logs.message import REDACTED_BODY, body_of, is_written
from otelext.logs.names import logger_name
from otelext.logs.surroundings import surroundings
from otelext.processors.redaction import exceptions
from otelext.processors.redaction.counts import COUNTS
from otelext.processors.redaction.rules import PROCESS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import FrameType

    from opentelemetry.context import Context

    from otelext.processors.redaction.rules import Rules

_MAX_FRAMES: Final = 64
_BLANK: Final = logging.LogRecord("", 0, "", 0, "", (), None).__dict__
# `message` and `asctime` are set by formatters; the last four by the instrumentation where it is asked for correlation.
_RESERVED: Final = frozenset(_BLANK) | {
    "taskName",
    "message",
    "asctime",
    "otelSpanID",
    "otelTraceID",
    "otelTraceSampled",
    "otelServiceName",
}
_SIZE: Final = len(_BLANK)

_NAMES: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")
_MAX_LEVEL: Final = 53
_NUMBERS: Final = [1] * 10 + [
    min(4 * (level // 10) + 1 + min(level % 10, 3), 24) for level in range(10, _MAX_LEVEL + 1)
]
_SEVERITIES: Final = [(SeverityNumber(number), _NAMES[(number - 1) // 4]) for number in _NUMBERS]
"""By level number: as the instrumentation maps them, and what is below DEBUG to TRACE."""


class Entry:
    """One log line.

    Attributes:
        time_ns: When it was logged, in Unix nanoseconds.
        level: Level number of stdlib logging.
        severity: OpenTelemetry's severity number.
        severity_text: TRACE, DEBUG, INFO, WARN, ERROR or FATAL.
        logger: Name of the logger, as it leaves.
        event: Name of the event, None for a line that is none.
        body: What leaves of the message.
        context: What the ids are of, None outside of everything.
        attributes: Those that leave, as they leave.
        user: The `user.id` before it was hashed, None where there is none or none leaves: an exporter hashes by itself.
        trace_id: Of the current span; 0 outside of a trace, as the two below.
        span_id: Of the current span.
        trace_flags: 1 where the trace is sampled.
    """

    __slots__ = (
        "__weakref__",
        "attributes",
        "body",
        "context",
        "event",
        "level",
        "logger",
        "severity",
        "severity_text",
        "span_id",
        "time_ns",
        "trace_flags",
        "trace_id",
        "user",
    )

    def __init__(self, time_ns: int, level: Any, logger: str) -> None:
        self.time_ns = time_ns
        self.level: int = level if isinstance(level, int) else logging.NOTSET
        index = self.level if 0 <= self.level <= _MAX_LEVEL else _MAX_LEVEL if self.level > 0 else 0
        self.severity, self.severity_text = _SEVERITIES[index]
        self.logger = logger
        self.event: str | None = None
        self.body: Constant = REDACTED_BODY
        self.context: Context | None = None
        self.attributes: Mapping[str, Any] = {}
        self.user: Any = None
        self.trace_id = self.span_id = self.trace_flags = 0

    def take(
        self, given: dict[str, Any], raised: BaseException | None, rules: Rules, written: Callable[[str], bool]
    ) -> None:
        """Take ids and attributes: those of the context around, those that were logged, and those of an exception.

        Args:
            given: What was logged besides the message; it goes before the context. Changed.
            raised: The exception that was logged.
            rules: What may leave.
            written: Whether a text is a literal of the code that logs.
        """
        if given:
            self._take_event(given, written)
        context = get_current()
        if raised is not None:
            context = _context_of(raised, context)
        if context:
            self.context = context
            found = trace.get_current_span(context).get_span_context()
            if found.is_valid:
                self.trace_id, self.span_id, self.trace_flags = found.trace_id, found.span_id, int(found.trace_flags)
            around = surroundings(context)
            if around:
                given = {**around, **given}
        described = None
        if raised is not None:
            described = failure.describe(raised, rules)
            for key in failure.KEYS:
                given.pop(key, None)
            kind = described.pop(semconv.EXCEPTION_TYPE, None)
            if kind is not None:
                given[semconv.EXCEPTION_TYPE] = kind
        if given:
            leaving = exceptions.leaving(rules, given, semconv.REDACTED_LOG_ATTRIBUTE)
            if semconv.USER_ID in leaving:
                self.user = given[semconv.USER_ID]
            self.attributes = {**leaving, **described} if described else leaving
        elif described:
            self.attributes = described

    def _take_event(self, given: dict[str, Any], written: Callable[[str], bool]) -> None:
        for key in semconv.EVENT_NAME_FIELDS:
            name = given.pop(key, None)
            if name is None or self.event is not None:
                continue
            if isinstance(name, str) and (name == semconv.INFERENCE_EVENT or written(str.__str__(name))):
                self.event = Constant(str.__str__(name))
            else:
                COUNTS.add(semconv.REDACTED_EVENT_NAME)
                self.event = REDACTED_BODY


def _context_of(raised: BaseException, context: Context) -> Context:
    """The context that a line about an exception belongs to: a server logs outside of the request that failed."""
    origin = origin_of(raised)
    if origin is None or request_of(context) is not None:
        return context
    here, there = (trace.get_current_span(of).get_span_context() for of in (context, origin))
    return context if here.is_valid and here.trace_id != there.trace_id else origin


class _Last(threading.local):
    """The last record of this thread, so that several handlers build its entry once."""

    record: Callable[[], logging.LogRecord | None] | None = None
    entry: Entry | None = None
    rules: Rules | None = None


_last: Final = _Last()


def entry_of(record: logging.LogRecord) -> Entry:
    """The entry of a record of stdlib logging. Never raises.

    Handlers of one record, called one after the other in one thread, get the very same entry.
    """
    rules = PROCESS.rules
    last = _last
    if last.record is not None and last.record() is record and last.rules is rules and last.entry is not None:
        return last.entry
    entry = _built(record, rules)
    try:
        last.record, last.entry, last.rules = weakref.ref(record), entry, rules
    except TypeError:  # a record of the user's own class, without weak references
        last.record = None
    return entry


def _built(record: logging.LogRecord, rules: Rules) -> Entry:
    filename = record.pathname

    def frame() -> FrameType | None:
        return _frame_of(record)

    entry = Entry(_time_ns(record), record.levelno, logger_name(record.name, filename, frame))
    try:
        entry.body = body_of(record.msg, record.args, filename, rules, frame, record.name)
        values = record.__dict__
        given = {} if len(values) <= _SIZE else {key: values[key] for key in values if key not in _RESERVED}
        raised = None if record.exc_info is None else failure.exception_of(record.exc_info)
        entry.take(given, raised, rules, lambda text: is_written(text, filename, frame()))
    except Exception:  # noqa: BLE001  # whatever a foreign object does when it is looked at
        COUNTS.add(semconv.REDACTED_LOG_ATTRIBUTE)
    return entry


def _time_ns(record: logging.LogRecord) -> int:
    try:
        return int(record.created * 1e9)
    except (TypeError, ValueError, OverflowError):  # a record that somebody made by hand, or from another's fields
        return time_ns()


def _frame_of(record: logging.LogRecord) -> FrameType | None:
    """The frame that logged a record, where this is still its thread."""
    frame: FrameType | None = sys._getframe(1)  # noqa: SLF001  # as logging itself finds callers
    for _ in range(_MAX_FRAMES):
        if frame is None:
            return None
        code = frame.f_code
        if code.co_name == record.funcName and code.co_filename == record.pathname:
            return frame
        frame = frame.f_back
    return None
