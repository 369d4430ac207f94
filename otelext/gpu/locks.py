"""Locks on files by which processes know of each other: the system frees them, however a process ends.

POSIX record locks, since a forked child does not inherit them. They are a process's, not a descriptor's: closing any
descriptor of the file gives them up, so that each file is opened once. https://man7.org/linux/man-pages/man2/fcntl.2.html
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from otelext.gpu.folder import open_file

if TYPE_CHECKING:
    from pathlib import Path

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

_TAKEN = frozenset({errno.EACCES, errno.EAGAIN})


class FileLock:
    """One lock, tried without waiting.

    Attributes:
        path: The file.
        held: Whether this process has it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held = False
        self._descriptor: int | None = None

    def take(self) -> bool:
        """Take the lock, or keep it.

        Returns:
            Whether this process has it now.

        Raises:
            OSError: The file can't be opened or locked.
        """
        if self._descriptor is not None and not self._is_in_place():
            self.close()  # somebody tidied the folder; a lock on a file that is gone tells nobody
        if self.held:
            return True
        if fcntl is None:
            raise OSError("this system has no POSIX locks")
        if self._descriptor is None:
            self._descriptor = open_file(self.path)
        try:
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise
        self.held = True
        return True

    def note(self, text: str) -> None:
        """Write a line into the file, for people."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.ftruncate(self._descriptor, 0)
                os.pwrite(self._descriptor, text.encode(), 0)

    def _is_in_place(self) -> bool:
        try:
            return os.path.samestat(self.path.lstat(), os.fstat(self._descriptor or 0))
        except OSError:
            return False

    def close(self) -> None:
        """Give the lock back, and the descriptor."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
        self._descriptor, self.held = None, False


def is_taken(path: Path) -> bool:
    """Whether a process other than this one has the lock of a file; this one must not hold it."""
    lock = FileLock(path)
    try:
        return not lock.take()
    except OSError:
        return False
    finally:
        lock.close()
