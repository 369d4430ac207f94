"""One GPU, pass by pass: what replaces what, and that everything missing is explained."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.gpu.conftest import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.gpu.conftest import Host


def test_an_energy_counter_that_fails_now_and_then_is_not_replaced_by_power(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.power = 100000\ngpu0.energy = 1000")
    gpus.write("gpu0.power = 100000\ngpu0.energy = !UNKNOWN")
    gpus.passes(3)
    assert gpus.values("hw.energy") == []
    assert gpus.missing("hw.energy") == {"NVML_ERROR_UNKNOWN"}
    gpus.write("gpu0.power = 100000\ngpu0.energy = 4000")
    gpus.passes(2)
    assert gpus.points("hw.energy")[0][1]["vlm_energy_source"] == "counter"
    assert gpus.values("hw.energy") == [pytest.approx(3)]


def test_an_energy_counter_that_begins_anew_adds_what_it_says(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.energy = 4000000000")
    gpus.write("gpu0.energy = 5000")  # no wrap: the driver was loaded anew
    gpus.passes(2)
    assert gpus.value("hw.energy") == pytest.approx(5)


def test_power_is_not_said_to_be_energy_where_neither_is_told(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.fan = 1")
    assert gpus.values("hw.energy") == []
    assert gpus.missing("hw.energy") == {"NVML_ERROR_NOT_SUPPORTED"}


def test_reasons_of_throttling_are_told_by_drivers_that_call_them_otherwise(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.throttle = 4\ncall.nvmlDeviceGetCurrentClocksEventReasons = !FUNCTION_NOT_FOUND")
    assert gpus.value("vlm.gpu.throttling", vlm_gpu_throttle_reason="sw_power_cap") == 1
    assert not gpus.missing("vlm.gpu.throttling")


def test_fields_that_can_not_be_asked_for_at_all_are_each_explained(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.power = 1000\ngpu0.fan = 10\ncall.nvmlDeviceGetFieldValues = !FUNCTION_NOT_FOUND")
    assert gpus.value("hw.power") == 1  # by a call of its own
    assert gpus.value("hw.energy", vlm_energy_source="power") >= 0
    assert gpus.missing("hw.gpu.io") == {"NVML_ERROR_FUNCTION_NOT_FOUND"}


def test_xid_errors_that_are_not_told_are_explained(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.power = 1000\ngpu0.ecc.corrected = 0\ngpu0.ecc.uncorrected = 0")
    assert gpus.poller.snapshot is not None
    (missing,) = [one for one in gpus.poller.snapshot.devices[0].missing if one.metric == "hw.errors"]
    assert missing.attributes == (("error.type", "xid_*"),)
    assert missing.why == "NVML_ERROR_NOT_SUPPORTED"


def test_processes_that_are_not_told_are_explained(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.power = 1000\ngpu0.process = !NO_PERMISSION")
    assert gpus.missing("vlm.gpu.process.memory") == {"NVML_ERROR_NO_PERMISSION"}
    assert gpus.poller.snapshot is not None
    assert gpus.poller.snapshot.processes == {}
    gpus.write("gpu0.power = 1000\ngpu0.process.self = 5")
    until(lambda: gpus.values("vlm.gpu.process.memory") == [5], "processes")
    assert not gpus.missing("vlm.gpu.process.memory")


MIG = """
    gpu0.uuid = GPU-0000
    gpu0.mig0.uuid = MIG-a
    gpu0.mig0.memory.total = 400
    gpu0.mig0.memory.used = 10
    gpu0.mig0.gpm.graphics = 30
    gpu0.mig0.gpm.sm = 20
    gpu0.mig0.gpm.tensor = 10
    gpu0.mig1.uuid = MIG-b
    gpu0.mig1.process.self = 77
    """


def test_a_mig_device_tells_the_activity_of_its_part(host: Callable[..., Host]) -> None:
    gpus = host(MIG)
    gpus.passes(2)
    assert gpus.value("hw.gpu.utilization", hw_id="MIG-a") == pytest.approx(0.3)
    assert gpus.value("vlm.gpu.sm.activity", hw_id="MIG-a") == pytest.approx(0.2)
    assert gpus.value("vlm.gpu.tensor.activity", hw_id="MIG-a") == pytest.approx(0.1)


def test_memory_of_this_process_is_told_by_mig_device(host: Callable[..., Host]) -> None:
    gpus = host(MIG)
    assert gpus.value("vlm.gpu.process.memory") == 77
    assert gpus.value("vlm.gpu.process.memory", hw_id="MIG-b", hw_parent="GPU-0000", vlm_gpu_index="0") == 77


def test_a_mig_device_whose_instance_is_not_told_explains_its_utilization(host: Callable[..., Host]) -> None:
    gpus = host(MIG + "call.nvmlDeviceGetGpuInstanceId = !NOT_SUPPORTED")
    assert gpus.values("hw.gpu.utilization") == []
    assert gpus.missing("hw.gpu.utilization") == {"NVML_ERROR_NOT_SUPPORTED"}
    assert gpus.value("hw.gpu.memory.usage", hw_id="MIG-a") == 10


def test_a_mig_device_that_fails_leaves_the_other(host: Callable[..., Host]) -> None:
    gpus = host(MIG + "gpu0.mig1.memory.total = 100\ngpu0.mig1.memory.used = !UNKNOWN")
    assert gpus.values("hw.gpu.memory.usage") == [10]
    assert gpus.values("hw.gpu.memory.limit") == [400]
    assert gpus.missing("hw.gpu.memory.usage") == {"NVML_ERROR_UNKNOWN"}


def test_what_is_not_supported_is_asked_for_again_after_many_passes(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.power = 1000", interval=0.005)
    assert gpus.missing("hw.fan.speed_ratio") == {"NVML_ERROR_NOT_SUPPORTED"}
    gpus.write("gpu0.power = 1000\ngpu0.fan = 30")
    until(lambda: gpus.values("hw.fan.speed_ratio") == [pytest.approx(0.3)], "reading")
