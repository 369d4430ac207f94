"""One physical GPU with its MIG devices, read pass by pass: values, what is missing and why, and its energy."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from otelext import semconv
from otelext.gpu import fields, readings
from otelext.gpu.counters import Counter
from otelext.gpu.gpm import ACTIVITY, UTILIZATION, Gpm
from otelext.gpu.nvml import FUNCTION_NOT_FOUND, LASTING, NOT_SUPPORTED, OF_DEVICE, OF_SESSION, NvmlError
from otelext.gpu.readings import NOT_AVAILABLE
from otelext.gpu.snapshot import DeviceReadings, EnergySample, Missing, Point

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from otelext.gpu.devices import Gpu, MigDevice
    from otelext.gpu.nvml import Nvml
    from otelext.gpu.readings import Reading, Series
    from otelext.gpu.totals import Totals

ASKED_AGAIN: Final = 100
"""Passes after which what isn't supported is asked for once more."""
_ANY_XID: Final = ((semconv.ERROR_TYPE, semconv.XID.format(number="*")),)
_FROM_POWER: Final = ((semconv.ENERGY_SOURCE, semconv.ENERGY_FROM_POWER),)


class _Pass:
    """What one pass finds of one device."""

    def __init__(self) -> None:
        self.points: list[Point] = []
        self.missing: list[Missing] = []

    def take(self, series: Iterable[Series], values: Iterable[float | str | None]) -> None:
        for (metric, attributes), value in zip(series, values, strict=True):
            if value is None or isinstance(value, str):
                self.missing.append(Missing(metric, value or NOT_AVAILABLE, attributes))
            else:
                self.points.append(Point(metric, value, attributes))


