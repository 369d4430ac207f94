"""Lines for people: `OTELEXT_LOG_FORMAT=console`. The same entries as everywhere, so that no more is shown."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from otelext import semconv
from otelext.logs.lines import plain, shown
from otelext.logs.sinks import standard_error
from otelext.processors.redaction.exceptions import STACKTRACE

if TYPE_CHECKING:
    from otelext.logs.entry import Entry

_COLOURS: Final = {"TRACE": "2", "DEBUG": "2", "INFO": "32", "WARN": "33", "ERROR": "31", "FATAL": "1;31"}
_RESET: Final = "\x1b[0m"


def console_line(entry: Entry) -> str:
    """An entry for a terminal: local time, level, logger, message and fields; an exception's frames on lines below."""
    second, rest = divmod(entry.time_ns, 1_000_000_000)
    level = f"{entry.severity_text:<5}"
    if is_coloured():
        level = f"\x1b[{_COLOURS[entry.severity_text]}m{level}{_RESET}"
    moment = time.strftime("%H:%M:%S", time.localtime(second))
    said = _visible(entry.body) if entry.event is None else f"{_visible(entry.event)}: {_visible(entry.body)}"
    parts = [f"{moment}.{rest // 1_000_000:03d} {level} {_visible(entry.logger)}: {said}"]
    parts += [
        f"{_visible(key)}={_visible(shown(plain(value)))}"
        for key, value in entry.attributes.items()
        if key != STACKTRACE
    ]
    if entry.trace_id:
        parts.append(f"{semconv.LOG_TRACE_ID}={entry.trace_id:032x}")
    frames = shown(entry.attributes.get(STACKTRACE, ""))
    return "\n".join([" ".join(parts), *(f"    {_visible(line)}" for line in frames.splitlines())])


def is_coloured() -> bool:
    """Whether standard error shows colours, and nobody asked for none: https://no-color.org/."""
    if os.environ.get("NO_COLOR"):
        return False
    stream = standard_error()
    return stream is not None and stream.isatty()


def _visible(text: str) -> str:
    """A text that can't steer the terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
