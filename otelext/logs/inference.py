"""The canonical line: one an inference, at its end, through the global logger provider and as a line of the room's."""

from __future__ import annotations

import logging
import os
from time import monotonic_ns, time_ns
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from opentelemetry import _logs as logs_api
from opentelemetry._logs import NoOpLogger, SeverityNumber
from opentelemetry.context import Context
from opentelemetry.trace import INVALID_SPAN, get_current_span

from otelext import semconv
from otelext._version import __version__
from otelext.capture.binding import rebind
from otelext.capture.context import SPAN_KEY
from otelext.capture.failure import report
from otelext.constant import Constant
from otelext.emit.process import WORKER
from otelext.logs.install import INSTALLED
from otelext.logs.line import attributes_of
from otelext.logs.rate import RateLimit
from otelext.processors.redaction.rules import PROCESS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otelext.capture.inference import Inference
    from otelext.logs.entry import Entry

PER_SECOND: Final = 100.0
_FAILED: Final = (semconv.Outcome.ERROR, semconv.Outcome.TIMEOUT)
_INFERENCE: Final = Constant(semconv.INFERENCE_EVENT), Constant("inference ended")
_LEFT_OUT: Final = Constant(semconv.LINES_LEFT_OUT_EVENT), Constant("lines of inferences were left out")


_LEVELS: Final = {
    SeverityNumber.INFO: logging.INFO,
    SeverityNumber.WARN: logging.WARNING,
    SeverityNumber.ERROR: logging.ERROR,
}


class _Line(NamedTuple):
    """A line before it is written.

    Attributes:
        time_ns: Unix time in nanoseconds.
        severity: OpenTelemetry's severity.
        event: Event name.
        body: A constant sentence.
        context: Holds the span that it belongs to.
        attributes: Values as they are inside the process.
    """

    time_ns: int
    severity: SeverityNumber
    event: Constant
    body: Constant
    context: Context
    attributes: Mapping[str, Any]

    def entry(self) -> Entry:
        """What leaves of it, as the room writes it."""
        from otelext.logs.entry import Entry  # noqa: PLC0415  # what only a line needs, a start does not load

        entry = Entry(self.time_ns, _LEVELS[self.severity], semconv.SCOPE_NAME)
        entry.event, entry.body = self.event, self.body
        entry.attributes = PROCESS.rules.attributes(self.attributes, semconv.REDACTED_LOG_ATTRIBUTE)
        span = get_current_span(self.context).get_span_context()
        if span.is_valid:
            entry.trace_id, entry.span_id, entry.trace_flags = span.trace_id, span.span_id, int(span.trace_flags)
        return entry


