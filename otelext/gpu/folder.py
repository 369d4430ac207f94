"""The folder that the processes of a host share: who has it may be anybody, and so may who wrote what is in it."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

_NAME: Final = "otelext-gpu"
_FOR_ALL: Final = 0o1777
_LONGEST: Final = 1024 * 1024
_MODE: Final = 0o666


def shared_folder(configured: str = "", *, make: bool = True) -> Path | None:
    """The folder that is used, of all that may be.

    Args:
        configured: Where the user wants it; empty for the system's folder of temporary files, or else shared memory.
        make: Whether it is made where it is not there.

    Returns:
        None where there is none that can be written to.
    """
    wanted = [Path(configured)] if configured else [Path(tempfile.gettempdir()) / _NAME, Path("/dev/shm") / _NAME]  # noqa: S108  # whatever is in it is taken for anybody's word
    return next((folder for folder in wanted if _is_usable(folder, make=make)), None)


def _is_usable(folder: Path, *, make: bool) -> bool:
    if make:
        with suppress(OSError):
            folder.mkdir(parents=True)
            folder.chmod(_FOR_ALL)  # whatever the umask: other users' processes are on this host too
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def open_file(path: Path) -> int:
    """A descriptor of a file that everybody may write, made if it is not there.

    Raises:
        OSError: It can't be opened, or is no plain file.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, _MODE)
    except PermissionError:
        # In a folder that all may write, Linux lets nobody create over another one's file, so without O_CREAT.
        descriptor = os.open(path, flags & ~os.O_CREAT)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is no plain file")
    with suppress(OSError):
        os.fchmod(descriptor, _MODE)
    return descriptor


def write(path: Path, content: Any) -> None:
    """Put a JSON file in place as a whole.

    Raises:
        OSError: It can't be written.
    """
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(content, file, separators=(",", ":"))
            os.fchmod(file.fileno(), 0o644)
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise


def read(path: Path) -> Any:
    """What a JSON file holds, None where it can't be read; nothing of it can be relied on."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            content = file.read(_LONGEST + 1)
        return json.loads(content) if len(content) <= _LONGEST else None
    except (OSError, ValueError, RecursionError):
        return None
