"""The GPUs' part of the report: each device over the range, and whose its energy was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TypedDict

from otelext import semconv
from otelext.viewer.selection import OF_SERVICES
from otelext.viewer.streams import increases, total

if TYPE_CHECKING:
    import duckdb

    from otelext.viewer.selection import Selection


class Throttled(TypedDict):
    """A reason that held a GPU's clocks down, and in which share of the readings."""

    reason: str
    share: float


class Errors(TypedDict):
    """Errors of one type."""

    type: str
    count: float


class Gpu(TypedDict):
    """A GPU or MIG device over the range; None where nothing told it.

    `utilization_mean`, `utilization_max` are shares of 1, memory is in bytes, temperature in °C, power in W, energy in J.
    """

    id: str
    name: str
    index: str
    parent: str | None
    utilization_mean: float | None
    utilization_max: float | None
    memory_used_max: float | None
    memory_limit: float | None
    temperature_max: float | None
    power_mean: float | None
    energy_j: float | None
    throttled: list[Throttled]
    errors: list[Errors]


class EnergyOf(TypedDict):
    """Energy of one model's inferences; `per_output_token_j` is None where no output token was counted."""

    model: str
    joules: float
    output_tokens: float
    per_output_token_j: float | None


class Energy(TypedDict):
    """Whose the energy was; `sources` says what told it: `counter`, `power`."""

    by_model: list[EnergyOf]
    idle_j: float | None
    sources: list[str]


class Gpus(TypedDict):
    """All GPUs."""

    devices: list[Gpu]
    energy: Energy


_GAUGES: Final = (
    semconv.GPU_UTILIZATION,
    semconv.GPU_MEMORY_USAGE,
    semconv.GPU_MEMORY_LIMIT,
    semconv.HW_TEMPERATURE,
    semconv.HW_POWER,
    semconv.GPU_THROTTLING,
)
_READINGS: Final = f"""
SELECT metric, attributes, avg(value), max(value)
FROM points
WHERE list_contains($metrics, metric) AND isfinite(value) AND {OF_SERVICES}
  AND time_ns <= $until AND ($since IS NULL OR time_ns > $since)
GROUP BY metric, attributes
"""  # noqa: S608 (constants)


def gpus(reader: duckdb.DuckDBPyConnection, selection: Selection) -> Gpus:
    """What was received of GPUs in a range; points of one device are one, whichever process exported them."""
    rows = reader.execute(
        _READINGS,
        {
            "metrics": [metric.name for metric in _GAUGES],
            "since": selection.since_ns,
            "until": selection.until_ns,
            "services": list(selection.services),
        },
    ).fetchall()
    devices: dict[str, Gpu] = {}
    for metric, attributes, mean, highest in rows:
        told = json.loads(attributes)
        _take(_of(devices, told), metric, told, mean, highest)
    for gain in increases(reader, semconv.HW_ENERGY.name, selection):
        device = _of(devices, gain.attributes)
        device["energy_j"] = (device["energy_j"] or 0.0) + gain.value
    errors = total(increases(reader, semconv.HW_ERRORS.name, selection), semconv.HW_ID, semconv.ERROR_TYPE)
    for (uuid, kind), count in sorted(errors.items()):
        if count:
            _of(devices, {semconv.HW_ID: uuid})["errors"].append({"type": kind, "count": count})
    for device in devices.values():
        device["throttled"].sort(key=lambda one: -one["share"])
    order = sorted(devices.values(), key=lambda one: (_number(one["index"]), one["parent"] is not None, one["id"]))
    return {"devices": order, "energy": _energy(reader, selection)}


def _of(devices: dict[str, Gpu], told: dict[str, str]) -> Gpu:
    uuid = str(told.get(semconv.HW_ID, ""))
    if uuid not in devices:
        devices[uuid] = {
            "id": uuid,
            "name": str(told.get(semconv.HW_NAME, "")),
            "index": str(told.get(semconv.GPU_INDEX, "")),
            "parent": told.get(semconv.HW_PARENT),
            "utilization_mean": None,
            "utilization_max": None,
            "memory_used_max": None,
            "memory_limit": None,
            "temperature_max": None,
            "power_mean": None,
            "energy_j": None,
            "throttled": [],
            "errors": [],
        }
    return devices[uuid]


def _take(device: Gpu, metric: str, told: dict[str, str], mean: float, highest: float) -> None:
    if metric == semconv.GPU_UTILIZATION.name:
        device["utilization_mean"], device["utilization_max"] = mean, highest
    elif metric == semconv.GPU_MEMORY_USAGE.name:
        device["memory_used_max"] = highest
    elif metric == semconv.GPU_MEMORY_LIMIT.name:
        device["memory_limit"] = highest
    elif metric == semconv.HW_POWER.name:
        device["power_mean"] = mean
    elif metric == semconv.GPU_THROTTLING.name:
        if mean:
            device["throttled"].append({"reason": str(told.get(semconv.GPU_THROTTLE_REASON, "")), "share": mean})
    elif told.get(semconv.HW_SENSOR_LOCATION) == semconv.SENSOR_GPU:
        device["temperature_max"] = highest


def _energy(reader: duckdb.DuckDBPyConnection, selection: Selection) -> Energy:
    gains = increases(reader, semconv.ENERGY.name, selection)
    joules = total(gains, semconv.ENERGY_STATE, semconv.REQUEST_MODEL)
    tokens = total(increases(reader, semconv.TOKENS.name, selection), semconv.TOKEN_TYPE, semconv.REQUEST_MODEL)
    rows: list[EnergyOf] = []
    for (state, model), used in sorted(joules.items()):
        if state != semconv.ENERGY_ACTIVE:
            continue
        output = tokens.get((semconv.TOKEN_TYPE_OUTPUT, model), 0.0)
        rows.append(
            {
                "model": model,
                "joules": used,
                "output_tokens": output,
                "per_output_token_j": used / output if output else None,
            }
        )
    idle = [used for (state, _), used in joules.items() if state == semconv.ENERGY_IDLE]
    sources = {str(gain.attributes.get(semconv.ENERGY_SOURCE, "")) for gain in gains if gain.value}
    return {"by_model": rows, "idle_j": sum(idle) if idle else None, "sources": sorted(sources - {""})}


def _number(index: str) -> int:
    return int(index) if index.isascii() and index.isdecimal() else 0
