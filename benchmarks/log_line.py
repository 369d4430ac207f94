"""What a log line pays: otelext against plain JSON logging to the same sink (1x), in a request with its span.

Seconds of the thread's CPU a line, of five kinds: a constant message; one with two arguments; one with three fields, of
which two may leave; one that is put together at run time; and one with an exception. Plain JSON logging is a formatter
of a few lines that writes time, level, logger and message, and neither ids nor fields; beside it, one that adds both.
The sink is the null device. Records for OTLP go to a processor that drops them: what exporting costs is no line's.

    python benchmarks/log_line.py [--rounds 11] [--repetitions 2000] [--only NAME ...] [--json FILE] [--profile]
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from opentelemetry import _logs, trace
from opentelemetry.context import attach, get_current, set_value
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from profiled import profiled
from rounds import Benchmark, main

from otelext import semconv
from otelext.capture.context import REQUEST_KEY
from otelext.capture.request import Request
from otelext.logs.install import install
from otelext.logs.takeover import otlp_handler

if TYPE_CHECKING:
    from collections.abc import Callable

    from rounds import Figures, Measure

PLAIN, IDS, OURS = "plain JSON", "plain JSON, with ids and fields", "otelext, JSON"
THEIR_OTLP, OUR_OTLP, BOTH = "OTLP by the instrumentation", "OTLP by otelext", "otelext, JSON and OTLP"
FIELDS = {"vlm.stage": "decode", "vlm.input.pages": 3, "patient": "a name"}
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__)

logger = logging.getLogger("service")


class PlainJson(logging.Formatter):
    """The least that people call JSON logging."""

    def format(self, record: logging.LogRecord) -> str:
        """A line."""
        return json.dumps(self.values(record), ensure_ascii=False)

    def values(self, record: logging.LogRecord) -> dict[str, Any]:
        """What it says."""
        found: dict[str, Any] = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{record.msecs:03.0f}Z",
            "severity": record.levelname,
            "logger": record.name,
            "body": record.getMessage(),
        }
        if record.exc_info:
            found["exception"] = self.formatException(record.exc_info)
        return found


class WithIds(PlainJson):
    """The same with the span's ids and the record's fields, as people add them."""

    def values(self, record: logging.LogRecord) -> dict[str, Any]:
        """What it says."""
        context = trace.get_current_span().get_span_context()
        return {
            **super().values(record),
            "trace_id": trace.format_trace_id(context.trace_id),
            "span_id": trace.format_span_id(context.span_id),
            **{key: value for key, value in record.__dict__.items() if key not in _STANDARD},
        }


class Dropping(LogRecordProcessor):
    """Where records end."""

    def on_emit(self, log_record: Any) -> None:
        """Drop it."""

    def shutdown(self) -> None:
        """Nothing is kept."""

    def force_flush(self, timeout_millis: int = 30000) -> bool:  # noqa: ARG002  # the SDK's signature
        """Nothing is kept."""
        return True


def plain() -> None:
    """The 1x."""
    _add(logging.StreamHandler(), PlainJson())


def with_ids() -> None:
    """The same, saying as much as otelext."""
    _add(logging.StreamHandler(), WithIds())


def by_instrumentation() -> None:
    """The handler that otelext's is a subclass of."""
    _add(LoggingHandler())


def by_otelext() -> None:
    """That subclass alone."""
    handler = otlp_handler()
    assert handler is not None
    _add(handler)


def lines() -> None:
    """Lines alone."""
    os.environ["OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION"] = "false"
    install()


def _add(handler: logging.Handler, formatter: logging.Formatter | None = None) -> None:
    if formatter is not None:
        handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)


def constant() -> None:
    """A message that is a literal."""
    logger.info("the answer was sent")


def arguments() -> None:
    """One with arguments."""
    logger.info("page %d of %s was read", 3, "a file")


def fields() -> None:
    """One with fields."""
    logger.info("a page was read", extra=FIELDS)


def dynamic() -> None:
    """One that is put together."""
    logger.info(f"page {len(FIELDS)} was read")  # noqa: G004  # as many people write it


def exception() -> None:
    """One with an exception."""
    try:
        raise ValueError
    except ValueError:
        logger.exception("reading failed")


KINDS: dict[str, Callable[[], None]] = {
    "constant": constant,
    "arguments": arguments,
    "fields": fields,
    "put together": dynamic,
    "exception": exception,
}


def measuring(add: Callable[[], object]) -> Callable[[], Measure]:
    """CPU seconds a line, by its kind, of the handlers that `add` adds."""

    def prepare() -> Measure:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123  # for as long as the process runs
        trace.set_tracer_provider(TracerProvider())
        provider = LoggerProvider()
        provider.add_log_record_processor(Dropping())
        _logs.set_logger_provider(provider)
        logger.setLevel(logging.INFO)
        add()
        span = trace.get_tracer(semconv.SCOPE_NAME).start_span("request")
        attach(trace.set_span_in_context(span, set_value(REQUEST_KEY, Request(0, "0123456789abcdef"), get_current())))

        def measure(repetitions: int) -> Figures:
            found = {}
            for kind, log in KINDS.items():
                begin = time.thread_time_ns()
                for _ in range(repetitions):
                    log()
                found[kind] = (time.thread_time_ns() - begin) / repetitions / 1e9
            return found

        return measure

    return prepare


BENCHMARK = Benchmark(
    __file__,
    {
        PLAIN: measuring(plain),
        "the same once more: the noise": measuring(plain),
        IDS: measuring(with_ids),
        OURS: measuring(lines),
        THEIR_OTLP: measuring(by_instrumentation),
        OUR_OTLP: measuring(by_otelext),
        BOTH: measuring(install),
    },
    base=PLAIN,
    repetitions=2000,
    rounds=11,
)


def profile(repetitions: int) -> None:
    """Where the time of lines goes."""
    shown = sys.stdout
    measuring(install)()
    sys.stdout = shown
    profiled(fields, repetitions)


if __name__ == "__main__":
    sys.exit(main(BENCHMARK, __doc__, profile))
