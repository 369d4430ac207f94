"""NVML from one initialisation to the next: its GPUs, those that are lost, and a pass over all of them."""

from __future__ import annotations

import logging
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from otelext import semconv
from otelext.constant import Constant
from otelext.gpu.devices import gpus, mig_uuids
from otelext.gpu.nvml import LASTING, NO_PERMISSION, OF_DEVICE, OF_SESSION, NoNvmlError, NvmlError
from otelext.gpu.reader import GpuReader
from otelext.gpu.snapshot import Snapshot
from otelext.gpu.totals import Totals
from otelext.gpu.xids import Xids

if TYPE_CHECKING:
    from otelext.gpu.nvml import Nvml
    from otelext.gpu.snapshot import Device, DeviceReadings, EnergySample

_logger = logging.getLogger("otelext")
LONGEST_GAP: Final = 3
"""Intervals between two readings of a power over which a straight line stands for what was."""
_LAYOUT_LOOKED_AT: Final = 12
"""Passes between two looks at how a GPU is divided."""
_FIRST_SEARCH: Final = 3
"""The pass in which a GPU that could not be reached from the start is first sought: two make a reading complete."""
_SLOWEST_SEARCH: Final = 12
"""Passes between two searches for a GPU that is lost, at most."""
_NOT_LISTED: Final = "NVML lists it no more"


class Session:
    """All GPUs.

    Attributes:
        totals: Their counters by UUID, which outlive the session.
        unreached: Why GPUs that NVML counts are not among them, by their indices.
    """

    def __init__(self, nvml: Nvml, totals: dict[str, Totals], longest_gap_ns: int, epoch: str) -> None:
        """List the GPUs.

        Raises:
            NoNvmlError: There is none, or none that this process may read.
            NvmlError: They can't be listed.
        """
        self.totals = totals
        self._nvml = nvml
        self._longest_gap_ns = longest_gap_ns
        self._epoch = epoch
        self._passes = 0
        self._searched, self._wait = 0, _FIRST_SEARCH
        self._list()
        if not self._readers and not self._is_any_sought():
            raise NoNvmlError(next((str(error) for error in self.unreached.values()), "there is no GPU here"))

    def _list(self) -> None:
        nvml = self._nvml
        self._driver = nvml.call("nvmlSystemGetDriverVersion")
        found, self.unreached = gpus(nvml)
        self._readers = {gpu.device.uuid: GpuReader(gpu, self._totals_of(gpu.device)) for gpu in found}
        self._xids: Xids | None = None
        self._rests = False
        for uuid, totals in self.totals.items():
            if uuid in self._readers:
                if totals.lost:
                    _logger.info(Constant(f"otelext: GPU {_called(totals.device)} is back"))
                    totals.lost = ""
            elif not totals.lost:
                error = self.unreached.get(totals.device.index)
                self._lose(totals, _NOT_LISTED if error is None else error.name)

    def _totals_of(self, device: Device) -> Totals:
        found = self.totals.setdefault(device.uuid, Totals(device, self._longest_gap_ns, self._epoch))
        found.device = device  # which may have moved to another place
        return found

    def read(self, *, everything: bool) -> tuple[Snapshot, dict[str, EnergySample]]:
        """Make a pass.

        Args:
            everything: Whether all is read, or only which processes run where.

        Returns:
            What was found, and the energy of each GPU by UUID.

        Raises:
            NvmlError: The session is gone.
        """
        began_ns, calls = perf_counter_ns(), self._nvml.calls
        self._passes += 1
        self._look_around()
        no_xids = self._take_xids() if everything else self._rest()
        readings: dict[str, list[DeviceReadings]] = {}
        samples: dict[str, EnergySample] = {}
        processes: dict[str, dict[int, int | None]] = {}
        for uuid, reader in tuple(self._readers.items()):
            try:
                listed = reader.processes(self._nvml)
                if everything:
                    readings[uuid] = reader.read(self._nvml, no_xids.get(uuid, ""))
                    if reader.energy is not None:
                        samples[uuid] = reader.energy
                processes.update(listed)
            except NvmlError as error:
                if error.name not in OF_DEVICE:
                    raise
                del self._readers[uuid]
                self._lose(self.totals[uuid], error.name)
        if everything:
            readings.update((uuid, [totals.when_lost()]) for uuid, totals in self.totals.items() if totals.lost)
        devices = sorted(readings.values(), key=lambda found: found[0].device.index)
        return (
            Snapshot(
                taken_ns=began_ns,
                seconds=(perf_counter_ns() - began_ns) / 1e9,
                calls=self._nvml.calls - calls,
                driver=self._driver,
                unreached=tuple((index, error.name) for index, error in self.unreached.items()),
                known=tuple(device for reader in self._readers.values() for device in reader.gpu.all),
                devices=tuple(one for found in devices for one in found),
                processes=processes,
            ),
            samples,
        )

    def close(self) -> None:
        """Give back what reading took."""
        if self._xids is not None:
            self._xids.close(self._nvml)
            self._xids = None
        for reader in self._readers.values():
            reader.close(self._nvml)

    def _take_xids(self) -> dict[str, str]:
        """Count the events since the last pass; why GPUs tell of none, by UUID."""
        self._rests = False
        if self._xids is None:
            self._xids = Xids(self._nvml, tuple(reader.gpu for reader in self._readers.values()))
        for uuid, kind in self._xids.take(self._nvml):
            self.totals[uuid].count_error(kind)
        return self._xids.missing

    def _rest(self) -> dict[str, str]:
        """Have nothing counted that the process counts which exports."""
        if not self._rests:
            self._rests = True
            self.close()
            for totals in self.totals.values():
                totals.rest()
        return {}

    def _lose(self, totals: Totals, why: str) -> None:
        _logger.warning(Constant(f"otelext: GPU {_called(totals.device)} is lost: {why}"))
        totals.lost = why
        totals.count_error(semconv.GPU_LOST)
        self._wait, self._searched = 1, self._passes

    def _is_any_sought(self) -> bool:
        """Whether a GPU may come back."""
        return any(totals.lost for totals in self.totals.values()) or any(
            error.name != NO_PERMISSION for error in self.unreached.values()
        )

    def _look_around(self) -> None:
        """List the GPUs anew where one is lost, or divided in another way."""
        if self._is_any_sought():
            if self._passes - self._searched < self._wait:
                return
            self._searched = self._passes
            self._wait = min(max(1, 2 * self._wait), _SLOWEST_SEARCH)
        elif not any(self._is_divided_anew(reader) for reader in self._readers.values()):
            return
        self.close()
        # NVML knows of no GPU that came after its initialisation.
        self._nvml.close()
        self._nvml.open()
        self._list()

    def _is_divided_anew(self, reader: GpuReader) -> bool:
        if not reader.divisible or self._passes % _LAYOUT_LOOKED_AT != reader.gpu.device.index % _LAYOUT_LOOKED_AT:
            return False  # not all GPUs in one pass, whose calls are counted
        try:
            mode = self._nvml.call("nvmlDeviceGetMigMode", reader.gpu.handle)
            if bool(mode[0]) != reader.gpu.mig:
                return True
            known = tuple(one.device.uuid for one in reader.gpu.mig_devices)
            return reader.gpu.mig and mig_uuids(self._nvml, reader.gpu) != known
        except NvmlError as error:
            if error.name in OF_SESSION:
                raise
            reader.divisible = error.name not in LASTING
            return False  # it has no MIG; or it is lost, and the pass will say so


def _called(device: Device) -> str:
    return f"{device.index} ({device.name}, {device.uuid})"
