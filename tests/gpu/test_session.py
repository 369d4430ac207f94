"""GPUs that go and come, are divided in another way, or are exported by another process for a while."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from tests.gpu.conftest import Holding, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelext.gpu.snapshot import Snapshot
    from tests.gpu.conftest import Host

TWO = "gpu0.uuid = GPU-0\ngpu1.uuid = GPU-1\ngpu0.power = 1000\ngpu1.power = 2000\n"


class Sometimes(Holding):
    """A lease that this process has while it says so."""

    def __init__(self, held: bool) -> None:
        self.held = held

    def hold(self) -> bool:
        return self.held


def lines(caplog: pytest.LogCaptureFixture, word: str) -> list[str]:
    return [message for message in caplog.messages if word in message]


def seen(gpus: Host, number: int) -> list[Snapshot]:
    """So many passes, one after the other."""
    found = []
    for _ in range(number):
        gpus.passes(1)
        assert gpus.poller.snapshot is not None
        found.append(gpus.poller.snapshot)
    return found


@pytest.mark.parametrize("error", ["UNKNOWN", "INSUFFICIENT_POWER", "IRQ_ISSUE", "GPU_IS_LOST"])
def test_a_gpu_whose_handle_gives_an_error_leaves_the_others_and_returns(
    host: Callable[..., Host], caplog: pytest.LogCaptureFixture, error: str
) -> None:
    gpus = host(TWO + f"gpu0.uuid = !{error}")
    assert gpus.values("hw.power") == [2]
    assert gpus.poller.snapshot is not None
    assert gpus.poller.snapshot.unreached == ((0, f"NVML_ERROR_{error}"),)
    assert lines(caplog, "can't be reached") == [
        f"otelext: GPU 0 can't be reached: nvmlDeviceGetUUID: NVML_ERROR_{error}"
    ]
    gpus.write(TWO)
    until(lambda: gpus.values("hw.power") == [1, 2], "return")
    assert not gpus.poller.snapshot.unreached


def test_a_gpu_that_this_user_may_not_read_is_not_sought(host: Callable[..., Host]) -> None:
    gpus = host(TWO + "gpu0.uuid = !NO_PERMISSION\ngpu1.gpm.sm = 50\ngpu1.gpm.tensor = 1")
    gpus.passes(2)
    # A search begins NVML anew, and activity with it, which needs two samples.
    for snapshot in seen(gpus, 15):
        assert "vlm.gpu.sm.activity" in [point.metric for point in snapshot.devices[0].points]


def test_a_gpu_that_goes_while_nvml_begins_anew_is_lost_too(
    host: Callable[..., Host], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "otelext")
    gpus = host(TWO)
    gpus.write(TWO + "gpu0.lost = 1\ncall.nvmlDeviceGetComputeRunningProcesses_v3 = !UNINITIALIZED")
    until(lambda: lines(caplog, "can't be read any more"), "failure")
    gpus.write(TWO + "gpu0.lost = 1")
    until(lambda: gpus.values("hw.power") == [2], "the other")
    assert gpus.values("hw.errors", error_type="gpu_lost", hw_id="GPU-0") == [1]
    assert len(lines(caplog, "is lost")) == 1


def test_a_gpu_that_is_lost_stays_counted_when_nvml_begins_anew(
    host: Callable[..., Host], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "otelext")
    gpus = host(TWO)
    gpus.write(TWO + "gpu0.lost = 1")
    until(lambda: gpus.values("hw.errors", error_type="gpu_lost", hw_id="GPU-0") == [1], "loss")
    gpus.write(TWO + "gpu0.lost = 1\ncall.nvmlDeviceGetFieldValues = !UNINITIALIZED")
    until(lambda: lines(caplog, "can't be read any more"), "failure")
    gpus.write(TWO + "gpu0.lost = 1")
    until(lambda: lines(caplog, "are read again"), "another beginning")
    gpus.passes(2)
    assert gpus.values("hw.errors", error_type="gpu_lost", hw_id="GPU-0") == [1]
    assert len(lines(caplog, "is lost")) == 1


def test_all_gpus_may_go_and_come_back(host: Callable[..., Host], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "otelext")
    gpus = host(TWO)
    gpus.write("gpus = 0")
    until(lambda: gpus.values("hw.power") == [], "loss")
    until(lambda: gpus.values("hw.errors", error_type="gpu_lost") == [1, 1], "count")
    gpus.passes(5)
    gpus.write(TWO)
    until(lambda: gpus.values("hw.power") == [1, 2], "return")
    assert len(lines(caplog, "is lost")) == 2
    assert len(lines(caplog, "is back")) == 2


def test_a_gpu_that_is_lost_says_so_for_each_of_its_readings(host: Callable[..., Host]) -> None:
    gpus = host(TWO)
    gpus.write(TWO + "gpu0.lost = 1")
    until(lambda: gpus.values("hw.power") == [2], "loss")
    assert gpus.poller.snapshot is not None
    lost = gpus.poller.snapshot.devices[0]
    assert lost.device.uuid == "GPU-0"
    assert {one.why for one in lost.missing} == {"NVML_ERROR_GPU_IS_LOST"}
    assert {"hw.power", "hw.energy", "hw.gpu.utilization", "vlm.gpu.clock"} <= {one.metric for one in lost.missing}
    assert {point.metric for point in lost.points} == {"hw.errors"}


def test_a_lost_gpu_does_not_cost_the_others_calls(host: Callable[..., Host]) -> None:
    gpus = host(TWO + "gpu0.xid = 0\ngpu1.xid = 0")
    gpus.write(TWO + "gpu0.xid = 0\ngpu1.xid = 0\ngpu0.lost = 1")
    assert max(snapshot.calls for snapshot in seen(gpus, 10)) <= 30
    assert gpus.values("hw.power") == [2]


def test_no_pass_makes_more_than_twelve_calls_a_gpu(host: Callable[..., Host]) -> None:
    readings = """
        gpuN.mig = 0
        gpuN.utilization.gpu = 1
        gpuN.memory.total = 2
        gpuN.memory.used = 1
        gpuN.temperature.gpu = 1
        gpuN.power = 1
        gpuN.energy = 1
        gpuN.clock.sm = 1
        gpuN.clock.memory = 1
        gpuN.throttle = 0
        gpuN.fan = 1
        gpuN.pstate = 0
        gpuN.gpm.sm = 1
        gpuN.gpm.tensor = 1
        gpuN.process.self = 1
        gpuN.xid = 0
        """
    gpus = host("".join(readings.replace("gpuN", f"gpu{number}") for number in range(4)))
    gpus.passes(2)
    # One more for the events of all, and one for a look at how one of the GPUs is divided.
    assert all(snapshot.calls <= 4 * 12 + 2 for snapshot in seen(gpus, 26))


def test_what_another_process_counted_is_not_counted_again(host: Callable[..., Host]) -> None:
    lease = Sometimes(held=False)
    gpus = host("gpu0.ecc.corrected = 10\ngpu0.xid = 0", share=lambda: (lease, None))
    gpus.write("gpu0.ecc.corrected = 20\ngpu0.xid = 0 @0.001 31")
    gpus.passes(3)
    lease.held = True
    until(lambda: gpus.values("hw.errors", error_type="ecc_corrected"), "readings")
    gpus.passes(2)
    assert gpus.value("hw.errors", error_type="ecc_corrected") == 0
    assert gpus.values("hw.errors", error_type="xid_31") == []
    gpus.write("gpu0.ecc.corrected = 23\ngpu0.xid = 0 @0.001 31 @0.002 79")
    gpus.passes(2)
    lease.held = False
    until(lambda: not gpus.values("hw.errors"), "end of the lease")
    gpus.passes(2)
    gpus.write("gpu0.ecc.corrected = 50\ngpu0.xid = 0 @0.001 31 @0.002 79 @0.003 79")
    gpus.passes(3)
    lease.held = True
    until(lambda: gpus.values("hw.errors", error_type="ecc_corrected"), "readings")
    gpus.passes(2)
    assert gpus.value("hw.errors", error_type="ecc_corrected") == 3
    assert gpus.value("hw.errors", error_type="xid_79") == 1


def test_power_is_not_integrated_over_what_another_process_counted(host: Callable[..., Host]) -> None:
    lease = Sometimes(held=True)
    gpus = host("gpu0.power = 100000", share=lambda: (lease, None))
    gpus.passes(3)
    before = gpus.poller.snapshot
    lease.held = False
    until(lambda: gpus.poller.snapshot is not None and not gpus.poller.snapshot.devices, "pass without the lease")
    resting = gpus.poller.snapshot
    lease.held = True
    until(lambda: gpus.values("hw.energy"), "readings")
    assert before is not None
    assert resting is not None
    gained = gpus.value("hw.energy") - energy_of(before)
    assert gained <= 100 * (resting.taken_ns - before.taken_ns) / 1e9


def energy_of(snapshot: Snapshot) -> float:
    (found,) = [point.value for point in snapshot.devices[0].points if point.metric == "hw.energy"]
    return found
