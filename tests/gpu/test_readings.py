"""Every reading with its unit, and how each is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otelext import semconv

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.gpu.conftest import Host

ALL = """
gpu0.uuid = GPU-0000
gpu0.name = NVIDIA H100 80GB HBM3
gpu0.pci_bus = 00000000:1B:00.0
gpu0.utilization.gpu = 87
gpu0.utilization.memory = 33
gpu0.memory.total = 85899345920
gpu0.memory.used = 42949672960
gpu0.temperature.gpu = 66
gpu0.temperature.memory = 71
gpu0.power = 350000
gpu0.clock.sm = 1980
gpu0.clock.memory = 2619
gpu0.throttle = 36
gpu0.fan = 40
gpu0.pstate = 2
gpu0.gpm.sm = 50
gpu0.gpm.tensor = 25
"""


@pytest.mark.parametrize(
    ("metric", "attributes", "value"),
    [
        ("hw.gpu.utilization", {"hw_gpu_task": "general"}, 0.87),
        ("vlm.gpu.memory.activity", {}, 0.33),
        ("hw.gpu.memory.usage", {}, 42949672960),
        ("hw.gpu.memory.limit", {}, 85899345920),
        ("hw.gpu.memory.utilization", {}, 0.5),
        ("hw.temperature", {"hw_sensor_location": "gpu"}, 66),
        ("hw.temperature", {"hw_sensor_location": "memory"}, 71),
        ("hw.power", {}, 350),
        ("vlm.gpu.clock", {"vlm_gpu_clock_domain": "sm"}, 1.98e9),
        ("vlm.gpu.clock", {"vlm_gpu_clock_domain": "memory"}, 2.619e9),
        ("vlm.gpu.throttling", {"vlm_gpu_throttle_reason": "sw_power_cap"}, 1),
        ("vlm.gpu.throttling", {"vlm_gpu_throttle_reason": "sw_thermal_slowdown"}, 1),
        ("vlm.gpu.throttling", {"vlm_gpu_throttle_reason": "hw_slowdown"}, 0),
        ("hw.fan.speed_ratio", {"hw_id": "GPU-0000/fan", "hw_parent": "GPU-0000", "hw_type": "fan"}, 0.4),
        ("vlm.gpu.performance_state", {}, 2),
        ("vlm.gpu.sm.activity", {}, 0.5),
        ("vlm.gpu.tensor.activity", {}, 0.25),
    ],
)
def test_a_reading_is_in_the_unit_of_the_catalogue(
    host: Callable[..., Host], metric: str, attributes: dict[str, str], value: float
) -> None:
    gpus = host(ALL)
    gpus.passes(2)  # some tell what was between two readings
    assert gpus.value(metric, **attributes) == pytest.approx(value)


def test_a_value_says_which_gpu_it_is_of(host: Callable[..., Host]) -> None:
    gpus = host(ALL)
    device = {
        "hw_id": "GPU-0000",
        "hw_name": "NVIDIA H100 80GB HBM3",
        "hw_type": "gpu",
        "vlm_gpu_index": "0",
        "vlm_gpu_pci_bus": "00000000:1B:00.0",
    }
    assert gpus.values("hw.power", **device) == [350]


READINGS = {
    "utilization.gpu": "hw.gpu.utilization",
    "utilization.memory": "vlm.gpu.memory.activity",
    "memory.used": "hw.gpu.memory.usage",
    "temperature.gpu": "hw.temperature",
    "temperature.memory": "hw.temperature",
    "power": "hw.power",
    "energy": "hw.energy",
    "clock.sm": "vlm.gpu.clock",
    "clock.memory": "vlm.gpu.clock",
    "throttle": "vlm.gpu.throttling",
    "fan": "hw.fan.speed_ratio",
    "pstate": "vlm.gpu.performance_state",
    "ecc.corrected": "hw.errors",
    "pcie.rx": "hw.gpu.io",
    "nvlink.tx": "hw.gpu.io",
}


@pytest.mark.parametrize("error", ["NOT_SUPPORTED", "NO_PERMISSION", "UNKNOWN", "TIMEOUT"])
@pytest.mark.parametrize("reading", READINGS)
def test_a_reading_that_fails_is_left_out_and_says_why(host: Callable[..., Host], reading: str, error: str) -> None:
    gpus = host(f"gpu0.utilization.gpu = 1\ngpu0.memory.total = 100\ngpu0.{reading} = !{error}")
    assert counted(gpus, READINGS[reading]) == []
    assert f"NVML_ERROR_{error}" in gpus.missing(READINGS[reading])


@pytest.mark.parametrize("reading", READINGS)
def test_a_blank_is_no_value(host: Callable[..., Host], reading: str) -> None:
    gpus = host(f"gpu0.utilization.gpu = 1\ngpu0.memory.total = 100\ngpu0.{reading} = NA")
    assert counted(gpus, READINGS[reading]) == []


def counted(gpus: Host, metric: str) -> list[float]:
    """The values that NVML gave: that a GPU was not lost is known without it."""
    return [value for value, own in gpus.points(metric) if own.get("error_type") != "gpu_lost"]


def test_one_reading_that_fails_leaves_the_others(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.utilization.gpu = 10\ngpu0.utilization.memory = 5\ngpu0.power = !UNKNOWN\ngpu0.fan = 30")
    assert gpus.value("hw.gpu.utilization") == pytest.approx(0.1)
    assert gpus.value("hw.fan.speed_ratio") == pytest.approx(0.3)
    assert gpus.values("hw.power") == []


def test_a_reading_that_fails_now_and_then_is_back_at_once(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.temperature.gpu = !UNKNOWN")
    gpus.write("gpu0.temperature.gpu = 50")
    gpus.passes(3)
    assert gpus.value("hw.temperature") == 50


def test_what_is_not_supported_is_not_asked_for_in_each_pass(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.power = 1")
    gpus.passes(2)
    assert gpus.poller.snapshot is not None
    assert gpus.poller.snapshot.calls <= 2  # the fields, and the processes


def test_a_pass_makes_at_most_twelve_calls_a_gpu(host: Callable[..., Host]) -> None:
    text = ALL + "gpu0.energy = from_power\ngpu0.process.self = 1\ngpu0.xid = 0\n"
    gpus = host(text + text.replace("gpu0", "gpu1").replace("GPU-0000", "GPU-1111"))
    for _ in range(3):
        gpus.passes(1)
        assert gpus.poller.snapshot is not None
        assert gpus.poller.snapshot.calls <= 2 * 12 + 1  # and one for the events of all
        assert len(gpus.values("hw.fan.speed_ratio")) == 2


def test_power_that_is_no_field_is_asked_for_by_itself(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.power = 70000\ngpu0.field.186 = !NOT_SUPPORTED")
    assert gpus.value("hw.power") == 70


def test_memory_of_an_older_driver_is_read_by_the_older_call(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.memory.total = 100\ngpu0.memory.used = 25\ncall.nvmlDeviceGetMemoryInfo_v2 = !FUNCTION_NOT_FOUND")
    gpus.passes(2)
    assert gpus.value("hw.gpu.memory.usage") == 25
    assert not gpus.missing("hw.gpu.memory.usage")


def test_energy_is_the_gpus_own_where_it_counts(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.power = 100000\ngpu0.energy = 5000000")
    assert gpus.value("hw.energy", vlm_energy_source="counter") == 0
    gpus.write("gpu0.power = 100000\ngpu0.energy = 5002500")
    gpus.passes(2)
    assert gpus.value("hw.energy", vlm_energy_source="counter") == pytest.approx(2.5)


def test_energy_is_the_integral_of_power_elsewhere(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.power = 100000")
    first = gpus.poller.snapshot
    gpus.passes(4)
    last = gpus.poller.snapshot
    assert first is not None
    assert last is not None
    joules = gpus.value("hw.energy", vlm_energy_source="power")
    assert 0 < joules <= 100 * (last.taken_ns + last.seconds * 1e9 - first.taken_ns) / 1e9


def test_counters_begin_at_0_and_wraps_and_resets_take_nothing_back(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.ecc.corrected = 7\ngpu0.pcie.rx = 4294967000")
    assert gpus.value("hw.errors", error_type="ecc_corrected") == 0
    gpus.write("gpu0.ecc.corrected = 9\ngpu0.pcie.rx = 100")
    gpus.passes(2)
    assert gpus.value("hw.errors", error_type="ecc_corrected") == 2
    assert gpus.value("hw.gpu.io", network_io_direction="receive", vlm_gpu_link="pcie") == 396
    gpus.write("gpu0.ecc.corrected = 1\ngpu0.pcie.rx = 150")
    gpus.passes(2)
    assert gpus.value("hw.errors", error_type="ecc_corrected") == 3
    assert gpus.value("hw.gpu.io", network_io_direction="receive") == 446


def test_nvlink_is_in_bytes(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.nvlink.tx = 10\ngpu0.nvlink.rx = 1")
    gpus.write("gpu0.nvlink.tx = 12\ngpu0.nvlink.rx = 1")
    gpus.passes(2)
    assert gpus.value("hw.gpu.io", vlm_gpu_link="nvlink", network_io_direction="transmit") == 2048


def test_xid_errors_are_counted_by_number(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.xid = 0")
    gpus.write("gpu0.xid = 0 @0.01 79 @0.02 79 @0.03 31")
    gpus.passes(4)
    assert gpus.value("hw.errors", error_type="xid_79") == 2
    assert gpus.value("hw.errors", error_type="xid_31") == 1


def test_a_mig_device_has_its_own_utilization_and_memory_and_the_gpu_the_rest(host: Callable[..., Host]) -> None:
    gpus = host(
        """
        gpu0.uuid = GPU-0000
        gpu0.utilization.gpu = 99
        gpu0.temperature.gpu = 60
        gpu0.power = 200000
        gpu0.fan = 10
        gpu0.clock.sm = 1000
        gpu0.ecc.corrected = 0
        gpu0.memory.total = 1000
        gpu0.memory.used = 40
        gpu0.gpm.graphics = 70
        gpu0.mig0.uuid = MIG-a
        gpu0.mig0.memory.total = 400
        gpu0.mig0.memory.used = 10
        gpu0.mig0.gpm.graphics = 30
        gpu0.mig2.uuid = MIG-b
        gpu0.mig2.memory.total = 200
        gpu0.mig2.memory.used = 30
        """
    )
    gpus.passes(2)
    of_a = {"hw_id": "MIG-a", "hw_parent": "GPU-0000", "vlm_gpu_index": "0"}
    assert gpus.values("hw.gpu.memory.usage") == [10, 30]
    assert gpus.value("hw.gpu.memory.usage", **of_a) == 10
    # MIG-b tells none, and the GPU as a whole has none.
    assert gpus.values("hw.gpu.utilization") == [pytest.approx(0.3)]
    assert gpus.value("hw.gpu.utilization", **of_a) == pytest.approx(0.3)
    for metric in ("hw.temperature", "hw.power", "hw.energy", "hw.errors", "vlm.gpu.clock"):
        assert {own["hw_id"] for _, own in gpus.points(metric)} == {"GPU-0000"}, metric
    assert gpus.value("hw.fan.speed_ratio", hw_parent="GPU-0000") == pytest.approx(0.1)


def test_a_gpu_that_is_divided_in_another_way_is_listed_anew(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.uuid = GPU-0000\ngpu0.mig = 0\ngpu0.memory.total = 100\ngpu0.memory.used = 1")
    assert gpus.values("hw.gpu.memory.limit") == [100]
    gpus.write("gpu0.uuid = GPU-0000\ngpu0.mig0.uuid = MIG-a\ngpu0.mig0.memory.total = 50\ngpu0.mig0.memory.used = 1")
    gpus.passes(15)
    assert gpus.values("hw.gpu.memory.limit") == [50]


def test_every_reason_of_throttling_is_told(host: Callable[..., Host]) -> None:
    gpus = host(f"gpu0.throttle = {0x1FE}")
    assert gpus.values("vlm.gpu.throttling") == [1.0] * len(semconv.THROTTLE_REASONS)
    gpus.write("gpu0.throttle = 1")  # idle, which holds nobody back
    gpus.passes(2)
    assert gpus.values("vlm.gpu.throttling") == [0.0] * len(semconv.THROTTLE_REASONS)
