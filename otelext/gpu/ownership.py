"""Which physical GPUs this process uses."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otelext.gpu.snapshot import Device

_PROC: Final = Path("/proc")
_GENERATIONS: Final = 64
_UNIFIED_MEMORY: Final = "/dev/nvidia-uvm"
"""CUDA opens it; NVML does not."""


def used(processes: Mapping[str, Iterable[int]], visible: Iterable[Device], pid: int, proc: Path = _PROC) -> set[str]:
    """UUIDs of the physical GPUs that a process uses, itself or by its descendants.

    A GPU counts where NVML lists one of them and CUDA shows it. In a container NVML can list the host's process ids:
    where it lists none of ours, and this process has opened CUDA's unified memory, all that CUDA shows count.

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
    if _has_open(_UNIFIED_MEMORY, pid, proc):
        return {device.parent or device.uuid for device in shown}
    return set()


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
