"""A snapshot of the GPUs for people, as a table, as sentences, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from otelext import semconv
from otelext.gpu.observed import attributes_of
from otelext.viewer.formats import plain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.gpu.lease import Holder
    from otelext.gpu.snapshot import DeviceReadings, Snapshot

_BAR: Final = 10
_GIB: Final = 2**30
_HOT: Final = 85.0
_FULL: Final = 0.95
# https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html#group__nvmlDeviceEnumvs
_MEANINGS: Final = {
    "NVML_ERROR_NOT_SUPPORTED": "this GPU, or its mode, does not tell it",
    "NVML_ERROR_NO_PERMISSION": "this user may not read it",
    "NVML_ERROR_FUNCTION_NOT_FOUND": "this driver is older than the function",
    "NVML_ERROR_ARGUMENT_VERSION_MISMATCH": "this driver knows another version of the function's arguments",
    "NVML_ERROR_GPU_IS_LOST": "the GPU does not answer any more",
    "NVML_ERROR_RESET_REQUIRED": "the GPU needs a reset",
    "NVML_ERROR_TIMEOUT": "the driver did not answer in time",
    "NVML_ERROR_UNKNOWN": "the driver failed and did not say why",
    "NVML_ERROR_NOT_READY": "the driver is not ready for it",
    "NVML_ERROR_NO_DATA": "there is nothing yet",
    "NVML_VALUE_NOT_AVAILABLE": "the driver answered that there is no value",
}


def shown(snapshot: Snapshot, holder: Holder | None) -> dict[str, Any]:
    """All of a snapshot, for programs.

    Keys are stable: `driver`, `seconds`, `calls`, `lease` (`pid`, `label`, `since`, or null), `processes` (bytes by
    device and process id), `unreached` (`index` and `why` of GPUs that can't be read at all) and `devices`, each with
    `attributes`, `readings` (`metric`, `value`, `unit`, `attributes`) and `missing` (`metric`, `attributes`, `why`).
    """
    return {
        "driver": snapshot.driver,
        "seconds": round(snapshot.seconds, 6),
        "calls": snapshot.calls,
        "lease": None if holder is None else {"pid": holder.pid, "label": holder.label, "since": holder.since},
        "processes": {
            uuid: {str(pid): used for pid, used in found.items()} for uuid, found in snapshot.processes.items()
        },
        "unreached": [{"index": index, "why": why} for index, why in snapshot.unreached],
        "devices": [
            {
                "attributes": attributes_of(one.device),
                "readings": [
                    {
                        "metric": point.metric,
                        "value": point.value,
                        "unit": semconv.METRICS[point.metric].unit,
                        "attributes": dict(point.attributes),
                    }
                    for point in one.points
                ],
                "missing": [
                    {"metric": each.metric, "attributes": dict(each.attributes), "why": each.why}
                    for each in one.missing
                ],
            }
            for one in snapshot.devices
        ],
    }


def explained(snapshot: Snapshot) -> Iterator[str]:
    """For each reading, and each GPU, that is missing, why."""
    for index, why in snapshot.unreached:
        yield f"{index} can't be reached: {_with_meaning(why)}"
    for one in snapshot.devices:
        yield f"{_place(one)} {plain(one.device.name)} {one.device.uuid}"
        if not one.missing:
            yield "  nothing is missing"
        for each in one.missing:
            attributes = "".join(f" {key}={value}" for key, value in each.attributes)
            yield f"  {each.metric}{attributes}: {_with_meaning(each.why)}"


def _with_meaning(why: str) -> str:
    meaning = _MEANINGS.get(why)
    return f"{why}: {meaning}" if meaning else why


def table(snapshot: Snapshot, holder: Holder | None, ascii_only: bool) -> Group:
    """One line a device, MIG devices below their GPU."""
    found = Table(box=None, padding=(0, 1), pad_edge=False, header_style="dim")
    degree = "C" if ascii_only else "°C"
    found.add_column("GPU", no_wrap=True)
    found.add_column("name", overflow="fold")
    found.add_column("busy", no_wrap=True)
    for column in ("memory GiB", degree, "W", "SM MHz"):
        found.add_column(column, justify="right", no_wrap=True)
    found.add_column("notes", overflow="fold")
    for one in snapshot.devices:
        found.add_row(*_row(one, ascii_only))
    who = "no process exports them" if holder is None else f"exported by process {holder.pid}"
    label = f" ({plain(holder.label)}, since {plain(holder.since)})" if holder is not None and holder.label else ""
    unreached = [Text(f"GPU {index} can't be reached: {why}", "red") for index, why in snapshot.unreached]
    return Group(found, *unreached, Text(f"driver {plain(snapshot.driver)}; {who}{label}", "dim"))


def _row(one: DeviceReadings, ascii_only: bool) -> tuple[Any, ...]:
    busy, power = _value(one, semconv.GPU_UTILIZATION.name), _value(one, semconv.HW_POWER.name)
    used, limit = _value(one, semconv.GPU_MEMORY_USAGE.name), _value(one, semconv.GPU_MEMORY_LIMIT.name)
    hot = _value(one, semconv.HW_TEMPERATURE.name, semconv.SENSOR_GPU)
    clock = _value(one, semconv.GPU_CLOCK.name, semconv.CLOCK_SM)
    full = used is not None and bool(limit) and used / (limit or 1) > _FULL
    return (
        _place(one),
        Text(plain(one.device.name)),
        "-" if busy is None else _bar(busy, ascii_only),
        Text("-" if used is None else f"{used / _GIB:.1f}/{(limit or 0) / _GIB:.1f}", "red" if full else ""),
        Text("-" if hot is None else f"{hot:.0f}", "red" if hot is not None and hot > _HOT else ""),
        "-" if power is None else f"{power:.0f}",
        "-" if clock is None else f"{clock / 1e6:.0f}",
        Text(", ".join(_notes(one)), "yellow"),
    )


def _place(one: DeviceReadings) -> str:
    return str(one.device.index) if one.device.parent is None else f"{one.device.index} MIG"


def _bar(part: float, ascii_only: bool) -> str:
    length = round(min(1.0, max(0.0, part)) * _BAR)
    return ("#" if ascii_only else "█") * length + " " * (_BAR - length) + f" {part * 100:3.0f} %"


def _notes(one: DeviceReadings) -> Iterator[str]:
    for point in one.points:
        attributes = dict(point.attributes)
        if point.metric == semconv.GPU_THROTTLING.name and point.value:
            yield attributes[semconv.GPU_THROTTLE_REASON]
        elif point.metric == semconv.HW_ERRORS.name and point.value:
            yield f"{attributes[semconv.ERROR_TYPE]} {point.value:.0f}"


def _value(one: DeviceReadings, metric: str, attribute: str = "") -> float | None:
    return next(
        (
            point.value
            for point in one.points
            if point.metric == metric and (not attribute or attribute in dict(point.attributes).values())
        ),
        None,
    )
