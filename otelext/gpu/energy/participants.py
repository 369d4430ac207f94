"""The processes that share a host's GPUs, as their files tell: a locked file while one lives, and its documents."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otelext.gpu.energy import activity, samples
from otelext.gpu.folder import NEW, LockFile, is_held, publish, read, remove

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otelext.gpu.energy.activity import Activity
    from otelext.gpu.energy.samples import Curve

_LOCK, _ACTIVITY, _SAMPLES = ".lock", ".json", ".samples"
_FILE: Final = re.compile(r"([0-9a-f]{16})\.(lock|json|samples|trial)(\.new)?")
_FILES: Final = 4096
"""Entries of the folder that are looked at."""


class Participant(NamedTuple):
    """One other process.

    Attributes:
        name: Of its files.
        alive: Whether it holds its file.
        activity: What it published; None where that is missing or makes no sense.
    """

    name: str
    alive: bool
    activity: Activity | None


class Own:
    """This process's part, under a name of its own.

    Attributes:
        name: Of its files.
    """

    def __init__(self, folder: Path) -> None:
        """Take part.

        Raises:
            OSError: The folder can't be written.
        """
        self.name = secrets.token_hex(8)
        self._folder = folder
        self._lock = LockFile(folder / (self.name + _LOCK))
        if not self._lock.take():
            raise OSError(f"{self._lock.path} is held by another")

    def kept(self) -> bool:
        """Whether others still see it; not where its file was removed."""
        return self._lock.kept()

    def publish_activity(self, own: Activity) -> bool:
        """Tell the others; False where that failed."""
        told = {"boot": _boot(), "activity": activity.document(own)}
        return publish(self._folder / (self.name + _ACTIVITY), told)

    def publish_curves(self, curves: Mapping[str, Curve]) -> bool:
        """Tell the others, as the lease holder does; False where that failed."""
        told = {"boot": _boot(), "curves": samples.document(curves)}
        return publish(self._folder / (self.name + _SAMPLES), told)

    def leave(self) -> None:
        """Take part no longer. The documents stay until nobody needs them."""
        self._lock.release()

    def after_fork(self) -> None:
        """In a child: the part is the parent's."""
        self._lock.after_fork()


def names(folder: Path) -> frozenset[str] | None:
    """All that have files there; None where there is more than is looked at, or nothing can be read."""
    found = set()
    with suppress(OSError), os.scandir(folder) as entries:
        for count, entry in enumerate(entries):
            if count == _FILES:
                return None
            if matched := _FILE.fullmatch(entry.name):
                found.add(matched[1])
        return frozenset(found)
    return None


def participant(folder: Path, name: str, clock: Callable[[], int]) -> Participant:
    """One of them. Its documents are read after its lock, so that those of the dead are their last word."""
    alive = is_held(folder / (name + _LOCK))
    told = _of_this_boot(folder / (name + _ACTIVITY), "activity")
    return Participant(name, alive, activity.parse(told, clock()))


def curves(folder: Path, name: str, clock: Callable[[], int]) -> dict[str, Curve]:
    """The joules of GPUs that one of them published while it held the lease."""
    told = _of_this_boot(folder / (name + _SAMPLES), "curves")
    return samples.parse(told, clock())


def forget(folder: Path, name: str) -> None:
    """Remove the files of a dead one, as far as this process may."""
    for end in (_ACTIVITY, _SAMPLES, ".trial", _LOCK):
        remove(folder / (name + end))
        remove(folder / (name + end + NEW))


def _of_this_boot(path: Path, key: str) -> Any:
    """Part of a document; None where it is of another boot, whose clock began elsewhere."""
    told = read(path)
    return told.get(key) if isinstance(told, dict) and told.get("boot") == _boot() else None


@lru_cache(maxsize=1)
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""
