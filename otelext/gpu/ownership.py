"""Which physical GPUs this process uses."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from otelext.gpu.snapshot import Device

_PROC: Final = Path("/proc")
_GENERATIONS: Final = 64
_PROCESSES: Final = 256
"""Of a container, that are looked at for descendants: 12 ms."""
_FIRST_NAMESPACE: Final = "pid:[4026531836]"
"""Of process ids, the host's own: `PROC_PID_INIT_INO` of Linux."""
_UNIFIED_MEMORY: Final = "/dev/nvidia-uvm"
"""CUDA opens it; NVML does not."""


def used(processes: Mapping[str, Iterable[int]], visible: Iterable[Device], pid: int, proc: Path = _PROC) -> set[str]:
    """UUIDs of the physical GPUs that a process uses, itself or by its descendants.

    A GPU counts where NVML lists one of them and CUDA shows it. NVML tells process ids of the host
    (https://github.com/NVIDIA/nvidia-docker/issues/1483), which a container can't compare with its own: where it lists
    none of ours, and one of them has opened CUDA's unified memory, all that CUDA shows count. On the host itself they
    don't: a process that only asks CUDA for its GPUs opens that too.

    Args:
        processes: By UUID of a GPU or MIG device, the ids of the processes that NVML lists.
        visible: What CUDA shows.
        pid: The process.
        proc: Where the kernel tells of processes.
    """
    shown = tuple(visible)
    listed = {uuid: frozenset(pids) for uuid, pids in processes.items()}
    ours = {one for one in frozenset().union(*listed.values()) if _descends(one, pid, proc)}
    if ours:
        return {
            device.parent or device.uuid
            for device in shown
            if ours & (listed.get(device.uuid, frozenset()) | listed.get(device.parent or "", frozenset()))
        }
    if listed and _is_of_host(pid, proc):
        return set()
    if any(_has_open(_UNIFIED_MEMORY, one, proc) for one in _family(pid, proc)):
        return {device.parent or device.uuid for device in shown}
    return set()


def _is_of_host(pid: int, proc: Path) -> bool:
    with suppress(OSError):
        return os.readlink(proc / str(pid) / "ns" / "pid") == _FIRST_NAMESPACE  # noqa: PTH115  a name, not a path
    return False


def _family(pid: int, proc: Path) -> Iterator[int]:
    """A process and its descendants, itself first."""
    yield pid
    with suppress(OSError), os.scandir(proc) as entries:
        for entry in islice((entry for entry in entries if entry.name.isdecimal()), _PROCESSES):
            if int(entry.name) != pid and _descends(int(entry.name), pid, proc):
                yield int(entry.name)


def _descends(pid: int, ancestor: int, proc: Path) -> bool:
    for _ in range(_GENERATIONS):
        if pid == ancestor:
            return True
        try:
            # The name of a program stands in parentheses and may hold any character.
            pid = int((proc / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return False
        if pid <= 0:
            return False
    return False


def _has_open(path: str, pid: int, proc: Path) -> bool:
    with suppress(OSError), os.scandir(proc / str(pid) / "fd") as entries:
        for entry in entries:
            with suppress(OSError):
                if os.readlink(entry.path) == path:  # noqa: PTH115  a link to a device, not a path to follow
                    return True
    return False
