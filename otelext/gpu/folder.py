"""The folder that the processes of a host share: lock files, which the kernel frees when their holder dies, and
documents that are replaced as a whole. Whatever stands in it may have been written by anyone.

A lock is a POSIX record lock: it works across users and containers, and a fork does not inherit it. The kernel frees
all of a process's locks on a file as soon as that process closes *any* descriptor of it, so that this module notes the
files that it holds and never opens one of them twice.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import stat
import struct
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

if sys.platform == "linux":
    import fcntl
else:
    fcntl: Any = None

LIMIT: Final = 256 * 1024
"""Bytes of a document; longer ones are neither written nor read."""
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
NEW: Final = ".new"
"""Ends the name of a document that is being written."""
_MODE: Final = 0o666
_MEMORY: Final = Path("/dev/shm/otelext-gpu")  # noqa: S108  names in it are opened without following links
_OPEN: Final = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_FLOCK: Final = struct.Struct("hhqqi4x")  # struct flock of fcntl(2): type, whence, start, length, process


class _Held:
    """Descriptors of the lock files that this process holds, by device and inode."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """In a child, which holds none."""
        self.files: dict[tuple[int, int], int] = {}
        self.guard = Lock()


_HELD: Final = _Held()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_HELD.reset)


class LockFile:
    """A lock that lasts as long as this process, or until it is released.

    Attributes:
        path: Of its file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None
        self._identity = (0, 0)

    def take(self) -> bool:
        """Take the lock, or keep it; False where another holds it. Never waits.

        Raises:
            OSError: The file can't be created, opened or locked.
        """
        if self.kept():
            return True
        self.release()
        with _HELD.guard:
            if _identity(self.path) in _HELD.files:
                return False
            descriptor = _opened(self.path)
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(descriptor)
                if error.errno in {errno.EACCES, errno.EAGAIN}:
                    return False
                raise
            if _identity(self.path) != _inode(os.fstat(descriptor)):
                os.close(descriptor)  # removed meanwhile
                return False
            self._descriptor, self._identity = descriptor, _inode(os.fstat(descriptor))
            _HELD.files[self._identity] = descriptor
        return True

    def kept(self) -> bool:
        """Whether it is still held; not where its file was removed or replaced, as others then lock another."""
        if self._descriptor is None or _HELD.files.get(self._identity) != self._descriptor:
            return False  # the second in a child, whose parent holds it
        if _identity(self.path) != self._identity:
            return False
        with suppress(OSError):
            os.utime(self._descriptor)  # those who clean temporary folders take what is old
        return True

    def write(self, text: str) -> None:
        """Put a text for people into the file that is held.

        Raises:
            OSError: It can't be written.
        """
        assert self._descriptor is not None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def release(self) -> None:
        """Let others have it; the file stays."""
        with _HELD.guard:
            if self._descriptor is not None:
                _HELD.files.pop(self._identity, None)
            self.after_fork()

    def after_fork(self) -> None:
        """In a child: forget what only the parent holds."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with suppress(OSError):
                os.close(descriptor)


def is_held(path: Path) -> bool:
    """Whether a living process, this one included, holds a lock file.

    False where it can't be told, but True where this process has no descriptor left to look: nobody is dead for that.
    """
    with _HELD.guard:
        if _identity(path) in _HELD.files:
            return True
        try:
            with _regular(path) as descriptor:
                asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
                return bool(_FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))[0] != fcntl.F_UNLCK)
        except OSError as error:
            return error.errno in _EXHAUSTED


def read(path: Path) -> Any:
    """A document: what its JSON says; None where it is missing, too long or no JSON."""
    try:
        with _HELD.guard:
            held = _HELD.files.get(_identity(path) or (0, 0))
            if held is not None:
                content = _content(held)
            else:
                with _regular(path) as descriptor:
                    content = _content(descriptor)
        return json.loads(content) if len(content) <= LIMIT else None
    except (OSError, ValueError, RecursionError):
        return None


def publish(path: Path, document: Any) -> bool:
    """Replace a document as a whole; False where it is too long or the folder can't be written."""
    content = json.dumps(document, separators=(",", ":")).encode()
    if len(content) > LIMIT:
        return False
    new = path.with_name(path.name + NEW)
    remove(new)
    try:
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _OPEN, _MODE)
        try:
            os.fchmod(descriptor, _MODE)  # whatever the umask
            written = os.write(descriptor, content)
        finally:
            os.close(descriptor)
        if written < len(content):
            raise OSError(errno.ENOSPC, "written in part", str(new))
        new.replace(path)
    except OSError:
        remove(new)
        return False
    return True


def remove(path: Path) -> None:
    """Remove a file that this process may remove: in a sticky folder, its own user's."""
    with suppress(OSError):
        path.unlink()


def existing_folder(configured: str) -> Path | None:
    """The folder of the host where there is one already, for who only looks."""
    return next((place for place in _places(configured) if place.is_dir()), None)


def usable_folder(configured: str) -> Path | None:
    """The folder of the host: the configured one, else one in the temporary folder, else one in `/dev/shm`.

    None where no file can be locked in any of them, or this is not Linux.
    """
    if sys.platform != "linux":
        return None
    places = _places(configured)
    return next((place for place in places if _usable(place, follow=bool(configured))), None)


def _places(configured: str) -> tuple[Path, ...]:
    return (Path(configured),) if configured else (Path(tempfile.gettempdir(), "otelext-gpu"), _MEMORY)


def _usable(folder: Path, *, follow: bool) -> bool:
    try:
        with suppress(FileExistsError):
            folder.mkdir(parents=follow)
            folder.chmod(0o1777)  # whatever the umask; others may add files and remove their own
        if not follow and not stat.S_ISDIR(folder.lstat().st_mode):
            return False  # a link that someone else put there
        trial = LockFile(folder / f"{secrets.token_hex(8)}.trial")
        try:
            return trial.take()
        finally:
            trial.release()
            remove(trial.path)
    except (OSError, ValueError):
        return False


def _opened(path: Path) -> int:
    """A descriptor of a lock file, which is created where it is missing.

    A file that is there is opened without O_CREAT: `fs.protected_regular` refuses that for another user's file in a
    sticky folder.
    """
    for _ in range(3):
        try:
            descriptor = os.open(path, os.O_RDWR | _OPEN)
        except FileNotFoundError:
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _OPEN, _MODE)
            except FileExistsError:
                continue
            os.fchmod(descriptor, _MODE)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
        break
    raise OSError(errno.EINVAL, "no regular file", str(path))


@contextmanager
def _regular(path: Path) -> Iterator[int]:
    """A descriptor to read a file that others may have put there."""
    descriptor = os.open(path, os.O_RDONLY | _OPEN)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        yield descriptor
    finally:
        os.close(descriptor)


def _content(descriptor: int) -> bytes:
    """As much as is looked at, from its beginning."""
    return os.pread(descriptor, LIMIT + 1, 0)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        return _inode(path.lstat())
    except OSError:
        return None


def _inode(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
