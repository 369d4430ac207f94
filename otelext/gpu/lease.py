"""One exporter a host: the process that holds a lock, until it ends."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Final

from otelext.gpu.folder import read
from otelext.gpu.locks import FileLock, is_taken

if TYPE_CHECKING:
    from pathlib import Path

_FILE: Final = "lease"


class Lease:
    """This process's part in it.

    Attributes:
        failure: Why the lock can't be used; empty where it can.
    """

    def __init__(self, folder: Path, label: str = "") -> None:
        """Have a part; `hold` takes it.

        Args:
            folder: The one that the host's processes share.
            label: Whose process this is, for people.
        """
        self.failure = ""
        self._label = label
        self._lock = FileLock(folder / _FILE)

    def hold(self) -> bool:
        """Take or keep it, without waiting.

        Returns:
            Whether this process has it.
        """
        before = self._lock.held
        try:
            held = self._lock.take()
        except OSError as error:
            self.failure = str(error)
            return False
        if held and not before:
            since = datetime.now(timezone.utc).isoformat(timespec="seconds")
            self._lock.note(json.dumps({"pid": os.getpid(), "label": self._label, "since": since}) + "\n")
        return held

    def release(self) -> None:
        """Give it to another process."""
        self._lock.close()

    def after_fork(self) -> None:
        """Forget the parent's, in the child: closing the file there does not free it."""
        self._lock.close()


@dataclass(frozen=True)
class Holder:
    """The process that exports the GPUs.

    Attributes:
        pid: Its number, in its own container.
        label: Whose it is.
        since: Since when, RFC 3339.
    """

    pid: int
    label: str
    since: str


def holder(folder: Path) -> Holder | None:
    """Who has it, None where nobody has; not to be asked by the one that may have it."""
    path = folder / _FILE
    if not path.exists() or not is_taken(path):
        return None
    found = read(path)
    found = found if isinstance(found, dict) else {}
    pid = found.get("pid")
    return Holder(pid if isinstance(pid, int) else 0, str(found.get("label", "")), str(found.get("since", "")))
