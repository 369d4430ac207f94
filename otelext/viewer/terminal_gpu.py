"""The GPUs in the terminal's report, or a sentence where none was told of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from otelext.viewer.formats import amount, gpu_name, mig_name, plain, share
from otelext.viewer.terminal_parts import heading, new_table, sentence

if TYPE_CHECKING:
    from rich.console import Console

    from otelext.viewer.gpus import Energy, Gpu, Gpus

_GIB: Final = 2**30
_UUID: Final = 12
_MANY: Final = 100.0
"""Joules from which on decimals don't matter."""
_SOURCES: Final = {
    "counter": "the GPUs' own energy counters",
    "power": "their power, integrated between readings",
}
NONE: Final = (
    "No GPU telemetry was received: the service sees no NVIDIA GPU or doesn't read it, or another process of its host "
    "exports it elsewhere. `otelext gpu` on that host says which."
)


def draw_gpus(gpus: Gpus, console: Console) -> None:
    """Print the devices, what held them back, and whose their energy was."""
    devices = gpus["devices"]
    if not devices:
        heading(console, "GPUs: none")
        sentence(console, Text(_none(gpus["exporters"])))
    else:
        count = sum(one["parent"] is None for one in devices) or len(devices)
        heading(console, f"GPUs: {count}", "busy is that a kernel ran, be that efficient or not")
        _devices(devices, console)
    if gpus["energy"]["by_model"] or gpus["energy"]["idle_j"] is not None:
        _energy(gpus["energy"], console)


def _none(exporters: list[str]) -> str:
    """Why there are no readings: of the processes of a host one exports, whichever service that belongs to."""
    if not exporters:
        return NONE
    names, them = ", ".join(map(plain, exporters)), "it" if len(exporters) == 1 else "them"
    return (
        f"No GPU telemetry was received of these services. One process exports all GPUs of its host, here of {names}: "
        f"ask for {them} with --service, or for all."
    )


def _devices(devices: list[Gpu], console: Console) -> None:
    degree = "max C" if console.options.ascii_only else "max °C"
    drawn = new_table("", "name", "busy", "max", "max GiB", degree, "mean W", "J", right=6)
    for one in devices:
        drawn.add_row(
            "" if one["parent"] else plain(one["index"]),
            Text(_name(one, devices)),
            _share(one["utilization_mean"]),
            _share(one["utilization_max"]),
            _memory(one),
            _whole(one["temperature_max"]),
            _whole(one["power_mean"]),
            "-" if one["energy_j"] is None else _joules(one["energy_j"]),
        )
    console.print(drawn)
    for one in devices:
        notes = [f"{plain(each['reason'])} in {share(each['share'])} of the readings" for each in one["throttled"]]
        if notes:
            sentence(console, Text(f"{_called(one, devices)} was held back: {', '.join(notes)}.", "yellow"))
        errors = [f"{plain(each['type'])} {amount(each['count'])}" for each in one["errors"]]
        if errors:
            sentence(console, Text(f"{_called(one, devices)} had errors: {', '.join(errors)}.", "red"))


def _name(one: Gpu, devices: list[Gpu]) -> str:
    if one["parent"]:
        return f"  {mig_name(one['name'], one['id'])}"
    name = gpu_name(one["name"])
    return f"{name} {plain(one['id'][:_UUID])}" if _is_one_of_many(one, devices) else name


def _called(one: Gpu, devices: list[Gpu]) -> str:
    return plain(f"GPU {one['index']} {one['id'][:_UUID]}" if _is_one_of_many(one, devices) else f"GPU {one['index']}")


def _is_one_of_many(one: Gpu, devices: list[Gpu]) -> bool:
    """Whether GPUs of several hosts have that index."""
    return sum(each["index"] == one["index"] and not each["parent"] for each in devices) > 1


def _energy(energy: Energy, console: Console) -> None:
    sources = " and ".join(_SOURCES.get(source, plain(source)) for source in energy["sources"])
    heading(console, "Energy of inferences", f"by {sources}" if sources else "")
    drawn = new_table("model", "J", "output tokens", "J an output token", right=3)
    for one in energy["by_model"]:
        each = one["per_output_token_j"]
        drawn.add_row(
            plain(one["model"] or "(none)"),
            _joules(one["joules"]),
            amount(one["output_tokens"]),
            "-" if each is None else f"{each:.3g}",
        )
    if energy["idle_j"] is not None:
        drawn.add_row(Text("no inference active", "dim"), _joules(energy["idle_j"]), "", "")
    console.print(drawn)


def _share(value: float | None) -> str:
    return "-" if value is None else share(value)


def _joules(value: float) -> str:
    return _whole(value) if value >= _MANY else f"{value:.3g}"


def _whole(value: float | None) -> str:
    return "-" if value is None else amount(round(value))


def _memory(one: Gpu) -> str:
    used, limit = one["memory_used_max"], one["memory_limit"]
    return "-" if used is None or not limit else f"{used / _GIB:.1f}/{limit / _GIB:.1f}"
