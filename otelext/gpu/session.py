"""NVML from one initialisation to the next: its GPUs, those that are lost, and a pass over all of them."""

from __future__ import annotations

import logging
from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

from otelext import semconv
from otelext.gpu.devices import gpus, mig_uuids
from otelext.gpu.nvml import OF_DEVICE, NoNvmlError, NvmlError
from otelext.gpu.reader import GpuReader, Totals
from otelext.gpu.snapshot import Snapshot
from otelext.gpu.xids import Xids

if TYPE_CHECKING:
    from otelext.gpu.nvml import Nvml
    from otelext.gpu.snapshot import Device, DeviceReadings, EnergySample

_logger = logging.getLogger("otelext")
LONGEST_GAP: Final = 3
"""Intervals between two readings of a power over which a straight line stands for what was."""
_LAYOUT_LOOKED_AT: Final = 12
"""Passes between two looks at how GPUs are divided."""
_SLOWEST_SEARCH: Final = 12
"""Passes between two searches for a GPU that is lost, at most."""


class Session:
    """All GPUs.

    Attributes:
        totals: Their counters by UUID, which outlive the session.
    """

    def __init__(self, nvml: Nvml, totals: dict[str, Totals], longest_gap_ns: int, epoch: str) -> None:
        """List the GPUs.

        Raises:
            NoNvmlError: There is none.
            NvmlError: They can't be listed.
        """
        self.totals = totals
        self._nvml = nvml
        self._longest_gap_ns = longest_gap_ns
        self._epoch = epoch
        self._passes = 0
        self._lost: set[str] = set()
        self._unreached = 0
        self._searched = self._wait = 0
        self._list()
        if not self._readers and not self._unreached:
            raise NoNvmlError("there is no GPU here")

    def _list(self) -> None:
        nvml = self._nvml
        self._driver = nvml.call("nvmlSystemGetDriverVersion")
        found, self._unreached = gpus(nvml)
        self._readers = {gpu.device.uuid: GpuReader(gpu, self._totals_of(gpu.device)) for gpu in found}
        self._xids = Xids(nvml, found)

    def _totals_of(self, device: Device) -> Totals:
        found = self.totals.get(device.uuid)
        if found is None:
            found = self.totals[device.uuid] = Totals(device, self._longest_gap_ns, self._epoch)
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
        if everything:
            for uuid, kind in self._xids.take(self._nvml):
                self.totals[uuid].count_error(kind)
        readings: dict[str, list[DeviceReadings]] = {}
        samples: dict[str, EnergySample] = {}
        processes: dict[str, dict[int, int | None]] = {}
        for uuid, reader in tuple(self._readers.items()):
            try:
                if everything:
                    readings[uuid] = reader.read(self._nvml)
                    if reader.energy is not None:
                        samples[uuid] = reader.energy
                processes.update(reader.processes(self._nvml))
            except NvmlError as error:
                if error.name not in OF_DEVICE:
                    raise
                self._lose(reader, error)
                readings.pop(uuid, None)
                samples.pop(uuid, None)
        if everything:
            for uuid in self._lost:
                readings[uuid] = [self.totals[uuid].when_lost()]
        devices = sorted(readings.values(), key=lambda found: found[0].device.index)
        return (
            Snapshot(
                taken_ns=began_ns,
                seconds=(perf_counter_ns() - began_ns) / 1e9,
                calls=self._nvml.calls - calls,
                driver=self._driver,
                known=tuple(device for reader in self._readers.values() for device in reader.gpu.all),
                devices=tuple(one for found in devices for one in found),
                processes=processes,
            ),
            samples,
        )

    def close(self) -> None:
        """Give back what reading took."""
        self._xids.close(self._nvml)
        for reader in self._readers.values():
            reader.close(self._nvml)

    def _lose(self, reader: GpuReader, error: NvmlError) -> None:
        device = reader.gpu.device
        _logger.warning("otelext: GPU %d (%s, %s) is lost: %s", device.index, device.name, device.uuid, error.name)
        self.totals[device.uuid].count_error(semconv.GPU_LOST)
        self._lost.add(device.uuid)
        del self._readers[device.uuid]
        self._wait, self._searched = 1, self._passes

    def _look_around(self) -> None:
        """List the GPUs anew where one is lost, or divided in another way."""
        if self._lost or self._unreached:
            if self._passes - self._searched < self._wait:
                return
            self._searched = self._passes
            self._wait = min(max(1, 2 * self._wait), _SLOWEST_SEARCH)
        elif self._passes % _LAYOUT_LOOKED_AT or not self._is_divided_anew():
            return
        self.close()
        # NVML knows of no GPU that came after its initialisation.
        self._nvml.close()
        self._nvml.open()
        self._list()
        for uuid in self._lost & self._readers.keys():
            device = self._readers[uuid].gpu.device
            _logger.info("otelext: GPU %d (%s, %s) is back", device.index, device.name, uuid)
            self._lost.discard(uuid)

    def _is_divided_anew(self) -> bool:
        for reader in self._readers.values():
            try:
                mode = self._nvml.call("nvmlDeviceGetMigMode", reader.gpu.handle)
                if bool(mode[0]) != reader.gpu.mig:
                    return True
                if reader.gpu.mig:
                    known = tuple(one.device.uuid for one in reader.gpu.mig_devices)
                    if mig_uuids(self._nvml, reader.gpu) != known:
                        return True
            except NvmlError as error:
                if error.name in OF_DEVICE:
                    return False  # the pass will say so
        return False
