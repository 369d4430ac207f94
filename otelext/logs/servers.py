"""What uvicorn and gunicorn log of themselves: a few messages with arguments that can't hold data of a request.

An argument leaves where it has the shape that stands for its place here, whoever logs the message.
"""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Final

from otelext.constant import REDACTED, Constant
from otelext.processors.redaction.words import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable

    Shape = Callable[[object], bool]

_VERSIONS: Final = frozenset({"1.0", "1.1", "2", "2.0", "3"})
_SIGNALS: Final = frozenset(found.name for found in signal.Signals)
_STATUSES: Final = range(100, 600)
_PIDS: Final = range(1, 2**22 + 1)  # https://man7.org/linux/man-pages/man5/proc_sys_kernel.5.html, pid_max
_CONVERSION: Final = re.compile("%[sd]")


def _nothing(_: object) -> bool:
    return False


def _word(words: frozenset[str]) -> Shape:
    return lambda value: type(value) is str and value in words


def _number(numbers: range) -> Shape:
    return lambda value: type(value) is int and value in numbers


class Known:
    """A known message."""

    __slots__ = ("_pieces", "_shapes")

    def __init__(self, text: str, shapes: tuple[Shape, ...]) -> None:
        self._pieces = _CONVERSION.split(text)
        self._shapes = shapes

    def filled(self, args: object) -> tuple[Constant, int] | None:
        """The message with those arguments in their place that leave, and the number of the others.

        Args:
            args: As they were logged; None is returned where they are not as many as the message takes.
        """
        shapes, pieces = self._shapes, self._pieces
        if type(args) is not tuple or len(args) != len(shapes):
            return None
        redacted = 0
        parts = [pieces[0]]
        for value, has_shape, piece in zip(args, shapes, pieces[1:], strict=True):
            if has_shape(value):
                parts.append(str(value))
            else:
                redacted += 1
                parts.append(REDACTED)
            parts.append(piece)
        return Constant("".join(parts)), redacted


_STATUS: Final = _number(_STATUSES)
_PID: Final = _number(_PIDS)
_ACCESS: Final = (_nothing, _word(METHODS), _nothing, _word(_VERSIONS), _STATUS)
_SENT: Final = (_PID, _word(_SIGNALS))

KNOWN: Final = {
    (logger, text): Known(text, shapes)
    for logger, text, shapes in (
        ("uvicorn.access", '%s - "%s %s HTTP/%s" %d', _ACCESS),
        ("uvicorn.error", '%s - "WebSocket %s" %d', (_nothing, _nothing, _STATUS)),
        ("uvicorn.error", "Started server process [%d]", (_PID,)),
        ("uvicorn.error", "Finished server process [%d]", (_PID,)),
        ("gunicorn.error", "Booting worker with pid: %s", (_PID,)),
        ("gunicorn.error", "Worker exiting (pid: %s)", (_PID,)),
        ("gunicorn.error", "Worker (pid:%s) was sent %s!", _SENT),
        ("gunicorn.error", "Worker (pid:%s) was sent %s! Perhaps out of memory?", _SENT),
    )
}
"""By the logger's name and the message as it is written."""

TEXTS: Final = frozenset(text for _, text in KNOWN)
"""The messages: written here, where the server puts one together at run time."""