class GpuReader:
    """Reads one GPU.

    Attributes:
        gpu: Which one.
        divisible: Whether the GPU knows MIG, as far as it is known.
        energy: What the last pass found of its energy; None where nothing told it.
    """

    def __init__(self, gpu: Gpu, totals: Totals) -> None:
        self.gpu = gpu
        self.divisible = True
        self.energy: EnergySample | None = None
        self._totals = totals
        self._unsupported: dict[str, str] = {}
        self._unlisted: dict[str, str] = {}
        self._passes = 0
        self._gpm: dict[str, Gpm] = {gpu.device.uuid: Gpm(ACTIVITY)}
        for mig in gpu.mig_devices:
            if mig.gpu_instance is not None:
                self._gpm[mig.device.uuid] = Gpm(UTILIZATION, mig.gpu_instance)

    def read(self, nvml: Nvml, no_xids: str = "") -> list[DeviceReadings]:
        """The GPU's readings, and those of its MIG devices; to be asked for after the processes.

        Args:
            nvml: The session.
            no_xids: Why the GPU tells of no Xid errors, if it doesn't.

        Raises:
            NvmlError: The GPU, or the session, is gone.
        """
        self._passes += 1
        if self._passes % ASKED_AGAIN == 0:
            self._unsupported.clear()
        handle, found = self.gpu.handle, _Pass()
        if not self.gpu.mig:  # what is divided is told by its parts, which add up
            self._ask(nvml, handle, readings.UTILIZATION, found)
            self._memory(nvml, handle, found)
        for reading in readings.OTHERS:
            self._ask(nvml, handle, reading, found)
        self._fields(nvml, handle, found)
        if not self.gpu.mig:
            self._activity(nvml, self.gpu.device.uuid, handle, found)
        found.points += self._totals.events()
        if no_xids:
            found.missing.append(Missing(semconv.HW_ERRORS.name, no_xids, _ANY_XID))
        self._explain_processes(self.gpu.device.uuid, found)
        return [
            DeviceReadings(self.gpu.device, tuple(found.points), tuple(found.missing)),
            *(self._mig(nvml, mig) for mig in self.gpu.mig_devices),
        ]

    def processes(self, nvml: Nvml) -> dict[str, dict[int, int | None]]:
        """GPU memory of the processes that run on each device, in bytes by process id; None where it isn't told.

        Raises:
            NvmlError: The GPU, or the session, is gone.
        """
        asked: list[tuple[str, Any]] = [(one.device.uuid, one.handle) for one in self.gpu.mig_devices]
        if not self.gpu.mig:
            asked.append((self.gpu.device.uuid, self.gpu.handle))
        found: dict[str, dict[int, int | None]] = {}
        self._unlisted.clear()
        for uuid, handle in asked:
            try:
                listed = nvml.call("nvmlDeviceGetComputeRunningProcesses_v3", handle)
            except NvmlError as error:
                _raise_if_gone(error)
                self._unlisted[uuid] = error.name
                continue
            found[uuid] = {one.pid: one.usedGpuMemory for one in listed}
        return found

    def _explain_processes(self, uuid: str, found: _Pass) -> None:
        if uuid in self._unlisted:
            found.missing.append(Missing(semconv.GPU_PROCESS_MEMORY.name, self._unlisted[uuid]))

    def close(self, nvml: Nvml) -> None:
        """Give back what reading took; it is taken again where reading goes on."""
        for gpm in self._gpm.values():
            gpm.free(nvml)

    def _mig(self, nvml: Nvml, mig: MigDevice) -> DeviceReadings:
        found = _Pass()
        self._memory(nvml, mig.handle, found, of=mig.device.uuid)
        if mig.device.uuid in self._gpm:
            self._activity(nvml, mig.device.uuid, self.gpu.handle, found)
        else:
            found.take(UTILIZATION.values(), [NOT_SUPPORTED] * len(UTILIZATION))
        self._explain_processes(mig.device.uuid, found)
        return DeviceReadings(mig.device, tuple(found.points), tuple(found.missing))

    def _ask(self, nvml: Nvml, handle: Any, reading: Reading, found: _Pass, *, of: str = "") -> str:
        """Take a reading; returns the error's name, or nothing."""
        key = reading.call + of
        why = self._unsupported.get(key, "")
        values: Sequence[float | str | None] = [why] * len(reading.series)
        if not why:
            try:
                values = reading.read(nvml, handle)
            except NvmlError as error:
                why = self._failed(error, key)
                values = [why] * len(reading.series)
        found.take(reading.series, values)
        return why

    def _failed(self, error: NvmlError, key: str) -> str:
        _raise_if_gone(error)
        if error.name in LASTING:
            self._unsupported[key] = error.name
        return error.name

    def _memory(self, nvml: Nvml, handle: Any, found: _Pass, *, of: str = "") -> None:
        newer = _Pass()
        why = self._ask(nvml, handle, readings.MEMORY, newer, of=of)
        if why in {FUNCTION_NOT_FOUND, "NVML_ERROR_ARGUMENT_VERSION_MISMATCH"}:
            self._ask(nvml, handle, readings.MEMORY_V1, found, of=of)
        else:
            found.points += newer.points
            found.missing += newer.missing

    def _fields(self, nvml: Nvml, handle: Any, found: _Pass) -> None:
        key = "nvmlDeviceGetFieldValues"
        why = self._unsupported.get(key, "")
        values: Sequence[int | str] = [why] * len(fields.FIELDS)
        if not why:
            try:
                values = fields.read_fields(nvml, handle)
            except NvmlError as error:
                values = [self._failed(error, key)] * len(fields.FIELDS)
        at_ns = perf_counter_ns()
        told = dict(zip(fields.FIELDS, values, strict=True))
        for field, value in told.items():
            if value in OF_DEVICE or value in OF_SESSION:
                raise NvmlError(str(value), key)
            if field is fields.POWER or field is fields.ENERGY:
                continue
            found.take([field.series], [self._scaled(field, value)])
        watts = self._power(nvml, handle, told[fields.POWER], found)
        self._energy(told[fields.ENERGY], at_ns, watts, found)

    def _scaled(self, field: fields.Field, value: int | str) -> float | str:
        if isinstance(value, str):
            return value
        if field.counts:
            counters = self._totals.counters
            if field.series not in counters:
                counters[field.series] = Counter(wraps=field.wraps)
            value = counters[field.series].take(value)
        return value * field.scale

    def _power(self, nvml: Nvml, handle: Any, told: int | str, found: _Pass) -> float | None:
        if isinstance(told, str):
            asked = _Pass()
            self._ask(nvml, handle, readings.POWER, asked)
            found.points += asked.points
            found.missing += asked.missing
            return asked.points[0].value if asked.points else None
        watts = told * fields.POWER.scale
        found.points.append(Point(semconv.HW_POWER.name, watts))
        return watts

    def _energy(self, told: int | str, at_ns: int, watts: float | None, found: _Pass) -> None:
        self.energy = None
        if not isinstance(told, str):
            found.take([fields.ENERGY.series], [self._scaled(fields.ENERGY, told)])
            self.energy = EnergySample(at_ns, told * fields.ENERGY.scale, semconv.ENERGY_FROM_COUNTER, "")
        elif watts is not None and fields.ENERGY.series not in self._totals.counters:
            joules = self._totals.power.take(at_ns, watts)
            found.take([(semconv.HW_ENERGY.name, _FROM_POWER)], [joules])
            self.energy = EnergySample(at_ns, joules, semconv.ENERGY_FROM_POWER, self._totals.epoch)
        else:  # a counter that fails now and then is not mixed with what power comes to
            found.take([fields.ENERGY.series], [told])

    def _activity(self, nvml: Nvml, uuid: str, handle: Any, found: _Pass) -> None:
        gpm, key = self._gpm[uuid], f"GPM {uuid}"
        why = self._unsupported.get(key, "")
        values: Sequence[float | str] = [why] * len(gpm.series)
        if not why:
            try:
                values = gpm.read(nvml, handle)
            except NvmlError as error:
                values = [self._failed(error, key)] * len(gpm.series)
        found.take(gpm.series.values(), values)


def _raise_if_gone(error: NvmlError) -> None:
    if error.name in OF_DEVICE or error.name in OF_SESSION:
        raise error
