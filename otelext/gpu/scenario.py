"""Snapshots as a scenario for the stand-in of `otelext.testing.nvml`, which then answers as this host did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelext import semconv
from otelext.gpu.readings import NOT_AVAILABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from otelext.gpu.snapshot import Device, DeviceReadings, Snapshot

# The reading's name in a scenario by metric and the attribute that tells it apart, and its unit there for one of ours.
_READINGS: Final = {
    (semconv.GPU_UTILIZATION.name, semconv.TASK_GENERAL): ("utilization.gpu", 100.0),
    (semconv.GPU_MEMORY_ACTIVITY.name, ""): ("utilization.memory", 100.0),
    (semconv.GPU_MEMORY_LIMIT.name, ""): ("memory.total", 1.0),
    (semconv.GPU_MEMORY_USAGE.name, ""): ("memory.used", 1.0),
    (semconv.HW_TEMPERATURE.name, semconv.SENSOR_GPU): ("temperature.gpu", 1.0),
    (semconv.HW_TEMPERATURE.name, semconv.SENSOR_MEMORY): ("temperature.memory", 1.0),
    (semconv.HW_POWER.name, ""): ("power", 1e3),
    (semconv.GPU_CLOCK.name, semconv.CLOCK_SM): ("clock.sm", 1e-6),
    (semconv.GPU_CLOCK.name, semconv.CLOCK_MEMORY): ("clock.memory", 1e-6),
    (semconv.HW_FAN_SPEED_RATIO.name, ""): ("fan", 100.0),
    (semconv.GPU_PERFORMANCE_STATE.name, ""): ("pstate", 1.0),
    (semconv.HW_ERRORS.name, semconv.ECC_CORRECTED): ("ecc.corrected", 1.0),
    (semconv.HW_ERRORS.name, semconv.ECC_UNCORRECTED): ("ecc.uncorrected", 1.0),
    (semconv.GPU_SM_ACTIVITY.name, ""): ("gpm.sm", 100.0),
    (semconv.GPU_TENSOR_ACTIVITY.name, ""): ("gpm.tensor", 100.0),
    (semconv.HW_ENERGY.name, semconv.ENERGY_FROM_COUNTER): ("energy", 0.0),
    (semconv.GPU_THROTTLING.name, ""): ("throttle", 1.0),
    (semconv.GPU_PROCESS_MEMORY.name, ""): ("process", 1.0),
}
_IO: Final = {semconv.RECEIVE: "rx", semconv.TRANSMIT: "tx"}
_LINKS: Final = {semconv.LINK_PCIE: ("pcie", 1.0), semconv.LINK_NVLINK: ("nvlink", 1 / 1024)}
_MIG_READINGS: Final = {"utilization.gpu": "gpm.graphics"}
_ANY_XID: Final = semconv.XID.format(number="*")
_XID: Final = semconv.XID.format(number="")
_ABSENT: Final = "!NOT_SUPPORTED"
_NOT_RUNNING: Final = "!NOT_FOUND"


class Recording:
    """What passes found: a step for each value that changed, from the first pass on.

    Counters begin where this process began to read them, and the energy counter follows from power. What a snapshot
    doesn't tell, such as the numbers of MIG instances, has the stand-in's default.
    """

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._steps: dict[str, list[tuple[float, str]]] = {}
        self._began_ns: int | None = None
        self._xids: dict[tuple[str, str], int] = {}

    def add(self, snapshot: Snapshot) -> None:
        """Take a pass."""
        if self._began_ns is None:
            self._began_ns = snapshot.taken_ns
        at = round((snapshot.taken_ns - self._began_ns) / 1e9, 3)
        self._texts.setdefault("driver.version", snapshot.driver)
        there = {device.uuid for device in snapshot.known}
        running = set()
        for prefix, one in _placed(snapshot.devices):
            self._texts.update(_identity(prefix, one.device))
            if one.device.parent is None:
                self._put(f"{prefix}.lost", at, str(int(one.device.uuid not in there)), before="1")
            if one.device.uuid not in there:
                continue
            for name, value in _values(one):
                self._put(f"{prefix}.{name}", at, value, before=_ABSENT)
            self._take_xids(prefix, at, one)
            if one.device.uuid in snapshot.processes and f"{prefix}.process" in self._steps:
                self._put(f"{prefix}.process", at, "0", before="0")
            for pid, used in snapshot.processes.get(one.device.uuid, {}).items():
                running.add(f"{prefix}.process.{pid}")
                self._put(f"{prefix}.process.{pid}", at, "NA" if used is None else str(used), before=_NOT_RUNNING)
        for key in self._steps.keys() - running:
            if ".process." in key:
                self._put(key, at, _NOT_RUNNING, before=_NOT_RUNNING)
        for index, why in snapshot.unreached:
            self._texts.setdefault(f"gpu{index}.uuid", _error(why))

    def text(self) -> str:
        """The scenario."""
        lines = ["# Written by `otelext gpu --record`.", *(f"{key} = {value}" for key, value in self._texts.items())]
        for key, ((_, first), *steps) in self._steps.items():
            if steps or first != "0" or not key.endswith(".lost"):
                lines.append(" ".join([f"{key} = {first}", *(f"@{at:.3f} {value}" for at, value in steps)]))
        return "\n".join(lines) + "\n"

    def _put(self, key: str, at: float, value: str, *, before: str) -> None:
        """Note a value; `before` is what held until now where it is the first."""
        steps = self._steps.setdefault(key, [(0.0, value if at <= 0 else before)])
        if steps[-1][1] != value:
            steps.append((at, value))

    def _take_xids(self, prefix: str, at: float, one: DeviceReadings) -> None:
        """Note each error that came since the pass before as an event; those of before the first pass are none."""
        if one.device.parent is not None or any(_ANY_XID in dict(each.attributes).values() for each in one.missing):
            return
        steps = self._steps.setdefault(f"{prefix}.xid", [(0.0, "0")])
        for point in one.points:
            kind = dict(point.attributes).get(semconv.ERROR_TYPE, "")
            if kind.startswith(_XID):
                before, now = self._xids.get((prefix, kind), 0), round(point.value)
                self._xids[prefix, kind] = now
                for _ in range(now - before if at > 0 else 0):
                    # Each has a time of its own.
                    steps.append((max(at, steps[-1][0] + 0.001), kind.removeprefix(_XID)))


def _placed(devices: Iterable[DeviceReadings]) -> Iterator[tuple[str, DeviceReadings]]:
    """Each device with what its keys begin with; MIG devices come after their GPU."""
    place = 0
    for one in devices:
        if one.device.parent is None:
            place = 0
            yield f"gpu{one.device.index}", one
        else:
            yield f"gpu{one.device.index}.mig{place}", one
            place += 1


def _identity(prefix: str, device: Device) -> Iterator[tuple[str, str]]:
    yield f"{prefix}.uuid", device.uuid
    yield f"{prefix}.name", device.name
    if device.parent is None:
        yield f"{prefix}.pci_bus", device.pci_bus


def _values(one: DeviceReadings) -> Iterator[tuple[str, str]]:
    """Each reading's name and value, or the error that was there in its place."""
    throttle: int | None = None
    for point in one.points:
        attributes = dict(point.attributes)
        name, scale = _name(one.device, point.metric, attributes)
        if name == "throttle":
            reason = semconv.THROTTLE_REASONS.index(attributes[semconv.GPU_THROTTLE_REASON])
            throttle = (throttle or 0) | int(point.value) << (reason + 1)
        elif name:
            yield name, "from_power" if name == "energy" else f"{point.value * scale:.15g}"
    if throttle is not None:
        yield "throttle", str(throttle)
    for missing in one.missing:
        name, _ = _name(one.device, missing.metric, dict(missing.attributes))
        if name and missing.why.startswith("NVML_"):
            yield name, _error(missing.why)
    told = {point.metric for point in one.points} | {missing.metric for missing in one.missing}
    if one.device.parent is None and semconv.GPU_MEMORY_LIMIT.name not in told:
        yield "mig", "1"  # what is divided is told by its parts, be there none


def _name(device: Device, metric: str, attributes: Mapping[str, str]) -> tuple[str, float]:
    """A series' name in a scenario, empty where it has none, and its unit there for one of ours."""
    if metric == semconv.GPU_IO.name:
        link, scale = _LINKS[attributes[semconv.GPU_LINK]]
        return f"{link}.{_IO[attributes[semconv.IO_DIRECTION]]}", scale
    for told in (*attributes.values(), ""):
        if (metric, told) in _READINGS:
            name, scale = _READINGS[metric, told]
            return name if device.parent is None else _MIG_READINGS.get(name, name), scale
    return "", 0.0


def _error(why: str) -> str:
    return "NA" if why == NOT_AVAILABLE else f"!{why.removeprefix('NVML_ERROR_')}"
