"""What many GPUs tell in one call: the values of fields, each with an error of its own.

https://docs.nvidia.com/deploy/nvml-api/group__nvmlFieldValueQueries.html
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from otelext import semconv
from otelext.gpu.readings import BLANK_32, BLANK_64, NOT_AVAILABLE

if TYPE_CHECKING:
    from otelext.gpu.nvml import Nvml
    from otelext.gpu.readings import Attributes, Series

_ALL_LINKS: Final = 2**32 - 1


class Field(NamedTuple):
    """A field of NVML as a series.

    Attributes:
        number: NVML's.
        metric: Name in the catalogue.
        attributes: On top of the device's own.
        scale: From its unit to the catalogue's.
        counts: Whether it is a counter of the driver's.
        wraps: Whether that has 32 bits.
        scope: Which part of the GPU it is of.
    """

    number: int
    metric: str
    attributes: Attributes
    scale: float
    counts: bool = False
    wraps: bool = False
    scope: int = 0

    @property
    def series(self) -> Series:
        """Its series."""
        return self.metric, self.attributes


def _io(direction: str, link: str) -> Attributes:
    return ((semconv.IO_DIRECTION, direction), (semconv.GPU_LINK, link))


ENERGY: Final = Field(
    83, semconv.HW_ENERGY.name, ((semconv.ENERGY_SOURCE, semconv.ENERGY_FROM_COUNTER),), 1e-3, counts=True
)
POWER: Final = Field(186, semconv.HW_POWER.name, (), 1e-3)
FIELDS: Final = (
    ENERGY,
    POWER,
    Field(82, semconv.HW_TEMPERATURE.name, ((semconv.HW_SENSOR_LOCATION, semconv.SENSOR_MEMORY),), 1),
    Field(3, semconv.HW_ERRORS.name, ((semconv.ERROR_TYPE, semconv.ECC_CORRECTED),), 1, counts=True),
    Field(4, semconv.HW_ERRORS.name, ((semconv.ERROR_TYPE, semconv.ECC_UNCORRECTED),), 1, counts=True),
    Field(197, semconv.GPU_IO.name, _io(semconv.TRANSMIT, semconv.LINK_PCIE), 1, counts=True, wraps=True),
    Field(198, semconv.GPU_IO.name, _io(semconv.RECEIVE, semconv.LINK_PCIE), 1, counts=True, wraps=True),
    Field(138, semconv.GPU_IO.name, _io(semconv.TRANSMIT, semconv.LINK_NVLINK), 1024, counts=True, scope=_ALL_LINKS),
    Field(139, semconv.GPU_IO.name, _io(semconv.RECEIVE, semconv.LINK_NVLINK), 1024, counts=True, scope=_ALL_LINKS),
)
"""What is asked for, all in one call."""

_REQUEST: Final = [(field.number, field.scope) for field in FIELDS]


def read_fields(nvml: Nvml, handle: Any) -> list[int | str]:
    """A value, or an error's name, for each of `FIELDS`, in NVML's units.

    Raises:
        NvmlError: The call itself failed.
    """
    found = nvml.call("nvmlDeviceGetFieldValues", handle, _REQUEST)
    return [_value(nvml, one) for one in found]


def _value(nvml: Nvml, found: Any) -> int | str:
    if found.nvmlReturn:
        return nvml.error_name(found.nvmlReturn)
    member, blank = _VALUES.get(found.valueType, ("", None))
    value = getattr(found.value, member, math.nan)
    return NOT_AVAILABLE if value == blank or not math.isfinite(value) else int(value)


# Member and blank by nvmlValueType_t; what is none of these is not available.
_VALUES: Final[dict[int, tuple[str, int | None]]] = {
    0: ("dVal", None),
    1: ("uiVal", BLANK_32),
    2: ("ulVal", BLANK_64),
    3: ("ullVal", BLANK_64),
    4: ("sllVal", -1),
    5: ("siVal", -1),
    6: ("usVal", None),
}
