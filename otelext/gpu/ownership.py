"""Which GPUs this process uses: where it, or a process that it started, runs something."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otelext.gpu.visible import VARIABLE, visible_devices

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelext.gpu.snapshot import Device, Snapshot

_DEEPEST: Final = 64
_UVM: Final = "/dev/nvidia-uvm"
"""CUDA opens it, and NVML does not."""


def visible(devices: Iterable[Device]) -> tuple[Device, ...]:
    """The devices that this process sees, in CUDA's order."""
    return visible_devices(os.environ.get(VARIABLE), tuple(devices))


def used(snapshot: Snapshot, proc: Path = Path("/proc")) -> set[str]:
    """UUIDs of the physical GPUs that this process uses.

    Those on which NVML lists this process or one that it started, as an engine's worker, and that it may see. NVML lists
    processes by the numbers of the host, which a container doesn't know: there, a process that has CUDA's device open
    uses what it sees.

    Args:
        snapshot: The last pass.
        proc: The folder of the system's processes.
    """
    own = os.getpid()
    seen = {device.uuid: device.parent or device.uuid for device in visible(snapshot.known)}
    physical = set(seen.values())
    parents = {device.uuid: device.parent or device.uuid for device in snapshot.known}
    listed = {(parents.get(uuid, uuid), pid) for uuid, found in snapshot.processes.items() for pid in found}
    ours = {gpu for gpu, pid in listed if gpu in physical and _is_ours(pid, own, proc)}
    return ours or (physical if _has_cuda_open(own, proc) else set())


def _is_ours(pid: int, own: int, proc: Path) -> bool:
    for _ in range(_DEEPEST):
        if pid == own:
            return True
        try:
            # The name in brackets may hold anything; what follows the last bracket is numbers.
            pid = int((proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return False
        if pid <= 1:
            return pid == own
    return False


def _has_cuda_open(own: int, proc: Path) -> bool:
    with suppress(OSError):
        for descriptor in (proc / str(own) / "fd").iterdir():
            with suppress(OSError):
                if str(descriptor.readlink()) == _UVM:
                    return True
    return False
