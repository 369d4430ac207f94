"""Names of loggers as they leave: those that are written in the program, and none that was put together of data."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Final

from otelext import semconv
from otelext.constant import REDACTED
from otelext.logs.message import is_written
from otelext.processors.redaction.counts import COUNTS
from otelext.processors.redaction.written import WRITTEN

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_MAX_NAMES: Final = 4096
_known: Final[dict[str, bool]] = {"": True, "root": True, "py.warnings": True}


def logger_name(name: object, filename: str, frame: Callable[[], FrameType | None]) -> str:
    """A logger's name as it leaves. Never raises.

    Args:
        name: The name.
        filename: The source file that logs.
        frame: Finds the frame that logs; asked where the name was not seen before.
    """
    try:
        if type(name) is str:
            leaves = _known.get(name)
            if leaves is None and len(_known) < _MAX_NAMES:  # where there are more, they are no names of a program
                leaves = _known[name] = _is_code(name, filename, frame())
                if leaves:
                    WRITTEN.note(name)  # the exporter, which sees no code, lets it pass as a scope's name
            if leaves:
                return name
    except Exception:  # noqa: BLE001, S110  # a name of the user's own class
        pass
    COUNTS.add(semconv.REDACTED_SCOPE)
    return REDACTED


def _is_code(name: str, filename: str, frame: FrameType | None) -> bool:
    """Whether a name is that of a module, of a thing in one, a literal of who logs, or of a logger that a module has."""
    if name in sys.modules:
        return True
    module, _, last = name.rpartition(".")
    if last in vars(sys.modules.get(module, object)):
        return True
    if is_written(name, filename, frame):
        return True
    logger = logging.Logger.manager.loggerDict.get(name)
    return isinstance(logger, logging.Logger) and any(
        any(value is logger for value in tuple(getattr(module, "__dict__", {}).values()))
        for module in tuple(sys.modules.values())
    )
