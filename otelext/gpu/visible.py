"""Which devices CUDA lets a process see.

https://docs.nvidia.com/cuda/cuda-c-programming-guide/index.html#env-vars, and for MIG
https://docs.nvidia.com/datacenter/tesla/mig-user-guide/#cuda-visible-devices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelext.gpu.snapshot import Device

VARIABLE: Final = "CUDA_VISIBLE_DEVICES"


def visible_devices(value: str | None, devices: Sequence[Device]) -> tuple[Device, ...]:
    """The devices that `CUDA_VISIBLE_DEVICES` leaves, in CUDA's order.

    Indices are NVML's, those of CUDA with `CUDA_DEVICE_ORDER=PCI_BUS_ID`; without it CUDA may count a host's fastest GPU
    first, where they are not all alike.

    Args:
        value: The variable; None where it isn't set.
        devices: Those that NVML lists, each GPU followed by its MIG devices.
    """
    gpus = [device for device in devices if device.parent is None]
    if value is None:
        return tuple(_of_gpu(gpu, devices) for gpu in gpus)
    found: list[Device] = []
    for entry in value.split(","):
        device = _named(entry.strip(), gpus, devices)
        if device is None:  # as CUDA does: what follows an entry that is none isn't seen
            break
        if device in found:  # likewise: then none is
            return ()
        found.append(device)
    return tuple(found)


def _named(entry: str, gpus: Sequence[Device], devices: Sequence[Device]) -> Device | None:
    if entry.isascii() and entry.isdecimal():
        gpu = next((gpu for gpu in gpus if gpu.index == int(entry)), None)
        return None if gpu is None else _of_gpu(gpu, devices)
    if entry.startswith("MIG-GPU-"):  # MIG-GPU-uuid/gi/ci, of drivers before 470
        entry = entry.removeprefix("MIG-").partition("/")[0]
    if not entry.startswith(("GPU-", "MIG-")):
        return None
    fitting = [device for device in devices if device.uuid.startswith(entry)]
    if len(fitting) != 1:
        return None
    return fitting[0] if entry.startswith("MIG-") else _of_gpu(fitting[0], devices)


def _of_gpu(gpu: Device, devices: Sequence[Device]) -> Device:
    """The GPU, or, where it is divided, its first MIG device: CUDA uses no other one of it."""
    return next((device for device in devices if device.parent == gpu.uuid), gpu)
