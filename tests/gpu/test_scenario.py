"""What was read of a host, as a scenario in which the stand-in plays that host."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

import pytest

from otelext import semconv
from otelext.gpu.once import read_once
from otelext.gpu.scenario import Recording
from otelext.gpu.snapshot import Device, DeviceReadings, Missing, Point, Snapshot
from otelext.testing import nvml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    At = Callable[[str, float], Snapshot]

WHOLE = """
gpu0.uuid = GPU-0
gpu0.name = NVIDIA H100 80GB HBM3
gpu0.utilization.gpu = 87 @5 13
gpu0.utilization.memory = 20 @5 !UNKNOWN @9 3
gpu0.memory.total = 85899345920
gpu0.memory.used = 42949672960 @5 85899345919
gpu0.temperature.gpu = 61 @5 88 @9 61
gpu0.temperature.memory = 70
gpu0.power = 350123
gpu0.energy = from_power
gpu0.clock.sm = 1980 @9 345
gpu0.clock.memory = 2619
gpu0.throttle = 0 @5 36 @9 1
gpu0.fan = !NO_PERMISSION
gpu0.pstate = 0 @5 NA
gpu0.ecc.corrected = NA
gpu0.ecc.uncorrected = 7
gpu0.pcie.rx = 5
gpu0.nvlink.tx = 9
gpu0.gpm.sm = 40
gpu0.gpm.tensor = 12.5
gpu0.xid = 0
gpu0.process.4711 = 1024 @5 2048 @9 !NOT_FOUND
gpu0.process.4712 = !NOT_FOUND @5 NA
"""
DIVIDED = """
gpu1.uuid = GPU-1
gpu1.power = 100000
gpu1.mig0.uuid = MIG-a
gpu1.mig0.memory.total = 1073741824
gpu1.mig0.memory.used = 536870912 @5 0
gpu1.mig0.gpm.graphics = 30
gpu1.mig0.process = !NO_PERMISSION
gpu1.mig3.uuid = MIG-b
gpu1.mig3.memory.total = 1073741824
gpu1.mig3.memory.used = !UNKNOWN
gpu1.mig3.process.99 = 77
gpu2.mig = 1
gpu3.uuid = !IRQ_ISSUE
gpu4.temperature.gpu = 50
gpu4.lost = 1
gpu5.throttle = !NO_PERMISSION
"""


@pytest.fixture
def at(nvml_library: Path, tmp_path: Path) -> At:
    """Reads the host of a scenario as it is at some second of it."""

    def read(scenario: str, second: float) -> Snapshot:
        # Twice, as activity needs it, and a little apart from a step.
        start = time.perf_counter_ns() - int((second + 0.2) * 1e9)
        path = nvml.write_scenario(tmp_path / "scenario", f"start = {start}\n{scenario}\n")
        with nvml.loaded(nvml_library, path):
            return dataclasses.replace(read_once(0.01), taken_ns=int(second * 1e9))

    return read


def same(snapshot: Snapshot) -> Any:
    """What must be as it was: all but when it was read, and how much energy there was between two readings."""
    return (
        snapshot.driver,
        snapshot.unreached,
        snapshot.known,
        snapshot.processes,
        [
            (one.device, {p for p in one.points if p.metric != semconv.HW_ENERGY.name}, set(one.missing))
            for one in snapshot.devices
        ],
    )


@pytest.mark.parametrize("scenario", [WHOLE, DIVIDED, WHOLE + DIVIDED, "driver.version = 999.1\ngpu0.lost = 1\n"])
def test_what_was_recorded_is_read_again_at_each_time(at: At, capfd: pytest.CaptureFixture[str], scenario: str) -> None:
    seconds = (0, 5, 9)
    recording, before = Recording(), {}
    for second in seconds:
        before[second] = at(scenario, second)
        recording.add(before[second])
    capfd.readouterr()
    for second in seconds:
        assert same(at(recording.text(), second)) == same(before[second])
    assert capfd.readouterr().err == ""  # the stand-in understood every line


def gpu(*points: Point, missing: tuple[Missing, ...] = (), uuid: str = "GPU-0") -> DeviceReadings:
    return DeviceReadings(Device(uuid, "A GPU", 0, "00000000:01:00.0"), points, missing)


def snapshot(second: float, *devices: DeviceReadings, there: bool = True, **more: Any) -> Snapshot:
    known = tuple(one.device for one in devices) if there else ()
    return Snapshot(int((7 + second) * 1e9), 0.01, 9, "570.1", known=known, devices=devices, **more)


def recorded(*snapshots: Snapshot) -> dict[str, str]:
    recording = Recording()
    for each in snapshots:
        recording.add(each)
    lines = [line for line in recording.text().splitlines() if not line.startswith("#")]
    return dict((line.split(" = ", 1)) for line in lines)


def watts(value: float) -> Point:
    return Point(semconv.HW_POWER.name, value)


def xids(count: int, number: int = 79) -> Point:
    return Point(semconv.HW_ERRORS.name, count, ((semconv.ERROR_TYPE, semconv.XID.format(number=number)),))


def test_a_value_that_stays_is_no_step() -> None:
    found = recorded(*(snapshot(second, gpu(watts(70))) for second in range(5)))
    assert found["gpu0.power"] == "70000"


def test_seconds_are_those_since_the_first_pass() -> None:
    found = recorded(snapshot(0, gpu(watts(70))), snapshot(1.5, gpu(watts(80))), snapshot(2.25, gpu(watts(70))))
    assert found["gpu0.power"] == "70000 @1.500 80000 @2.250 70000"


def test_a_reading_that_comes_later_was_not_supported_until_then() -> None:
    found = recorded(snapshot(0, gpu()), snapshot(2, gpu(watts(80))))
    assert found["gpu0.power"] == "!NOT_SUPPORTED @2.000 80000"


def test_each_xid_error_while_it_was_recorded_is_an_event_of_its_own() -> None:
    found = recorded(
        snapshot(0, gpu(xids(4))),
        snapshot(1, gpu(xids(4))),
        snapshot(2, gpu(xids(6), xids(1, number=31))),
        snapshot(3, gpu(xids(7))),
    )
    assert found["gpu0.xid"] == "0 @2.000 79 @2.001 79 @2.002 31 @3.000 79"


def test_a_gpu_that_tells_of_no_xid_errors_has_none() -> None:
    missing = (Missing(semconv.HW_ERRORS.name, "NVML_ERROR_NOT_SUPPORTED", ((semconv.ERROR_TYPE, "xid_*"),)),)
    assert "gpu0.xid" not in recorded(snapshot(0, gpu(missing=missing)))


def test_a_gpu_that_is_lost_and_back_keeps_what_it_read_before() -> None:
    gone = gpu(missing=(Missing(semconv.HW_POWER.name, "NVML_ERROR_GPU_IS_LOST"),))
    found = recorded(
        snapshot(0, gpu(watts(70)), processes={"GPU-0": {5: 10}}),
        snapshot(1, gone, there=False, unreached=((0, "NVML_ERROR_GPU_IS_LOST"),)),
        snapshot(2, gpu(watts(80)), processes={"GPU-0": {5: 10}}),
    )
    assert found["gpu0.uuid"] == "GPU-0"
    assert found["gpu0.lost"] == "0 @1.000 1 @2.000 0"
    assert found["gpu0.power"] == "70000 @2.000 80000"
    assert found["gpu0.process.5"] == "10 @1.000 !NOT_FOUND @2.000 10"


def test_a_gpu_that_comes_later_was_lost_until_then() -> None:
    found = recorded(snapshot(0, unreached=((0, "NVML_ERROR_UNKNOWN"),)), snapshot(3, gpu(watts(80))))
    assert found["gpu0.uuid"] == "GPU-0"
    assert found["gpu0.lost"] == "1 @3.000 0"