class InferenceLines:
    """Writes the line of each inference that the worker has finished.

    More than `per_second` are left out, those of errors and time-outs never; how many were is told by the next line,
    or by a line of its own once the flood is over and at each flush. Those below the level that was set by
    `OTELEXT_LOG_LEVEL` for the logger `otelext`, or for all, are not wanted, and not counted.
    """

    def __init__(
        self,
        *,
        per_second: float = PER_SECOND,
        write: Callable[[Entry], None] | None = None,
        clock: Callable[[], int] = monotonic_ns,
    ) -> None:
        self._limit = RateLimit(per_second, clock)
        self._write = write
        self._provider: object = None
        self._logger: logs_api.Logger = NoOpLogger(semconv.SCOPE_NAME)

    def set(self, *, per_second: float, write: Callable[[Entry], None] | None, clock: Callable[[], int]) -> None:
        """Go on with other settings; what was left out so far is still told."""
        untold = self._limit.over(at_once=True)
        self._limit = RateLimit(per_second, clock)
        self._limit.untold(untold)
        self._write = write

    def after_fork(self) -> None:
        """Forget what the parent left out, which tells of it."""
        self._limit.reset()

    def observe(self, inference: Inference) -> None:
        """Write the line of a finished inference. Never raises."""
        failed = inference.settled in _FAILED
        if not INSTALLED.levels.lets(semconv.SCOPE_NAME, logging.ERROR if failed else logging.INFO):
            return
        left_out = self._limit.admit(always=failed)
        if left_out is None:
            return
        try:
            attributes = attributes_of(inference)
            if left_out:
                attributes[semconv.LINES_LEFT_OUT] = left_out
            line = _Line(
                inference.wall(inference.end_ns or inference.start_ns),
                SeverityNumber.ERROR if failed else SeverityNumber.INFO,
                *_INFERENCE,
                _span_alone(inference),
                attributes,
            )
        except Exception:  # noqa: BLE001  # a foreign span; the line is counted as left out
            report("otelext could not make the line of an inference", exc_info=True)
            self._limit.untold(left_out + 1)
            return
        if not self._emit(line):
            self._limit.untold(left_out + 1)

    def poll(self, flushing: bool) -> None:
        """Tell how many were left out, if the flood is over or a flush waits. Never raises."""
        left_out = self._limit.over(at_once=flushing)
        if left_out:
            attributes = {semconv.LINES_LEFT_OUT: left_out}
            line = _Line(time_ns(), SeverityNumber.WARN, *_LEFT_OUT, _NO_SPAN, attributes)
            if not self._emit(line):
                self._limit.untold(left_out)

    def _emit(self, line: _Line) -> bool:
        """Whether it was written, or there is nowhere to write it to."""
        tried = written = 0
        logger = self._current_logger()
        if logger is not None:
            tried += 1
            try:
                logger.emit(
                    timestamp=line.time_ns,
                    context=line.context,
                    severity_number=line.severity,
                    severity_text=line.severity.name,
                    body=line.body,
                    attributes=dict(line.attributes),
                    event_name=line.event,
                )
                written += 1
            except Exception:  # noqa: BLE001  # a foreign processor; the other way is still tried
                report("otelext could not emit the log record of an inference", exc_info=True)
        if self._write is not None:
            tried += 1
            try:
                self._write(line.entry())
                written += 1
            except Exception:  # noqa: BLE001  # a full disk, a closed stream
                report("otelext could not write the line of an inference", exc_info=True)
        return bool(written) or not tried

    def _current_logger(self) -> logs_api.Logger | None:
        provider = logs_api.get_logger_provider()
        if provider is not self._provider:
            self._logger = provider.get_logger(semconv.SCOPE_NAME, __version__, semconv.SCHEMA_URL)
            self._provider = provider
        logger = self._logger
        return None if isinstance(logger, NoOpLogger) else logger


_NO_SPAN: Final = Context({SPAN_KEY: INVALID_SPAN})  # an empty one would stand for the thread's own


def _span_alone(inference: Inference) -> Context:
    # The whole context would keep the request's values alive in the exporter's queue.
    span = inference.context.get(SPAN_KEY)
    return _NO_SPAN if span is None else Context({SPAN_KEY: span})


_LINES: Final = InferenceLines()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_LINES.after_fork)


def install(
    *,
    per_second: float = PER_SECOND,
    write: Callable[[Entry], None] | None = None,
    clock: Callable[[], int] = monotonic_ns,
) -> None:
    """Have a line written for each inference from now on; called again, other settings hold.

    Args:
        per_second: Lines a second at most, besides those of errors and time-outs; 0 for these alone.
        write: Writes what leaves of each line to the log file or terminal, as `LinesHandler.publish` does; None for
            OTLP alone.
        clock: Nanoseconds that never run backwards, by which floods are told.
    """
    _LINES.set(per_second=per_second, write=write, clock=clock)
    if _LINES.observe not in WORKER.observers:
        WORKER.observers.append(_LINES.observe)
        WORKER.polled.append(_LINES.poll)
    if not WORKER.wanted:
        WORKER.wanted = True
        rebind()


def uninstall() -> None:
    """Write no lines any more; what was left out is told first."""
    if _LINES.observe in WORKER.observers:
        _LINES.poll(flushing=True)
        WORKER.observers.remove(_LINES.observe)
        WORKER.polled.remove(_LINES.poll)
    if WORKER.wanted:
        WORKER.wanted = False
        rebind()
