"""The GPUs' part of the report: each device over the range, and whose its energy was."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypedDict

from otelext import semconv
from otelext.viewer.streams import MOST, NO_RECORDED_VALUE, increases, total

if TYPE_CHECKING:
    import duckdb

    from otelext.viewer.selection import Selection
    from otelext.viewer.streams import Increase


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
    """All GPUs; `exporters` are the services whose processes sent readings of GPUs in this time, asked for or not."""

    devices: list[Gpu]
    energy: Energy
    exporters: list[str]


_GAUGES: Final = (
    semconv.GPU_UTILIZATION,
    semconv.GPU_MEMORY_USAGE,
    semconv.GPU_MEMORY_LIMIT,
    semconv.HW_TEMPERATURE,
    semconv.HW_POWER,
    semconv.GPU_THROTTLING,
)
_DIGITS: Final = 9
_READINGS: Final = f"""
SELECT metric, attributes, service, avg(value), max(value), count(*), max(time_ns)
FROM points
WHERE list_contains($metrics, metric) AND abs(value) <= {MOST} AND flags & {NO_RECORDED_VALUE} = 0
  AND time_ns <= $until AND ($since IS NULL OR time_ns > $since)
GROUP BY metric, attributes, service
"""  # noqa: S608 (constants)


@dataclass
class _Readings:
    """Readings of one series, of whichever process they came."""

    total: float = 0.0
    count: int = 0
    highest: float = -math.inf

    def take(self, mean: float, highest: float, count: int) -> None:
        self.total += mean * count
        self.count += count
        self.highest = max(self.highest, highest)

    @property
    def mean(self) -> float | None:
        return self.total / self.count if self.count else None

    @property
    def most(self) -> float | None:
        return self.highest if self.count else None


@dataclass
class _Device:
    """What was told of one device."""

    attributes: dict[str, Any] = field(default_factory=dict)
    latest_ns: int = -1
    gauges: dict[str, _Readings] = field(default_factory=lambda: defaultdict(_Readings))
    throttling: dict[str, _Readings] = field(default_factory=lambda: defaultdict(_Readings))
    joules: float | None = None
    errors: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def describe(self, attributes: dict[str, Any], at_ns: int) -> None:
        """Take what the device is called, the latest of which counts."""
        if at_ns > self.latest_ns:
            self.attributes, self.latest_ns = attributes, at_ns


def gpus(reader: duckdb.DuckDBPyConnection, selection: Selection, tokens: list[Increase]) -> Gpus:
    """What was received of GPUs in a range; readings of one device are one, whichever process exported them.

    Args:
        reader: A reading cursor of the store.
        selection: The range, and whose.
        tokens: What `vlm.tokens` gained there.
    """
    rows = reader.execute(
        _READINGS,
        {"metrics": [metric.name for metric in _GAUGES], "since": selection.since_ns, "until": selection.until_ns},
    ).fetchall()
    devices: dict[str, _Device] = defaultdict(_Device)
    exporters = set()
    for metric, text, service, mean, highest, count, at_ns in rows:
        attributes = json.loads(text)
        if not _is_of_gpu(attributes):
            continue
        exporters.add(service)
        if not selection.services or service in selection.services:
            device = devices[attributes[semconv.HW_ID]]
            device.describe(attributes, at_ns)
            _take(device, metric, attributes, mean, highest, count)
    for gain in increases(reader, semconv.HW_ENERGY.name, selection):
        if _is_of_gpu(gain.attributes):
            device = devices[gain.attributes[semconv.HW_ID]]
            device.describe(gain.attributes, gain.end_ns)
            device.joules = (device.joules or 0.0) + gain.value
    for gain in increases(reader, semconv.HW_ERRORS.name, selection):
        if _is_of_gpu(gain.attributes) and gain.value:
            device = devices[gain.attributes[semconv.HW_ID]]
            device.describe(gain.attributes, gain.end_ns)
            device.errors[str(gain.attributes.get(semconv.ERROR_TYPE, ""))] += gain.value
    found = [_figures(uuid, device) for uuid, device in devices.items()]
    found.sort(
        key=lambda one: (_number(one["index"]), one["parent"] or one["id"], one["parent"] is not None, one["id"])
    )
    return {
        "devices": found,
        "energy": _energy(increases(reader, semconv.ENERGY.name, selection), tokens),
        "exporters": sorted(exporters),
    }


def _is_of_gpu(attributes: dict[str, Any]) -> bool:
    """Names of the hardware conventions stand for any hardware, and anybody may use them."""
    kind: object = attributes.get(semconv.HW_TYPE, semconv.HW_TYPE_GPU)
    return kind == semconv.HW_TYPE_GPU and isinstance(attributes.get(semconv.HW_ID), str)


def _take(device: _Device, metric: str, attributes: dict[str, Any], mean: float, highest: float, count: int) -> None:
    if metric == semconv.GPU_THROTTLING.name:
        device.throttling[str(attributes.get(semconv.GPU_THROTTLE_REASON, ""))].take(mean, highest, count)
    elif (
        attributes.get(semconv.HW_SENSOR_LOCATION, semconv.SENSOR_GPU) == semconv.SENSOR_GPU
        and attributes.get(semconv.HW_GPU_TASK, semconv.TASK_GENERAL) == semconv.TASK_GENERAL
    ):
        device.gauges[metric].take(mean, highest, count)


def _figures(uuid: str, device: _Device) -> Gpu:
    parent = device.attributes.get(semconv.HW_PARENT)
    throttled: list[Throttled] = [
        {"reason": reason, "share": found.mean} for reason, found in device.throttling.items() if found.mean
    ]
    return {
        "id": uuid,
        "name": str(device.attributes.get(semconv.HW_NAME, "")),
        "index": str(device.attributes.get(semconv.GPU_INDEX, "")),
        "parent": None if parent is None else str(parent),
        "utilization_mean": device.gauges[semconv.GPU_UTILIZATION.name].mean,
        "utilization_max": device.gauges[semconv.GPU_UTILIZATION.name].most,
        "memory_used_max": device.gauges[semconv.GPU_MEMORY_USAGE.name].most,
        "memory_limit": device.gauges[semconv.GPU_MEMORY_LIMIT.name].most,
        "temperature_max": device.gauges[semconv.HW_TEMPERATURE.name].most,
        "power_mean": device.gauges[semconv.HW_POWER.name].mean,
        "energy_j": device.joules,
        "throttled": sorted(throttled, key=lambda one: -one["share"]),
        "errors": [{"type": kind, "count": count} for kind, count in sorted(device.errors.items())],
    }


def _energy(gains: list[Increase], token_gains: list[Increase]) -> Energy:
    joules = total(gains, semconv.ENERGY_STATE, semconv.REQUEST_MODEL)
    tokens = total(token_gains, semconv.TOKEN_TYPE, semconv.REQUEST_MODEL)
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
    return int(index) if index.isascii() and index.isdecimal() and len(index) <= _DIGITS else 0
