"""A log file that rotates by size and that several processes may write at once."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from concurrent_log_handler import ConcurrentRotatingFileHandler

if TYPE_CHECKING:
    from typing import NoReturn

_PATIENCE_S: Final = 1.0


class _File(ConcurrentRotatingFileHandler):
    """Writes a record's message as it is."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: str = record.msg
        return line

    def handleError(self, record: logging.LogRecord) -> NoReturn:  # noqa: ARG002, N802  # logging's name
        """Let whoever writes say it: logging would print the record."""
        raise  # noqa: PLE0704  # called while the exception is handled


class RotatingFile:
    """Lines in a file; when it is full it is renamed to `.1`, that to `.2`, and so on."""

    def __init__(self, path: str | Path, size: int, count: int) -> None:
        """Open the file.

        Args:
            path: Where it is; folders are made.
            size: Bytes of one file, about: it is renamed before it would grow larger. 0 for no end.
            count: Files kept besides the one that is written.

        Raises:
            OSError: It can't be written.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab"):
            pass
        self._handler = _File(path, maxBytes=size, backupCount=count, encoding="utf-8", newline="\n")
        _files.add(self)

    def write(self, line: str) -> None:
        """Write one line.

        Raises:
            OSError: It can't be written.
        """
        if not line.isascii():
            # In JSON what stands for half of a surrogate pair is its very escape.
            line = line.encode("utf-8", "backslashreplace").decode("utf-8")
        self._handler.handle(logging.LogRecord("", logging.INFO, "", 0, line, None, None))

    def close(self) -> None:
        """Let go of the file until the next line."""
        self._handler.close()

    def before_fork(self) -> None:
        """Wait for a line that is being written: its stream would stay locked in the child, which hangs at its first."""
        if self._handler.lock is not None:
            self._handler.lock.acquire(timeout=_PATIENCE_S)

    def after_fork_in_parent(self) -> None:
        """Go on."""
        with suppress(RuntimeError):  # not ours: the wait was over before the line was
            if self._handler.lock is not None:
                self._handler.lock.release()

    def after_fork_in_child(self) -> None:
        """Open the file anew: a lock of the file that is shared with the parent keeps nobody out."""
        with suppress(Exception):  # the next line says what is wrong
            self._handler.close()


_files: Final[WeakSet[RotatingFile]] = WeakSet()


def _before_fork() -> None:
    for file in tuple(_files):
        file.before_fork()


def _after_fork_in_parent() -> None:
    for file in tuple(_files):
        file.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for file in tuple(_files):
        file.after_fork_in_child()


if hasattr(os, "register_at_fork"):  # logging, which is loaded, makes its locks anew in the child before this
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
