"""Where lines go: the handler that writes them, and standard error."""

from __future__ import annotations

import copy
import logging
import sys
from typing import TYPE_CHECKING, Protocol, TextIO

from otelext.capture.failure import report_setup

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelext.logs.entry import Entry


class Sink(Protocol):
    """Where lines go."""

    def write(self, line: str) -> None:
        """Write one line, given without its end. May raise."""

    def close(self) -> None:
        """Let go of files until the next line."""


def standard_error() -> TextIO | None:
    """Standard error: the one that the process was started with where a mere writer stands in its place.

    Celery's worker puts one there that makes a log record of all that is written, and drops what is logged meanwhile.
    """
    stream = sys.stderr
    if stream is None or hasattr(stream, "buffer") or hasattr(stream, "fileno"):
        return stream
    return sys.__stderr__


class StandardError:
    """Whatever `sys.stderr` is at the moment, see `standard_error`."""

    def write(self, line: str) -> None:
        """Write one line at once, so that it stays in one piece where several processes write."""
        stream = standard_error()
        if stream is None:
            return
        buffer = getattr(stream, "buffer", None)
        if buffer is None:
            stream.write(f"{line}\n")
        else:
            # In JSON what stands for half of a pair is its very escape; a locale's encoding could not hold Korean.
            buffer.write(f"{line}\n".encode("utf-8", "backslashreplace"))
        stream.flush()

    def close(self) -> None:
        """It is not ours to close."""


class LinesHandler(logging.Handler):
    """Writes each record as one line."""

    def __init__(
        self, form: Callable[[Entry], str], sink: Sink, level: int = logging.NOTSET, *, code: bool = False
    ) -> None:
        """Write to a sink.

        Args:
            form: Makes a line of an entry.
            sink: Where it goes.
            level: Level below which nothing is written.
            code: Whether a line says where in the program its record was logged.
        """
        super().__init__(level)
        self.form = form
        self.sink = sink
        self.code = code

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record. Never raises."""
        from otelext.logs.entry import entry_of  # noqa: PLC0415  # what only a line needs, a start does not load

        entry = entry_of(record)
        if self.code:
            from otelext.logs.code import code_of  # noqa: PLC0415  # few ask for it

            entry = copy.copy(entry)  # that of the other handlers too
            entry.attributes = {**entry.attributes, **code_of(record)}
        self._write(entry)

    def publish(self, entry: Entry) -> None:
        """Write an entry that is no record's. Never raises."""
        if entry.level < self.level:
            return
        self.acquire()
        try:
            self._write(entry)
        finally:
            self.release()

    def _write(self, entry: Entry) -> None:
        try:
            self.sink.write(self.form(entry))
        except Exception as error:  # noqa: BLE001  # a full disk, a closed pipe
            report_setup("otelext could not write a log line (%s)", type(error).__qualname__)

    def close(self) -> None:
        """Let go of files; a later line opens them again, since `logging.config` closes handlers that it leaves."""
        try:
            self.sink.close()
        except Exception as error:  # noqa: BLE001  # a full disk
            report_setup("otelext could not close its log file (%s)", type(error).__qualname__)
        super().close()
