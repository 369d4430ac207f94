"""A snapshot of the GPUs as a table that fits 80 columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.text import Text

from otelext import semconv
from otelext.cli._gpu_words import in_words, unreached
from otelext.viewer.formats import amount, gpu_name, mig_name, plain
from otelext.viewer.terminal_parts import bar, new_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from otelext.gpu.lease import Holder
    from otelext.gpu.snapshot import Device, DeviceReadings, Snapshot

_BAR: Final = 10
_GIB: Final = 2**30
_HOT: Final = 85.0
_FULL: Final = 0.95
_WIDE: Final = 100
"""Columns from which on it is shown how busy multiprocessors and tensor cores are."""


def table(snapshot: Snapshot, holder: Holder | None, console: Console, hint: str = "") -> Group:
    """One line a device, MIG devices below their GPU; what is wrong with them; and who exports them.

    Args:
        snapshot: What was read.
        holder: Who has the lease.
        console: Where it is to be printed.
        hint: What the last line says besides.
    """
    degree = "C" if console.options.ascii_only else "°C"
    activity = ("SM", "tensor") if console.width >= _WIDE else ()
    found = new_table("", "name", "busy", *activity, "memory GiB", degree, "W", "SM MHz", right=4 + len(activity))
    for one in snapshot.devices:
        found.add_row(*_row(one, console, wide=bool(activity)))
    there = {device.uuid for device in snapshot.known}
    notes = [note for one in snapshot.devices for note in _notes(one, lost=one.device.uuid not in there)]
    notes += [Text(f"GPU {index} can't be reached: {in_words(why)}", "red") for index, why in unreached(snapshot)]
    return Group(found, *notes, Text(f"driver {plain(snapshot.driver)}; {_exporter(holder)}{hint}", "dim"))


def _exporter(holder: Holder | None) -> str:
    if holder is None:
        return "no process exports them"
    label = f" ({plain(holder.label)}, since {plain(holder.since)})" if holder.label else ""
    return f"exported by process {holder.pid}{label}" if holder.pid else "exported by a process that does not say which"


def _row(one: DeviceReadings, console: Console, *, wide: bool) -> Iterator[str | Text]:
    used, limit = _value(one, semconv.GPU_MEMORY_USAGE.name), _value(one, semconv.GPU_MEMORY_LIMIT.name)
    hot = _value(one, semconv.HW_TEMPERATURE.name, semconv.SENSOR_GPU)
    full = used is not None and limit is not None and used > _FULL * limit
    yield str(one.device.index) if one.device.parent is None else ""
    yield Text(_name(one.device))
    yield _busy(_value(one, semconv.GPU_UTILIZATION.name), console)
    if wide:
        yield _share(_value(one, semconv.GPU_SM_ACTIVITY.name))
        yield _share(_value(one, semconv.GPU_TENSOR_ACTIVITY.name))
    yield Text("-" if used is None else f"{_gib(used)}/{'?' if limit is None else _gib(limit)}", "red" if full else "")
    yield Text(_whole(hot), "red" if hot is not None and hot > _HOT else "")
    yield _whole(_value(one, semconv.HW_POWER.name))
    yield _whole(_value(one, semconv.GPU_CLOCK.name, semconv.CLOCK_SM), 1e-6)


def _name(device: Device) -> str:
    return gpu_name(device.name) if device.parent is None else f"  {mig_name(device.name, device.uuid)}"


def _busy(part: float | None, console: Console) -> str:
    return "-" if part is None else f"{bar(part, _BAR, console):{_BAR}} {_share(part):>5}"


def _share(part: float | None) -> str:
    return "-" if part is None else f"{part * 100:.0f} %"


def _gib(size: float) -> str:
    return f"{size / _GIB:.1f}"


def _whole(value: float | None, scale: float = 1.0) -> str:
    return "-" if value is None else f"{value * scale:.0f}"


def _notes(one: DeviceReadings, *, lost: bool) -> Iterator[Text]:
    if lost:
        yield Text(f"GPU {one.device.index} is lost: {in_words(one.missing[0].why if one.missing else '')}", "red")
    held, errors = [], []
    for point in one.points:
        attributes = dict(point.attributes)
        if point.metric == semconv.GPU_THROTTLING.name and point.value:
            held.append(attributes[semconv.GPU_THROTTLE_REASON])
        elif point.metric == semconv.HW_ERRORS.name and point.value:
            errors.append(f"{attributes[semconv.ERROR_TYPE]} {amount(point.value)}")
    if held:
        yield Text(f"GPU {one.device.index} is held back: {', '.join(held)}", "yellow")
    if errors:
        yield Text(f"GPU {one.device.index} had errors: {', '.join(errors)}", "red")


def _value(one: DeviceReadings, metric: str, attribute: str = "") -> float | None:
    return next(
        (
            point.value
            for point in one.points
            if point.metric == metric and (not attribute or attribute in dict(point.attributes).values())
        ),
        None,
    )
