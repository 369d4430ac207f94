"""What processes tell each other beside the lease: the samples of its holder, and when each one's inferences ran."""

from __future__ import annotations

import math
import time
import uuid
from contextlib import suppress
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otelext.gpu.energy.curve import MOST_SAMPLES
from otelext.gpu.energy.shares import Numbers
from otelext.gpu.energy.steps import Step, within
from otelext.gpu.folder import read, write
from otelext.gpu.locks import FileLock, is_taken
from otelext.gpu.snapshot import EnergySample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from otelext.gpu.energy.steps import Window

_SAMPLES: Final = "energy.json"
_ACTIVITY: Final = ".activity.json"
_LOCK: Final = ".activity.lock"
_MOST_FILES: Final = 512
_MOST_ACTIVE: Final = 1e9
_LONGEST_INTERVAL_S: Final = 3600.0
_SILENT_AFTER_S: Final = 60.0


class Participant(NamedTuple):
    """Another process.

    Attributes:
        name: Of its files.
        alive: Whether it runs, and may still tell something.
        interval: Seconds between two of its publications.
        to_ns: Until when it has told all.
        devices: Its activity by GPU, 0 from `to_ns` on.
    """

    name: str
    alive: bool
    interval: float
    to_ns: int
    devices: Mapping[str, Numbers]


class Board:
    """The files of one process, and its view of the others'."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._name = uuid.uuid4().hex
        self._lock = FileLock(folder / f"{self._name}{_LOCK}")

    def join(self) -> None:
        """Be known to the others, before anything is told; also where somebody tidied the folder.

        Raises:
            OSError: The folder can't be written to.
        """
        self._lock.take()

    def leave(self, *, unlink: bool = True) -> None:
        """Be known no more; a forked child leaves the files, which are its parent's."""
        self._lock.close()
        if unlink:
            self._remove(self._name)

    def publish(
        self, interval: float, to_ns: int, activity: Sequence[Step], used: Mapping[str, Sequence[Window]]
    ) -> None:
        """Tell when inferences ran, and when which GPUs were used.

        Raises:
            OSError: It can't be written.
        """
        path = self._folder / f"{self._name}{_ACTIVITY}"
        active = [[step.at_ns, step.total] for step in activity]
        write(path, {"interval": interval, "to": to_ns, "active": active, "used": used})

    def others(self, now_ns: int) -> list[Participant]:
        """The other processes that have told anything; one that has told nothing yet has `to_ns` 0."""
        found = []
        with suppress(OSError):
            locks = sorted(self._folder.glob(f"*{_LOCK}"), key=_age)[:_MOST_FILES]
            for lock in locks:
                name = lock.name.removesuffix(_LOCK)
                if name != self._name:
                    told = read(self._folder / f"{name}{_ACTIVITY}")
                    found.append(_participant(name, is_taken(lock), _age(lock) > _SILENT_AFTER_S, told, now_ns))
        return found

    def remove(self, dead: Participant) -> None:
        """Remove the files of a process that has ended, where that is allowed."""
        self._remove(dead.name)

    def _remove(self, name: str) -> None:
        for suffix in (_ACTIVITY, _LOCK):
            with suppress(OSError):
                (self._folder / f"{name}{suffix}").unlink()

    def samples(self) -> dict[str, list[EnergySample]]:
        """What the holder of the lease has told of each GPU's energy, oldest first."""
        found: dict[str, list[EnergySample]] = {}
        told = read(self._folder / _SAMPLES)
        for gpu, listed in told.items() if isinstance(told, dict) else ():
            if isinstance(listed, list):
                found[gpu] = [one for item in listed[-MOST_SAMPLES:] if (one := _sample(item)) is not None]
        return found

    def tell_samples(self, samples: Mapping[str, Sequence[EnergySample]]) -> None:
        """Tell each GPU's energy, as the holder of the lease.

        Raises:
            OSError: It can't be written.
        """
        write(self._folder / _SAMPLES, {gpu: listed[-MOST_SAMPLES:] for gpu, listed in samples.items()})


def _age(path: Path) -> float:
    """Seconds since a file was written."""
    try:
        return time.time() - path.stat().st_mtime
    except OSError:
        return math.inf


def _participant(name: str, taken: bool, silent: bool, told: Any, now_ns: int) -> Participant:
    told = told if isinstance(told, dict) else {}
    to_ns, interval = told.get("to"), told.get("interval")
    activity, used = _activity(told.get("active")), told.get("used")
    if (
        not (_is_number(to_ns) and 0 <= to_ns <= now_ns)
        or not (_is_number(interval) and 0 < interval <= _LONGEST_INTERVAL_S)
        or activity is None
        or not isinstance(used, dict)
    ):
        return Participant(name, taken and not silent, 0.0, 0, {})
    devices = {}
    for gpu, listed in used.items():
        windows = _windows(listed, int(to_ns))
        counted = within(activity, windows)
        devices[gpu] = Numbers([step.at_ns for step in counted], [step.total for step in counted])
    return Participant(name, taken, float(interval), int(to_ns), devices)


def _activity(listed: Any) -> list[Step] | None:
    try:
        found = [Step(int(moment), {None: float(number)}) for moment, number in listed]
    except (TypeError, ValueError, OverflowError):
        return None
    rising = all(before.at_ns <= after.at_ns for before, after in pairwise(found))
    return found if rising and all(0 <= step.total <= _MOST_ACTIVE for step in found) else None


def _windows(listed: Any, to_ns: int) -> list[Window]:
    try:
        found = [(int(begin), min(int(end), to_ns)) for begin, end in listed]
    except (TypeError, ValueError, OverflowError):
        return []
    return found if all(before[1] <= after[0] for before, after in pairwise(found)) else []


def _sample(item: Any) -> EnergySample | None:
    try:
        at_ns, joules, source, epoch = item
    except (TypeError, ValueError):
        return None
    if not _is_number(at_ns) or not _is_number(joules) or not isinstance(source, str) or not isinstance(epoch, str):
        return None
    return EnergySample(int(at_ns), float(joules), source, epoch)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
