"""A log file that rotates by size and that several processes may write at once."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from concurrent_log_handler import ConcurrentRotatingFileHandler

if TYPE_CHECKING:
    from typing import NoReturn


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
