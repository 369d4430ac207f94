"""A snapshot as a scenario for the stand-in of `otelext.testing.nvml`, which then answers as this host did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelext import semconv

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.gpu.snapshot import DeviceReadings, Snapshot

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
}
_IO: Final = {semconv.RECEIVE: "rx", semconv.TRANSMIT: "tx"}
_LINKS: Final = {semconv.LINK_PCIE: ("pcie", 1.0), semconv.LINK_NVLINK: ("nvlink", 1 / 1024)}
_MIG_READINGS: Final = {"utilization.gpu": "gpm.graphics"}


def scenario(snapshot: Snapshot) -> str:
    """A scenario in which all that was read stays as it is; counters begin where this process began to read them."""
    lines = ["# Written by `otelext gpu --record`.", f"driver.version = {snapshot.driver}"]
    places: dict[str, int] = {}
    for one in snapshot.devices:
        lines += _device(one, places)
        for pid, used in snapshot.processes.get(one.device.uuid, {}).items():
            lines.append(f"{_prefix(one, places)}.process.{pid} = {'NA' if used is None else used}")
    return "\n".join(lines) + "\n"


def _prefix(one: DeviceReadings, places: dict[str, int]) -> str:
    if one.device.parent is None:
        return f"gpu{one.device.index}"
    return f"gpu{one.device.index}.mig{places[one.device.uuid]}"


def _device(one: DeviceReadings, places: dict[str, int]) -> Iterator[str]:
    device = one.device
    if device.parent is not None:
        # MIG devices come after their GPU, which begins anew.
        places[device.uuid] = len(places)
    else:
        places.clear()
    prefix = _prefix(one, places)
    yield f"{prefix}.uuid = {device.uuid}"
    yield f"{prefix}.name = {device.name}"
    if device.parent is None:
        yield f"{prefix}.pci_bus = {device.pci_bus}"
    throttle = 0
    for point in one.points:
        attributes = dict(point.attributes)
        if point.metric == semconv.GPU_THROTTLING.name:
            reason = semconv.THROTTLE_REASONS.index(attributes[semconv.GPU_THROTTLE_REASON])
            throttle |= int(point.value) << (reason + 1)
            continue
        name, value = _reading(point.metric, attributes, point.value)
        if name:
            if device.parent is not None:
                name = _MIG_READINGS.get(name, name)
            yield f"{prefix}.{name} = {value}"
    if any(point.metric == semconv.GPU_THROTTLING.name for point in one.points):
        yield f"{prefix}.throttle = {throttle}"
    for each in one.missing:
        name, _ = _reading(each.metric, dict(each.attributes), 0.0)
        if name and each.why.startswith("NVML_"):
            blank = each.why == "NVML_VALUE_NOT_AVAILABLE"
            yield f"{prefix}.{name} = {'NA' if blank else '!' + each.why.removeprefix('NVML_ERROR_')}"


def _reading(metric: str, attributes: dict[str, str], value: float) -> tuple[str, str]:
    if metric == semconv.GPU_IO.name:
        link, scale = _LINKS[attributes[semconv.GPU_LINK]]
        return f"{link}.{_IO[attributes[semconv.IO_DIRECTION]]}", f"{value * scale:.0f}"
    for told in (*attributes.values(), ""):
        if (metric, told) in _READINGS:
            name, scale = _READINGS[metric, told]
            return name, "from_power" if name == "energy" else f"{value * scale:.10g}"
    return "", ""
