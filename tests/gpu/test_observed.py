"""What an export has of a snapshot: values with attributes, in no time, and nothing that is old."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otelext import semconv
from otelext.gpu.observed import Observed
from otelext.gpu.poller import Poller
from tests.gpu.conftest import INTERVAL, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.gpu.conftest import Host

ALL = """
    gpu0.uuid = GPU-0
    gpu0.utilization.gpu = 1
    gpu0.utilization.memory = 1
    gpu0.memory.total = 2
    gpu0.memory.used = 1
    gpu0.temperature.gpu = 1
    gpu0.temperature.memory = 1
    gpu0.power = 1000
    gpu0.energy = 1
    gpu0.clock.sm = 1
    gpu0.clock.memory = 1
    gpu0.throttle = 4
    gpu0.fan = 1
    gpu0.pstate = 0
    gpu0.ecc.corrected = 1
    gpu0.ecc.uncorrected = 1
    gpu0.pcie.rx = 1
    gpu0.pcie.tx = 1
    gpu0.nvlink.rx = 1
    gpu0.nvlink.tx = 1
    gpu0.gpm.sm = 1
    gpu0.gpm.tensor = 1
    gpu0.process.self = 1
    gpu1.uuid = GPU-1
    gpu1.mig0.uuid = MIG-a
    gpu1.mig0.memory.total = 2
    gpu1.mig0.memory.used = 1
    gpu1.mig0.gpm.graphics = 1
    gpu1.mig0.gpm.sm = 1
    gpu1.mig0.gpm.tensor = 1
    gpu1.mig0.process.self = 1
    """
NOT_OF_THE_DRIVER = {semconv.GPU_ALLOCATOR_MEMORY.name, semconv.ENERGY.name}


@pytest.mark.parametrize("metric", [metric.name for metric in semconv.GPU_METRICS])
def test_values_have_the_attributes_of_the_catalogue_and_each_series_once(
    host: Callable[..., Host], metric: str
) -> None:
    gpus = host(ALL)
    gpus.passes(2)
    found = [attributes for _, attributes in Observed(gpus.poller).reads[metric]()]
    assert found or metric in NOT_OF_THE_DRIVER
    for attributes in found:
        assert attributes.keys() <= set(semconv.METRICS[metric].attributes)
        assert all(isinstance(value, str) for value in attributes.values())
    series = [frozenset(attributes.items()) for attributes in found]
    assert len(series) == len(set(series))


def test_every_metric_of_the_room_is_read_unless_only_some_are_wanted(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.power = 1000")
    assert set(Observed(gpus.poller).reads) == {metric.name for metric in semconv.GPU_METRICS}
    assert set(Observed(gpus.poller, only=["hw.power", "no.such.metric"]).reads) == {"hw.power"}


def test_nothing_is_told_where_nothing_was_ever_read() -> None:
    for read in Observed(Poller(INTERVAL)).reads.values():
        assert list(read()) == []


def test_what_is_older_than_two_intervals_is_not_told_by_anything(host: Callable[..., Host]) -> None:
    gpus = host(ALL)
    gpus.passes(2)
    gpus.write(ALL + "call.nvmlDeviceGetTemperature = hang:60")
    until(lambda: (gpus.poller.age_s or 0) > 2 * INTERVAL, "old snapshot")
    told = {name for name, read in Observed(gpus.poller).reads.items() if list(read())}
    assert told == {"otelext.gpu.poll.age"}
    before = gpus.value("otelext.gpu.poll.age")
    until(lambda: gpus.value("otelext.gpu.poll.age") > before, "growing age")
    gpus.write(ALL)
    until(lambda: gpus.values("hw.power") == [1], "readings")


def test_a_process_without_the_lease_tells_only_what_is_its_own(host: Callable[..., Host]) -> None:
    gpus = host(ALL, share=lambda: (None, None))
    gpus.passes(2)
    told = {name for name, read in Observed(gpus.poller).reads.items() if list(read())}
    assert told == {"vlm.gpu.process.memory", "otelext.gpu.poll.age"}


def test_memory_of_the_allocator_is_told_by_device(host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[str]] = []

    def allocated(visible: list[str]) -> list[tuple[str, str, int]]:
        seen.append(visible)
        return [("GPU-0", "allocated", 5), ("GPU-0", "reserved", 7), ("GPU-of-another-host", "reserved", 9)]

    monkeypatch.setattr("otelext.gpu.observed.allocated", allocated)
    gpus = host(ALL)
    assert gpus.value("vlm.gpu.allocator.memory", hw_id="GPU-0", vlm_gpu_allocator_state="allocated") == 5
    assert gpus.value("vlm.gpu.allocator.memory", hw_id="GPU-0", vlm_gpu_allocator_state="reserved") == 7
    assert len(gpus.values("vlm.gpu.allocator.memory")) == 2
    assert seen[0] == ["GPU-0", "GPU-1", "MIG-a"]
