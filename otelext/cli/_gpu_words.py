"""A snapshot of the GPUs in words, for people and for programs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from otelext import semconv
from otelext.gpu.observed import attributes_of
from otelext.viewer.formats import plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otelext.gpu.lease import Holder
    from otelext.gpu.snapshot import DeviceReadings, Missing, Snapshot

# https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceEnumvs.html#group__nvmlDeviceEnumvs
_MEANINGS: Final = {
    "NVML_ERROR_NOT_SUPPORTED": "this GPU, or its mode, does not tell it",
    "NVML_ERROR_NO_PERMISSION": "this user may not read it",
    "NVML_ERROR_FUNCTION_NOT_FOUND": "this driver is older than the function",
    "NVML_ERROR_ARGUMENT_VERSION_MISMATCH": "this driver knows another version of the function's arguments",
    "NVML_ERROR_DEPRECATED": "this driver no longer has the function",
    "NVML_ERROR_INVALID_ARGUMENT": "the driver refuses what it is asked",
    "NVML_ERROR_NOT_FOUND": "the driver does not find it",
    "NVML_ERROR_DRIVER_NOT_LOADED": "NVIDIA's kernel driver is not loaded",
    "NVML_ERROR_LIB_RM_VERSION_MISMATCH": (
        "the library and the kernel driver are of different versions, as after an update: load the driver anew"
    ),
    "NVML_ERROR_OPERATING_SYSTEM": "the system does not let this process at the GPU, as in a container without it",
    "NVML_ERROR_GPU_IS_LOST": "the GPU has fallen off its bus, or does not answer any more",
    "NVML_ERROR_GPU_NOT_FOUND": "the GPU is not there any more",
    "NVML_ERROR_RESET_REQUIRED": "the GPU needs a reset",
    "NVML_ERROR_INSUFFICIENT_POWER": "the GPU's power cables are not attached",
    "NVML_ERROR_IRQ_ISSUE": "the kernel found a problem with the GPU's interrupts",
    "NVML_ERROR_CORRUPTED_INFOROM": "the GPU's memory of its own settings is corrupt",
    "NVML_ERROR_IN_USE": "the GPU is in use by somebody else",
    "NVML_ERROR_MEMORY": "there is not enough memory",
    "NVML_ERROR_TIMEOUT": "the driver did not answer in time",
    "NVML_ERROR_UNKNOWN": "the driver failed and did not say why",
    "NVML_ERROR_NOT_READY": "the driver is not ready for it",
    "NVML_ERROR_NO_DATA": "there is nothing yet",
    "NVML_VALUE_NOT_AVAILABLE": "the driver answered that there is no value",
}
_NAME: Final = re.compile(r"NVML_(?:ERROR|VALUE)_\w+")


def in_words(why: object) -> str:
    """A reason with what the error that it names means."""
    text = plain(str(why))
    named = _NAME.search(text)
    if named is None:
        return text
    meaning = _MEANINGS.get(named[0], "an error that NVIDIA's manual of NVML may explain")
    return f"{text}: {meaning}"


def explained(snapshot: Snapshot) -> Iterator[str]:
    """For each reading that is missing, why."""
    for one in snapshot.devices:
        yield f"{place(one)} {plain(one.device.name)} {plain(one.device.uuid)}"
        if not one.missing:
            yield "  nothing is missing"
        for series in _alike(one.missing):
            yield f"  {_series(series)}: {in_words(series[0].why)}"
    for index, why in unreached(snapshot):
        yield f"{index} can't be reached: {in_words(why)}"


def place(one: DeviceReadings) -> str:
    """What a device is called where its UUID stands beside it."""
    return str(one.device.index) if one.device.parent is None else f"{one.device.index} MIG"


def unreached(snapshot: Snapshot) -> list[tuple[int, str]]:
    """Index and error of each GPU of which nothing else is known."""
    shown = {one.device.index for one in snapshot.devices}
    return [(index, why) for index, why in snapshot.unreached if index not in shown]


def _alike(missing: Sequence[Missing]) -> list[list[Missing]]:
    """Readings of one metric that one attribute tells apart, and that are missing for one reason, together."""
    found: dict[tuple[str, ...], list[Missing]] = {}
    for each in missing:
        keys = [key for key, _ in each.attributes]
        told_apart = keys if len(keys) == 1 else [f"{key}={value}" for key, value in each.attributes]
        found.setdefault((each.metric, each.why, *told_apart), []).append(each)
    return list(found.values())


def _series(series: list[Missing]) -> str:
    first = series[0]
    if len(series) > 1:
        ((key, _),) = first.attributes
        return f"{first.metric} {key}={','.join(dict(each.attributes)[key] for each in series)}"
    return first.metric + "".join(f" {key}={value}" for key, value in first.attributes)


def shown(snapshot: Snapshot, holder: Holder | None) -> dict[str, Any]:
    """All of a snapshot, for programs. Its keys are stable:

    - `driver`: the driver's version; `seconds`, `calls`: what the pass took, and its calls of NVML.
    - `lease`: `pid`, `label` and `since` (RFC 3339) of the process that exports the GPUs; null where none does.
    - `devices`: physical GPUs by index, each followed by its MIG devices, with `attributes`, `readings` (`metric`,
      `value`, `unit`, `attributes`) and `missing` (`metric`, `attributes`, `why`). Metrics, units and attributes are
      those that are exported.
    - `unreached`: `index` and `why` of each GPU that is there and can't be reached.
    - `processes`: GPU memory in bytes by device and process id; null where it isn't told.
    """
    return {
        "driver": snapshot.driver,
        "seconds": round(snapshot.seconds, 6),
        "calls": snapshot.calls,
        "lease": None if holder is None else {"pid": holder.pid, "label": holder.label, "since": holder.since},
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
        "unreached": [{"index": index, "why": why} for index, why in snapshot.unreached],
        "processes": {
            uuid: {str(pid): used for pid, used in found.items()} for uuid, found in snapshot.processes.items()
        },
    }
