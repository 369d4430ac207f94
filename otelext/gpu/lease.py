"""The lease of a host: of the processes that could export its GPUs, one does."""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final, NamedTuple

from otelext.constant import Constant
from otelext.gpu.folder import LockFile, is_held, read, usable_folder
from otelext.gpu.minute import OnceAMinute

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Holder", "Lease", "holder", "usable_folder"]

_logger = logging.getLogger("otelext")
_FILE: Final = "lease"
_LABEL: Final = 200


class Holder(NamedTuple):
    """Who holds the lease, in its own words.

    Attributes:
        pid: Its process id, in its own namespace; 0 where it isn't told.
        label: What it calls itself.
        since: When it took the lease, ISO 8601; empty where it isn't told.
    """

    pid: int
    label: str
    since: str


class Lease:
    """This process's part in it. For one thread."""

    def __init__(self, folder: Path, label: str) -> None:
        self._file = LockFile(folder / _FILE)
        self._label = label[:_LABEL]
        self._held = False
        self._say_failure = OnceAMinute()

    def hold(self) -> bool:
        """Take or keep the lease. Never waits and never raises; a folder that fails gives no lease, and a warning."""
        before = self._held
        try:
            self._held = self._file.take()
        except OSError as error:
            self._held = False
            if self._say_failure():
                _logger.warning(
                    Constant(
                        "otelext: this process exports no GPU of this host, as it can't lock"
                        f" {self._file.path}: {error.strerror}"
                    )
                )
            return False
        if self._held and not before:
            with suppress(OSError):
                self._file.write(self._words())
        return self._held

    def release(self) -> None:
        """Let another process have it."""
        self._file.release()
        self._held = False

    def after_fork(self) -> None:
        """In a child: the lease stays with the parent."""
        self._file.after_fork()
        self._held = False

    def _words(self) -> str:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return json.dumps({"pid": os.getpid(), "label": self._label, "since": now}) + "\n"


def holder(folder: Path) -> Holder | None:
    """Who holds the lease of a folder now; None where nobody does. Takes nothing."""
    path = folder / _FILE
    if not is_held(path):
        return None
    words = read(path)
    if not isinstance(words, dict):
        return Holder(0, "", "")
    pid, label, since = words.get("pid"), words.get("label"), words.get("since")
    return Holder(
        pid if isinstance(pid, int) else 0,
        label[:_LABEL] if isinstance(label, str) else "",
        since[:_LABEL] if isinstance(since, str) else "",
    )
