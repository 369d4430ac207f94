"""What one pass over the GPUs found: immutable, so that whoever exports or prints it waits for no driver."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Device:
    """A GPU, or one of its MIG devices.

    Attributes:
        uuid: `GPU-...`, or `MIG-...` of a MIG device; the value of `hw.id`.
        name: Its product name.
        index: NVML's number of the physical GPU, in the order of PCI buses.
        pci_bus: `00000000:01:00.0`, of the physical GPU.
        parent: The physical GPU's `uuid`; None for a physical GPU.
    """

    uuid: str
    name: str
    index: int
    pci_bus: str
    parent: str | None = None


class Point(NamedTuple):
    """One value of a metric, in that metric's unit.

    Attributes:
        metric: Name in the catalogue.
        value: The value; of a counter, what was added since this process reads it.
        attributes: Those that come on top of the device's own.
    """

    metric: str
    value: float
    attributes: tuple[tuple[str, str], ...] = ()


class EnergySample(NamedTuple):
    """What a GPU has used by then.

    Attributes:
        at_ns: When it was read, by `time.perf_counter_ns`.
        joules: The driver's own total since it was loaded, or the integral of power since its reader began.
        source: Which of them: `counter` or `power`.
        epoch: Samples of one source can be compared where this is the same.
    """

    at_ns: int
    joules: float
    source: str
    epoch: str


class Missing(NamedTuple):
    """A reading that is not there.

    Attributes:
        metric: Name in the catalogue.
        why: NVML's error by name, such as `NVML_ERROR_NOT_SUPPORTED`, or a sentence where it gave none.
        attributes: As of `Point`.
    """

    metric: str
    why: str
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class DeviceReadings:
    """What was read of one device, and what could not be.

    Attributes:
        device: Which one.
        points: Its values.
        missing: Readings without a value.
    """

    device: Device
    points: tuple[Point, ...] = ()
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True)
class Snapshot:
    """One pass.

    Attributes:
        taken_ns: When it began, by `time.perf_counter_ns`.
        seconds: How long it took.
        calls: NVML calls that it made.
        driver: The driver's version.
        unreached: Indices of GPUs that NVML counts and that can't be reached, each with the error's name.
        known: Devices that are there, in the order of `devices`.
        devices: What was read of all: physical GPUs by index, each followed by its MIG devices. A GPU that is lost has
            only its errors.
        processes: GPU memory of processes that run here, in bytes by device and process id; None where it isn't told.
    """

    taken_ns: int
    seconds: float
    calls: int
    driver: str
    unreached: tuple[tuple[int, str], ...] = ()
    known: tuple[Device, ...] = ()
    devices: tuple[DeviceReadings, ...] = ()
    processes: Mapping[str, Mapping[int, int | None]] = field(default_factory=dict)
