"""What a GPU has counted, which outlives its handle: it may be lost and come back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelext import semconv
from otelext.gpu import fields, readings
from otelext.gpu.counters import Integral
from otelext.gpu.gpm import ACTIVITY
from otelext.gpu.snapshot import DeviceReadings, Missing, Point

if TYPE_CHECKING:
    from otelext.gpu.counters import Counter
    from otelext.gpu.readings import Series
    from otelext.gpu.snapshot import Device

_OF_LOST: Final[tuple[Series, ...]] = (
    *readings.UTILIZATION.series,
    *readings.MEMORY.series,
    *(series for reading in readings.OTHERS for series in reading.series),
    *(field.series for field in fields.FIELDS if field.metric != semconv.HW_ERRORS.name),
    *ACTIVITY.values(),
)
"""What a GPU that is lost does not tell; its errors stay counted."""


class Totals:
    """The counters of one GPU.

    Attributes:
        device: Which one.
        counters: Those of the driver.
        power: What its power comes to.
        errors: Errors that are no counter of the driver, by `error.type`.
        epoch: Tells this process's integral of power from another one's.
        lost: Why the GPU can't be reached; empty while it can.
    """

    def __init__(self, device: Device, longest_gap_ns: int, epoch: str) -> None:
        self.device = device
        self.counters: dict[Series, Counter] = {}
        self.power = Integral(longest_gap_ns)
        self.errors = {semconv.GPU_LOST: 0}  # whoever looks for a rise needs what it rises from
        self.epoch = epoch
        self.lost = ""

    def rest(self) -> None:
        """Leave out what follows up to the next reading: another process counts it."""
        for counter in self.counters.values():
            counter.rest()
        self.power.rest()

    def count_error(self, kind: str) -> None:
        """Count an error that happened."""
        self.errors[kind] = self.errors.get(kind, 0) + 1

    def events(self) -> list[Point]:
        """The errors that are no counter of the driver."""
        return [
            Point(semconv.HW_ERRORS.name, count, ((semconv.ERROR_TYPE, kind),)) for kind, count in self.errors.items()
        ]

    def when_lost(self) -> DeviceReadings:
        """What is left to say of a GPU that is gone: its errors."""
        counted = [
            Point(metric, counter.total, attributes)
            for (metric, attributes), counter in self.counters.items()
            if metric == semconv.HW_ERRORS.name
        ]
        missing = tuple(Missing(metric, self.lost, attributes) for metric, attributes in _OF_LOST)
        return DeviceReadings(self.device, (*counted, *self.events()), missing)
