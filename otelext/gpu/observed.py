"""What observable instruments read: the last snapshot as values with attributes, each in no time."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING

from otelext import semconv
from otelext.gpu.allocator import allocated

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from otelext.gpu.poller import Poller
    from otelext.gpu.snapshot import Device

    Values = Iterator[tuple[float, dict[str, str]]]

_OWN = frozenset({semconv.GPU_PROCESS_MEMORY, semconv.GPU_ALLOCATOR_MEMORY, semconv.ENERGY, semconv.GPU_POLL_AGE})


def attributes_of(device: Device) -> dict[str, str]:
    """The attributes that say which device a value is of."""
    found = {
        semconv.HW_ID: device.uuid,
        semconv.HW_NAME: device.name,
        semconv.HW_TYPE: semconv.HW_TYPE_GPU,
        semconv.GPU_INDEX: str(device.index),
        semconv.GPU_PCI_BUS: device.pci_bus,
    }
    return found if device.parent is None else {**found, semconv.HW_PARENT: device.parent}


class Observed:
    """Reads a poller.

    Attributes:
        reads: By metric's name.
    """

    def __init__(
        self,
        poller: Poller,
        *,
        visible: Callable[[Sequence[Device]], Sequence[Device]] = tuple,
        only: Collection[str] = (),
    ) -> None:
        """Read a poller.

        Args:
            poller: The thread's.
            visible: Which devices this process sees, in CUDA's order.
            only: The only metrics to make; all if empty.
        """
        self._poller = poller
        self._visible = visible
        reads: dict[str, Callable[[], Iterable[tuple[float, dict[str, str]]]]] = {
            metric.name: partial(self._host, metric.name) for metric in semconv.GPU_METRICS if metric not in _OWN
        }
        reads[semconv.HW_FAN_SPEED_RATIO.name] = self._fans
        reads[semconv.GPU_PROCESS_MEMORY.name] = self._process_memory
        reads[semconv.GPU_ALLOCATOR_MEMORY.name] = self._allocator
        reads[semconv.ENERGY.name] = self._energy
        reads[semconv.GPU_POLL_AGE.name] = self._age
        self.reads = {name: read for name, read in reads.items() if not only or name in only}

    def _host(self, metric: str) -> Values:
        snapshot = self._poller.fresh()
        if snapshot is None or not self._poller.held:
            return
        for found in snapshot.devices:
            own = attributes_of(found.device)
            for point in found.points:
                if point.metric == metric:
                    yield point.value, {**own, **dict(point.attributes)}

    def _fans(self) -> Values:
        for value, attributes in self._host(semconv.HW_FAN_SPEED_RATIO.name):
            gpu = attributes[semconv.HW_ID]
            fan = {semconv.HW_ID: f"{gpu}/fan", semconv.HW_PARENT: gpu, semconv.HW_TYPE: semconv.HW_TYPE_FAN}
            yield value, {**attributes, **fan}

    def _process_memory(self) -> Values:
        snapshot = self._poller.fresh()
        if snapshot is None:
            return
        known = {device.uuid: device for device in snapshot.known}
        for uuid, processes in snapshot.processes.items():
            used = processes.get(os.getpid())
            if used is not None and uuid in known:
                yield used, attributes_of(known[uuid])

    def _allocator(self) -> Values:
        snapshot = self._poller.fresh()
        if snapshot is None:
            return
        known = {device.uuid: device for device in snapshot.known}
        visible = [device.uuid for device in self._visible(snapshot.known)]
        for uuid, state, used in allocated(visible):
            if uuid in known:
                yield used, {**attributes_of(known[uuid]), semconv.GPU_ALLOCATOR_STATE: state}

    def _energy(self) -> Values:
        for (model, state, source), joules in self._poller.energy().items():
            attributes = {semconv.ENERGY_STATE: state, semconv.ENERGY_SOURCE: source}
            yield joules, attributes if model is None else {**attributes, semconv.REQUEST_MODEL: model}

    def _age(self) -> Values:
        age = self._poller.age_s
        if age is not None:
            self._poller.fresh()  # says what hangs, where nothing else is read
            yield age, {}
