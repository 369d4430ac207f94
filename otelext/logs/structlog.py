"""Events of structlog go the way of log records: one processor gives them to the same handlers.

structlog.configure(
    processors=[structlog.contextvars.merge_contextvars, StructlogProcessor()],
    logger_factory=structlog.stdlib.LoggerFactory(),  # keeps the logger's name, as structlog's own does not
)
"""

from __future__ import annotations

import logging
import sys
import threading
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from structlog import DropEvent

from otelext.capture.failure import report
from otelext.logs import failure
from otelext.logs.entry import Entry
from otelext.logs.install import INSTALLED, JSON, lines_handler
from otelext.logs.levels import level_number
from otelext.logs.message import body_of, is_written
from otelext.logs.names import logger_name
from otelext.processors.redaction.exceptions import STACKTRACE
from otelext.processors.redaction.rules import PROCESS

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping
    from types import CodeType, FrameType

try:
    from structlog.contextvars import _ASYNC_CALLING_STACK as _ASYNC_CALLERS
except ImportError:  # a name of structlog's own
    _ASYNC_CALLERS = None  # type: ignore[assignment]

_EXCEPTION: Final = "exception"
# What other processors add that is said by the entry itself, or that holds source lines and values.
_SAID: Final = frozenset(
    {
        "event",
        "exc_info",
        _EXCEPTION,
        "level",
        "level_number",
        "logger",
        "positional_args",
        "stack",
        "stack_info",
        "timestamp",
        "_from_structlog",
        "_record",
    }
)
_BETWEEN: Final = ("structlog", "logging", "otelext.logs")


class StructlogProcessor:
    """Hands each event to the SDK and to the lines, of each what may leave alone.

    It stands last, in place of a renderer, or anywhere before with `drop=False`.
    """

    def __init__(self, *, drop: bool = True) -> None:
        """Make a processor.

        Args:
            drop: Whether the event ends here. Otherwise it is passed on unchanged; where a logger of the standard
                library takes it in the end, that record is not given to our handlers again.
        """
        self._drop = drop
        if not drop:
            INSTALLED.add_filter(_is_new)

    def __call__(self, logger: Any, method_name: str, event_dict: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Take an event.

        Returns:
            The event, unchanged.

        Raises:
            structlog.DropEvent: The event ends here.
        """
        try:
            self._take(logger, method_name, event_dict)
        except Exception as error:  # noqa: BLE001  # whatever a foreign object does when it is looked at
            report("otelext could not take an event of structlog (%s)", type(error).__qualname__)
        if self._drop:
            raise DropEvent
        return event_dict

    def _take(self, logger: Any, method: str, event: Mapping[str, Any]) -> None:
        if event.get("_record") is not None:  # a record of the standard library reaches our handlers by itself
            return
        frame = _caller()
        entry = entry_of_event(logger, method, event, frame)
        if not self._drop and frame is not None:
            _passed.on = _place(frame)
        if INSTALLED.done:
            INSTALLED.publish(entry)
        else:
            report("otelext is not configured; events of structlog go to standard error alone")
            _fallback.publish(entry)


def entry_of_event(logger: Any, method: str, event: Mapping[str, Any], frame: FrameType | None) -> Entry:
    """The entry of an event.

    Args:
        logger: The logger that structlog wraps.
        method: The method that was called.
        event: The event.
        frame: The frame that logs.
    """
    rules = PROCESS.rules
    filename = "" if frame is None else frame.f_code.co_filename
    name = event.get("logger") or getattr(logger, "name", None) or _module(frame)
    entry = Entry(time_ns(), _level(method, event), logger_name(name, filename, lambda: frame))
    args: Any = event.get("positional_args")
    if isinstance(args, tuple) and len(args) == 1 and isinstance(args[0], dict) and args[0]:
        args = args[0]
    entry.body = body_of(event.get("event"), args, filename, rules, lambda: frame)
    given = {key: value for key, value in event.items() if key not in _SAID}
    formatted = event.get(_EXCEPTION)
    if isinstance(formatted, str):
        given[STACKTRACE] = formatted
    raised = failure.exception_of(event.get("exc_info", method == _EXCEPTION and formatted is None))
    entry.take(given, raised, rules, lambda text: is_written(text, filename, frame))
    return entry


def _level(method: str, event: Mapping[str, Any]) -> int:
    number = event.get("level_number")
    if isinstance(number, int):
        return number
    for word in (event.get("level"), "error" if method == _EXCEPTION else method):
        if isinstance(word, str) and (found := level_number(word)) is not None:
            return found
    return logging.INFO  # `msg` and `log`, which say no level


def _caller() -> FrameType | None:
    """The first frame outside of structlog, logging and us."""
    frame: FrameType | None = None if _ASYNC_CALLERS is None else _ASYNC_CALLERS.get(None)
    frame = frame or sys._getframe(1)  # noqa: SLF001  # as structlog itself finds callers
    while frame is not None:
        module = _module(frame)
        if not any(module == name or module.startswith(f"{name}.") for name in _BETWEEN):
            return frame
        frame = frame.f_back
    return None


def _module(frame: FrameType | None) -> str:
    name = None if frame is None else frame.f_globals.get("__name__")
    return name if isinstance(name, str) else "structlog"


class _Passed(threading.local):
    """Where the last event came from that was passed on in this thread."""

    on: tuple[int, CodeType, int] | None = None


_passed: Final = _Passed()
_fallback: Final = lines_handler(JSON)


def _place(frame: FrameType) -> tuple[int, CodeType, int]:
    # One call of a logger: no other call has its instruction in its frame, and no reference keeps the frame alive.
    return id(frame), frame.f_code, frame.f_lasti


def _is_new(_: logging.LogRecord) -> bool:
    """Whether a record is none that an event was made into after it had passed us."""
    if _passed.on is None:
        return True
    frame = _caller()
    return frame is None or _place(frame) != _passed.on
