"""What is asked of one physical GPU in a pass, in the fewest calls.

https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html. Units become those of the catalogue here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otelext import semconv
from otelext.gpu.nvml import FUNCTION_NOT_FOUND, NvmlError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from otelext.gpu.nvml import Nvml

Attributes = tuple[tuple[str, str], ...]
Series = tuple[str, Attributes]
"""A metric's name, and the attributes on top of the device's own."""

BLANK_32: Final = 2**32 - 1
BLANK_64: Final = 2**64 - 1
"""`NVML_VALUE_NOT_AVAILABLE`, by the width of a value."""
NOT_AVAILABLE: Final = "NVML_VALUE_NOT_AVAILABLE"


class Reading(NamedTuple):
    """One call, and the series that it gives.

    Attributes:
        call: The function's name, by which an unsupported one is remembered.
        series: What it tells.
        read: Makes the call; a value for each series, None for one that is blank.
    """

    call: str
    series: tuple[Series, ...]
    read: Callable[[Nvml, Any], Sequence[float | None]]


def known(value: int, blank: int = BLANK_32) -> int | None:
    """`value`, or None where it stands for no value."""
    return None if value == blank else value


def _scaled(value: int | None, scale: float) -> float | None:
    return None if value is None else value * scale


def _utilization(nvml: Nvml, handle: Any) -> Sequence[float | None]:
    rates = nvml.call("nvmlDeviceGetUtilizationRates", handle)
    return _scaled(known(rates.gpu), 0.01), _scaled(known(rates.memory), 0.01)


def _memory(nvml: Nvml, handle: Any) -> Sequence[float | None]:
    # Version 2 leaves what the driver keeps for itself out of what is used.
    found = nvml.call("nvmlDeviceGetMemoryInfo", handle, nvml.nvmlMemory_v2)
    return _shares(found)


def _memory_v1(nvml: Nvml, handle: Any) -> Sequence[float | None]:
    return _shares(nvml.call("nvmlDeviceGetMemoryInfo", handle))


def _shares(found: Any) -> Sequence[float | None]:
    used, total = known(found.used, BLANK_64), known(found.total, BLANK_64)
    return used, total, used / total if used is not None and total else None


def _temperature(nvml: Nvml, handle: Any) -> Sequence[float | None]:
    return (known(nvml.call("nvmlDeviceGetTemperature", handle, nvml.NVML_TEMPERATURE_GPU)),)


def _power(nvml: Nvml, handle: Any) -> Sequence[float | None]:
    return (_scaled(known(nvml.call("nvmlDeviceGetPowerUsage", handle)), 1e-3),)


def _clock(domain: str) -> Callable[[Nvml, Any], Sequence[float | None]]:
    def read(nvml: Nvml, handle: Any) -> Sequence[float | None]:
        mhz = nvml.call("nvmlDeviceGetClockInfo", handle, getattr(nvml, domain))
        return (_scaled(known(mhz), 1e6),)

    return read


def _throttling(nvml: Nvml, handle: Any) -> Sequence[float | None]:
    try:
        found = nvml.call("nvmlDeviceGetCurrentClocksEventReasons", handle)
    except NvmlError as error:
        if error.name != FUNCTION_NOT_FOUND:
            raise
        found = nvml.call("nvmlDeviceGetCurrentClocksThrottleReasons", handle)  # its name before driver 535
    mask = known(found, BLANK_64)
    return [None if mask is None else float(bool(mask & bit)) for bit in _THROTTLE_BITS]


def _fan(nvml: Nvml, handle: Any) -> Sequence[float | None]:
    return (_scaled(known(nvml.call("nvmlDeviceGetFanSpeed", handle)), 0.01),)


def _performance_state(nvml: Nvml, handle: Any) -> Sequence[float | None]:
    state = nvml.call("nvmlDeviceGetPerformanceState", handle)
    return (None if state == nvml.NVML_PSTATE_UNKNOWN else known(state),)


# nvmlClocksEventReason*, in the order of semconv.THROTTLE_REASONS.
_THROTTLE_BITS: Final = (0x2, 0x4, 0x8, 0x10, 0x20, 0x40, 0x80, 0x100)

UTILIZATION: Final = Reading(
    "nvmlDeviceGetUtilizationRates",
    (
        (semconv.GPU_UTILIZATION.name, ((semconv.HW_GPU_TASK, semconv.TASK_GENERAL),)),
        (semconv.GPU_MEMORY_ACTIVITY.name, ()),
    ),
    _utilization,
)
_MEMORY_SERIES: Final = (
    (semconv.GPU_MEMORY_USAGE.name, ()),
    (semconv.GPU_MEMORY_LIMIT.name, ()),
    (semconv.GPU_MEMORY_UTILIZATION.name, ()),
)
MEMORY: Final = Reading("nvmlDeviceGetMemoryInfo_v2", _MEMORY_SERIES, _memory)
MEMORY_V1: Final = Reading("nvmlDeviceGetMemoryInfo", _MEMORY_SERIES, _memory_v1)
"""For drivers before 510, which have no version 2."""
POWER: Final = Reading("nvmlDeviceGetPowerUsage", ((semconv.HW_POWER.name, ()),), _power)
"""For GPUs whose power is no field."""
FAN: Final = Reading("nvmlDeviceGetFanSpeed", ((semconv.HW_FAN_SPEED_RATIO.name, ()),), _fan)
OTHERS: Final = (
    Reading(
        "nvmlDeviceGetTemperature",
        ((semconv.HW_TEMPERATURE.name, ((semconv.HW_SENSOR_LOCATION, semconv.SENSOR_GPU),)),),
        _temperature,
    ),
    Reading(
        "nvmlDeviceGetClockInfo(SM)",
        ((semconv.GPU_CLOCK.name, ((semconv.GPU_CLOCK_DOMAIN, semconv.CLOCK_SM),)),),
        _clock("NVML_CLOCK_SM"),
    ),
    Reading(
        "nvmlDeviceGetClockInfo(MEM)",
        ((semconv.GPU_CLOCK.name, ((semconv.GPU_CLOCK_DOMAIN, semconv.CLOCK_MEMORY),)),),
        _clock("NVML_CLOCK_MEM"),
    ),
    Reading(
        "nvmlDeviceGetCurrentClocksEventReasons",
        tuple(
            (semconv.GPU_THROTTLING.name, ((semconv.GPU_THROTTLE_REASON, reason),))
            for reason in semconv.THROTTLE_REASONS
        ),
        _throttling,
    ),
    FAN,
    Reading("nvmlDeviceGetPerformanceState", ((semconv.GPU_PERFORMANCE_STATE.name, ()),), _performance_state),
)
"""What a physical GPU tells, each by a call of its own."""
