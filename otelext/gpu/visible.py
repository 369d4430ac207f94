"""Which GPUs CUDA shows to this process, by `CUDA_VISIBLE_DEVICES`.

https://docs.nvidia.com/cuda/cuda-c-programming-guide/#env-vars. What that leaves open (a number that is followed by
something else, one that is named twice) is as CUDA does it, and as `torch.cuda` reads it where CUDA is not asked.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelext.gpu.snapshot import Device

VARIABLE: Final = "CUDA_VISIBLE_DEVICES"
_NUMBER: Final = re.compile(r"\s*\+?(\d{1,9})", re.ASCII)
_GPU: Final = "GPU-"
_MIG: Final = "MIG-"
_MIG_OF_GPU: Final = "MIG-GPU-"


def visible_devices(value: str | None, devices: Sequence[Device]) -> tuple[Device, ...]:
    """The GPUs and MIG devices that a process with this environment can use, in its own order.

    Numbers are those of NVML, in the order of PCI buses. CUDA puts the fastest first unless `CUDA_DEVICE_ORDER` is
    `PCI_BUS_ID`: in a host of unlike GPUs without it, numbers can mean others. UUIDs never do.

    Args:
        value: Of `CUDA_VISIBLE_DEVICES`; None where it isn't set.
        devices: Those of the host: each physical GPU, followed by its MIG devices.

    Returns:
        As CUDA does, those before the first entry that names none; none at all where one is named twice. A GPU in which
        MIG is on stands for its first MIG device where it is named, and for all of them where nothing is.
    """
    parents = {device.parent for device in devices}
    if value is None:
        return tuple(device for device in devices if device.uuid not in parents)
    found: list[Device] = []
    kind = next((kind for kind in (_GPU, _MIG) if value.strip().startswith(kind)), "")
    for entry in value.split(","):
        device = _named(entry.strip(), kind, devices)
        if device is None:
            break
        if device in found:
            return ()
        found.append(device)
    return tuple(found)


def _named(entry: str, kind: str, devices: Sequence[Device]) -> Device | None:
    if not kind:
        number = _NUMBER.match(entry)
        return None if number is None else _first(devices, int(number[1]))
    if not entry.startswith(kind) or entry == kind:
        return None  # numbers, GPUs and MIG devices don't mix
    fitting = [device for device in devices if device.uuid.startswith(entry)]
    if not fitting and entry.startswith(_MIG_OF_GPU):
        # The name before driver 470, of a GPU with the numbers of two instances, which is told apart no further here.
        gpu = entry.removeprefix(_MIG).partition("/")[0]
        fitting = [device for device in devices if device.uuid == gpu]
    if len(fitting) != 1:
        return None
    return _first(devices, fitting[0].index) if kind == _GPU else fitting[0]


def _first(devices: Sequence[Device], index: int) -> Device | None:
    """A physical GPU by its number; where MIG is on, its first MIG device."""
    of_gpu = [device for device in devices if device.index == index]
    return next((device for device in of_gpu if device.parent is not None), of_gpu[0] if of_gpu else None)
