"""Warnings reach standard error as before where no handler but ours, which prints nothing, is there to take them.

Python prints a warning by `logging.lastResort` when no handler takes it. The handler that exports log records is one,
so that without this a program that never configured logging would fall silent.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def keep_last_resort(exporting: logging.Handler, is_ours: Callable[[logging.Handler], bool]) -> None:
    """Let what only `exporting` takes be printed too.

    Args:
        exporting: The handler that exports.
        is_ours: Whether a handler is one that prints nothing.
    """

    def last_resort(record: logging.LogRecord) -> bool:
        last = logging.lastResort
        if last is not None and record.levelno >= last.level and not _is_taken(record.name, is_ours):
            last.handle(record)
        return True

    exporting.addFilter(last_resort)


def _is_taken(name: str, is_ours: Callable[[logging.Handler], bool]) -> bool:
    """Whether another handler takes what the logger `name` logs."""
    known = logging.Logger.manager.loggerDict.get(name)
    logger: logging.Logger | None = known if isinstance(known, logging.Logger) else logging.getLogger()
    while logger is not None:
        if any(not is_ours(handler) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False
