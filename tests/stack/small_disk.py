"""A small disk for one server alone: a tmpfs in a mount namespace of its own."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.stack.composition import Command

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

_MOUNT = 'mount -t tmpfs -o size="$0" otelext "$1" && echo mounted && exec sleep infinity'
# What unshare and mount say where a container, or the kernel's settings, leave them no way.
_FORBIDDEN = re.compile(r"not permitted|permission denied|must be superuser|No space left on device", re.IGNORECASE)


class SmallDisk:
    """As a context manager; skips the test where the system forbids mounting, to root and in a user namespace alike.

    Args:
        folder: Where the server sees it; nobody else does.
        size: In bytes.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._folder = folder
        self._size = size
        self._holder: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        kinds = [["--mount"], ["--map-root-user", "--mount"]][os.geteuid() != 0 :]
        reason = ""
        for self._namespaces in kinds:
            command = ["unshare", *self._namespaces, "sh", "-c", _MOUNT, str(self._size), str(self._folder)]
            self._holder = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            assert self._holder.stdout is not None
            if self._holder.stdout.readline():
                return self
            reason = self._holder.communicate()[1].strip()
        message = f"no tmpfs can be mounted here: {reason}"
        if not _FORBIDDEN.search(reason):
            pytest.fail(message)
        pytest.skip(message)

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        assert self._holder is not None
        self._holder.kill()
        self._holder.communicate()

    def command(self, command: Command) -> Command:
        """The same command, run where the disk is seen."""
        assert self._holder is not None
        user = ["--user", "--preserve-credentials"] if "--map-root-user" in self._namespaces else []
        enter = ["--target", str(self._holder.pid), "--mount", *user, command.binary, *command.arguments]
        return Command("nsenter", enter, command.environment)

    @property
    def free(self) -> int:
        """Bytes that can still be written."""
        stat = os.statvfs(self._inside)
        return stat.f_bavail * stat.f_frsize

    def occupy(self, size: int) -> None:
        """Let another file take this many bytes, and none if 0."""
        (self._inside / "something-else").write_bytes(b"\0" * size)

    @property
    def _inside(self) -> Path:
        assert self._holder is not None
        return Path(f"/proc/{self._holder.pid}/root{self._folder}")
