"""The GPUs of a host and their MIG devices, as NVML lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from otelext.gpu.nvml import OF_DEVICE, OF_SESSION, NvmlError
from otelext.gpu.snapshot import Device

if TYPE_CHECKING:
    from otelext.gpu.nvml import Nvml


@dataclass(frozen=True)
class MigDevice:
    """A MIG device.

    Attributes:
        device: What it is.
        handle: NVML's.
        gpu_instance: Number of its GPU instance; None where NVML does not tell.
    """

    device: Device
    handle: Any
    gpu_instance: int | None


@dataclass(frozen=True)
class Gpu:
    """A physical GPU.

    Attributes:
        device: What it is.
        handle: NVML's.
        mig: Whether MIG is on.
        mig_devices: Its MIG devices.
    """

    device: Device
    handle: Any
    mig: bool = False
    mig_devices: tuple[MigDevice, ...] = ()

    @property
    def all(self) -> tuple[Device, ...]:
        """It and its MIG devices."""
        return (self.device, *(one.device for one in self.mig_devices))


def gpus(nvml: Nvml) -> tuple[tuple[Gpu, ...], dict[int, NvmlError]]:
    """All GPUs by index, and why others that NVML counts can't be reached, by their indices.

    Raises:
        NvmlError: They can't be listed.
    """
    found, unreached = [], {}
    for index in range(nvml.call("nvmlDeviceGetCount")):
        try:
            found.append(_gpu(nvml, index))
        except NvmlError as error:
            if error.name in OF_SESSION:
                raise
            unreached[index] = error
    return tuple(found), unreached


def mig_uuids(nvml: Nvml, gpu: Gpu) -> tuple[str, ...]:
    """The MIG devices that are there now; more calls than a pass has to spare."""
    return tuple(one.device.uuid for one in _mig_devices(nvml, gpu.device, gpu.handle))


def _gpu(nvml: Nvml, index: int) -> Gpu:
    handle = nvml.call("nvmlDeviceGetHandleByIndex", index)
    uuid = nvml.call("nvmlDeviceGetUUID", handle)
    device = Device(
        uuid=uuid,
        name=_told(nvml, "nvmlDeviceGetName", handle) or "NVIDIA GPU",
        index=index,
        pci_bus=_pci_bus(nvml, handle),
    )
    mig = _told(nvml, "nvmlDeviceGetMigMode", handle)
    if not mig or not mig[0]:
        return Gpu(device, handle)
    return Gpu(device, handle, mig=True, mig_devices=_mig_devices(nvml, device, handle))


def _mig_devices(nvml: Nvml, parent: Device, handle: Any) -> tuple[MigDevice, ...]:
    found = []
    for place in range(_told(nvml, "nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
        try:
            mig = nvml.call("nvmlDeviceGetMigDeviceHandleByIndex", handle, place)
            uuid = nvml.call("nvmlDeviceGetUUID", mig)
        except NvmlError as error:
            if error.name in OF_DEVICE or error.name in OF_SESSION:
                raise
            continue  # places may be empty
        device = Device(
            uuid=uuid,
            name=_told(nvml, "nvmlDeviceGetName", mig) or parent.name,
            index=parent.index,
            pci_bus=parent.pci_bus,
            parent=parent.uuid,
        )
        found.append(MigDevice(device, mig, _told(nvml, "nvmlDeviceGetGpuInstanceId", mig)))
    return tuple(found)


def _pci_bus(nvml: Nvml, handle: Any) -> str:
    found = _told(nvml, "nvmlDeviceGetPciInfo", handle)
    bus = getattr(found, "busId", "")
    return bus.decode(errors="replace") if isinstance(bus, bytes) else str(bus)


def _told(nvml: Nvml, name: str, handle: Any) -> Any:
    """What a call gives, None where it is not supported."""
    try:
        return nvml.call(name, handle)
    except NvmlError as error:
        if error.name in OF_DEVICE or error.name in OF_SESSION:
            raise
        return None
