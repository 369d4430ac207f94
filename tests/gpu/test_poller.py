"""What a driver does to the poller, and what the poller does to nobody."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from otelext.gpu.nvml import Nvml
from otelext.gpu.poller import Poller
from otelext.testing import nvml
from tests.gpu.conftest import INTERVAL, Holding, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.gpu.conftest import Host

TWO = "gpu0.uuid = GPU-0\ngpu1.uuid = GPU-1\ngpu0.power = 1000\ngpu1.power = 2000\n"


def lines(caplog: pytest.LogCaptureFixture, word: str) -> list[str]:
    return [message for message in caplog.messages if word in message]


def test_a_hanging_call_delays_no_reader_and_is_reported_by_name(
    host: Callable[..., Host], caplog: pytest.LogCaptureFixture
) -> None:
    gpus = host("gpu0.power = 1000")
    gpus.write("gpu0.power = 1000\ncall.nvmlDeviceGetFieldValues = hang:60")
    until(lambda: not gpus.values("hw.power"), "end of the stale series")
    begin = time.perf_counter()
    for _ in range(100):
        gpus.values("hw.power")
    assert time.perf_counter() - begin < 1
    until(lambda: gpus.values("otelext.gpu.poll.age") and lines(caplog, "has not returned"), "report")
    assert gpus.value("otelext.gpu.poll.age") > INTERVAL
    (message,) = lines(caplog, "has not returned")
    assert "nvmlDeviceGetFieldValues" in message
    gpus.write("gpu0.power = 3000")
    until(lambda: gpus.values("hw.power") == [3], "readings after the hang")


def test_a_hanging_start_is_reported_too(nvml_library: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scenario = nvml.write_scenario(tmp_path / "scenario", "gpu0.power = 1000\ncall.nvmlInitWithFlags = hang:60")
    with nvml.loaded(nvml_library, scenario):
        poller = Poller(INTERVAL)
        poller.start()
        until(lambda: poller.fresh() or lines(caplog, "has not returned"), "report")
        assert "nvmlInit" in lines(caplog, "has not returned")[0]
        nvml.write_scenario(scenario, "gpu0.power = 1000")
        until(lambda: poller.snapshot, "first pass")
        poller.stop(10)


def test_a_slow_driver_still_gives_fresh_readings(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.power = 1000\ncall.nvmlDeviceGetFieldValues = slow:0.04")
    gpus.passes(3)
    assert gpus.values("hw.power") == [1]


def test_a_lost_gpu_disappears_and_counts_and_returns(
    host: Callable[..., Host], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "otelext")
    gpus = host(TWO)
    assert gpus.values("hw.power") == [1, 2]
    gpus.write(TWO + "gpu0.lost = 1")
    until(lambda: gpus.values("hw.power") == [2], "loss")
    gpus.passes(3)
    assert gpus.values("hw.errors", error_type="gpu_lost", hw_id="GPU-0") == [1]
    assert len(lines(caplog, "is lost")) == 1
    gpus.write(TWO)
    until(lambda: gpus.values("hw.power") == [1, 2], "return")
    assert gpus.values("hw.errors", error_type="gpu_lost") == [1, 0]
    assert len(lines(caplog, "is back")) == 1
    gpus.write(TWO + "gpu0.lost = 1")
    until(lambda: gpus.values("hw.errors", error_type="gpu_lost") == [2, 0], "second loss")


def test_a_gpu_that_fell_off_the_bus_still_tells_its_xid(host: Callable[..., Host]) -> None:
    gpus = host(TWO + "gpu0.xid = 0")
    gpus.write(TWO + "gpu0.xid = 79\ngpu0.lost = 1")
    until(lambda: gpus.values("hw.errors", error_type="xid_79", hw_id="GPU-0") == [1], "Xid")


def test_a_gpu_that_is_lost_from_the_start_leaves_the_others(host: Callable[..., Host]) -> None:
    gpus = host(TWO + "gpu0.lost = 1")
    assert gpus.values("hw.power") == [2]
    gpus.write(TWO)
    until(lambda: gpus.values("hw.power") == [1, 2], "return")


def test_what_runs_on_a_gpu_is_told_to_whoever_does_not_export(host: Callable[..., Host]) -> None:
    class Elsewhere:
        def hold(self) -> bool:
            return False

        def after_fork(self) -> None:
            """Nothing."""

        def release(self) -> None:
            """Nothing."""

    gpus = host("gpu0.power = 1000\ngpu0.process.self = 4096\ngpu0.process.1 = 7", share=lambda: (Elsewhere(), None))
    assert gpus.values("hw.power") == []
    assert gpus.values("vlm.gpu.process.memory") == [4096]
    assert gpus.poller.snapshot is not None
    assert gpus.poller.snapshot.calls <= 2
    assert list(gpus.poller.snapshot.processes.values()) == [{os.getpid(): 4096, 1: 7}]


def test_memory_of_a_process_that_is_not_told_is_left_out(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.process.self = NA")
    assert gpus.values("vlm.gpu.process.memory") == []


def test_no_library_is_one_line_and_no_thread(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "otelext")
    monkeypatch.setattr("otelext.gpu.nvml.LIBRARY", "libnvidia-ml-that-is-nowhere.so.1")
    poller = Poller(INTERVAL)
    poller.start()
    until(lambda: not running(), "end of the thread")
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.INFO, "otelext: no GPU telemetry: libnvidia-ml-that-is-nowhere.so.1 is not installed here")
    ]
    assert poller.age_s is None


@pytest.mark.parametrize(
    ("scenario", "why"),
    [
        ("gpu0.power = 1\ncall.nvmlInitWithFlags = !NO_PERMISSION", "nvmlInit: NVML_ERROR_NO_PERMISSION"),
        ("gpu0.power = 1\ncall.nvmlInitWithFlags = !DRIVER_NOT_LOADED", "nvmlInit: NVML_ERROR_DRIVER_NOT_LOADED"),
        ("gpus = 0", "there is no GPU here"),
    ],
)
def test_what_can_not_be_used_is_one_line_and_no_thread(
    nvml_library: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, scenario: str, why: str
) -> None:
    caplog.set_level(logging.INFO, "otelext")
    with nvml.loaded(nvml_library, nvml.write_scenario(tmp_path / "scenario", scenario)):
        Poller(INTERVAL).start()
        until(lambda: not running(), "end of the thread")
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.INFO, f"otelext: no GPU telemetry: {why}")
    ]


def running() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "otelext-gpu"]


def test_stop_ends_the_thread_at_once(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.power = 1000", interval=60)
    begin = time.monotonic()
    gpus.poller.stop(10)
    assert time.monotonic() - begin < 5
    assert not running()
    assert gpus.values("hw.power") == []


def test_found_is_called_once_before_the_first_pass(host: Callable[..., Host]) -> None:
    calls: list[str] = []
    gpus = host("gpu0.power = 1000", found=lambda: calls.append(threading.current_thread().name))
    gpus.write("gpu0.power = 1000\ncall.nvmlDeviceGetFieldValues = !UNINITIALIZED")
    gpus.passes(0)
    gpus.write("gpu0.power = 5000")
    until(lambda: gpus.values("hw.power") == [5], "readings after another start")
    assert calls == ["otelext-gpu"]


UPDATED = """
import json, logging, os, time
from otelext.gpu.observed import Observed
from otelext.gpu.poller import Poller

def tell(what):
    os.write(1, json.dumps(what).encode() + b"\\n")  # as a whole, from whichever thread

class Handler(logging.Handler):
    def emit(self, record):
        tell({"level": record.levelname, "message": record.getMessage()})

class Holding:
    hold = lambda self: True
    release = after_fork = lambda self: None

logging.getLogger("otelext").addHandler(Handler())
logging.getLogger("otelext").setLevel("INFO")
poller = Poller(0.05, share=lambda: (Holding(), None))
poller.start()
before = None
while True:
    values = [value for value, _ in Observed(poller).reads["hw.power"]()]
    if values != before:
        before = values
        tell({"values": values})
    time.sleep(0.01)
"""


def test_a_driver_that_is_updated_below_is_taken_up_with_its_new_library(nvml_library: Path, tmp_path: Path) -> None:
    folder = tmp_path / "installed"
    folder.mkdir()
    installed = folder / nvml_library.name
    shutil.copy(nvml_library, installed)
    scenario = nvml.write_scenario(tmp_path / "scenario", "driver.version = 570\ngpu0.power = 1000")
    child = subprocess.Popen(
        [sys.executable, "-c", UPDATED],
        env={**os.environ, **nvml.environment(installed, scenario)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    try:
        told = (json.loads(line) for line in child.stdout)
        wait_for(told, {"values": [1]})
        # As a package manager does it: the new file in place of the old one, which is still mapped.
        shutil.copy(nvml_library, folder / "new")
        nvml.write_scenario(scenario, "driver.version = 580\ngpu0.power = 2000")
        warning = wait_for(told, "NVML_ERROR_LIB_RM_VERSION_MISMATCH")
        (folder / "new").replace(installed)
        between = wait_for(told, {"values": [2]})
        assert warning[-1]["level"] == "WARNING"
        assert [one["level"] for one in between if "level" in one] == ["INFO"]
    finally:
        child.kill()
        child.communicate()


def wait_for(told: Any, wanted: Any) -> list[Any]:
    """What was told until then, its last the one that is wanted."""
    found = []
    for one in told:
        found.append(one)
        if one == wanted or (isinstance(wanted, str) and wanted in one.get("message", "")):
            return found
    raise AssertionError(f"it ended without {wanted}, after {found}")


def test_a_hanging_call_delays_no_fork(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.power = 1000")
    gpus.write("gpu0.power = 1000\ncall.nvmlDeviceGetFieldValues = hang:60")
    until(lambda: not gpus.values("hw.power"), "end of the stale series")
    until(lambda: (call := gpus.poller._nvml.under_way) and time.perf_counter_ns() - call.since_ns > 2e8, "a hang")
    begin = time.perf_counter()
    for _ in range(50):
        gpus.poller.before_fork()
        gpus.poller.after_fork_in_parent()
    assert time.perf_counter() - begin < 2.5  # it would be 5 s with a wait for the call


def test_other_calls_of_pynvml_go_on_while_one_hangs(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.power = 1000")
    gpus.write("gpu0.power = 1000\ncall.nvmlDeviceGetFieldValues = hang:60")
    until(lambda: not gpus.values("hw.power"), "end of the stale series")
    other = Nvml()
    other.open()
    assert other.call("nvmlDeviceGetCount") == 1
    other.close()


def test_a_forked_child_reads_for_itself(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.power = 1000")
    reads, writes = os.pipe()
    gpus.poller.before_fork()
    child = os.fork()
    if child == 0:
        gpus.poller.after_fork_in_child()
        try:
            until(lambda: gpus.values("hw.power") == [1], "readings")
            os.write(writes, b"read")
        finally:
            os._exit(0)
    gpus.poller.after_fork_in_parent()
    os.close(writes)
    with os.fdopen(reads, "rb") as told:
        assert told.read() == b"read"
    os.waitpid(child, 0)
    gpus.passes(1)


class Counting(Holding):
    """A lease that says how often it was given back."""

    def __init__(self) -> None:
        self.released = 0

    def release(self) -> None:
        self.released += 1


def test_a_process_that_can_not_read_leaves_the_lease_to_others(host: Callable[..., Host]) -> None:
    lease = Counting()
    gpus = host("gpu0.power = 1000", share=lambda: (lease, None))
    assert lease.released == 0
    gpus.write("gpu0.power = 1000\ncall.nvmlInitWithFlags = !UNKNOWN\ncall.nvmlDeviceGetFieldValues = !UNINITIALIZED")
    until(lambda: lease.released, "end of the lease")
    assert not gpus.poller.held
    gpus.write("gpu0.power = 2000")
    until(lambda: gpus.values("hw.power") == [2], "readings")


class Account:
    """Shares nothing out."""

    def __init__(self, failing: bool) -> None:
        self.failing = failing
        self.settled = 0

    def totals(self) -> dict[tuple[str | None, str, str], float]:
        return {("m", "active", "counter"): float(self.settled)}

    def settle(self, *_: Any) -> None:
        self.settled += 1
        if self.failing:
            raise ValueError("a folder that nobody foresaw")

    def after_fork(self) -> None:
        """Nothing."""


def test_readings_go_on_where_energy_can_not_be_shared_out(
    host: Callable[..., Host], caplog: pytest.LogCaptureFixture
) -> None:
    account = Account(failing=True)
    gpus = host("gpu0.power = 1000", share=lambda: (Holding(), account))
    gpus.passes(3)
    assert account.settled >= 3
    assert gpus.values("hw.power") == [1]
    (message,) = lines(caplog, "energy can't be shared out")
    assert "a folder that nobody foresaw" in message
    account.failing = False
    gpus.passes(2)
    assert gpus.value("vlm.energy", vlm_energy_state="active", gen_ai_request_model="m") >= 3


def test_a_failure_that_nobody_foresaw_is_said_once_and_tried_again(
    host: Callable[..., Host], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, "otelext")
    gpus = host("gpu0.power = 1000")
    with monkeypatch.context() as patched:

        def fail(*_: Any) -> None:
            raise ValueError("a value that nobody foresaw")

        patched.setattr("otelext.gpu.fields.read_fields", fail)
        until(lambda: not gpus.values("hw.power"), "end of the stale series")
    until(lambda: gpus.values("hw.power") == [1], "readings")
    until(lambda: lines(caplog, "are read again"), "word of it")
    assert len(lines(caplog, "a value that nobody foresaw")) == 1


def test_a_beginning_that_fails_is_said_and_leaves_no_thread(
    nvml_library: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("no provider")

    with nvml.loaded(nvml_library, nvml.write_scenario(tmp_path / "scenario", "gpu0.power = 1000")):
        Poller(INTERVAL, found=fail).start()
        until(lambda: not running(), "end of the thread")
    assert len(lines(caplog, "no provider")) == 1


@pytest.mark.parametrize("first", [0, 1])
def test_two_threads_may_fork_at_one_time(host: Callable[..., Host], first: int) -> None:
    gpus = host("gpu0.power = 1000")
    begun, ended = [threading.Event(), threading.Event()], [threading.Event(), threading.Event()]

    def fork(number: int) -> None:
        gpus.poller.before_fork()
        begun[number].set()
        assert ended[number].wait(20)
        gpus.poller.after_fork_in_parent()

    threads = [threading.Thread(target=fork, args=(number,)) for number in (0, 1)]
    for number, thread in enumerate(threads):
        thread.start()
        assert begun[number].wait(20)
    for number in (first, 1 - first):
        held_off = not ended[0].is_set()
        ended[number].set()
        threads[number].join(20)
        if number == 1 and held_off:
            assert gpus.poller._in_pass.locked(), "whoever came second ends what the first holds off"
    gpus.passes(2)


def test_a_pass_that_takes_most_of_an_interval_leaves_no_gap(host: Callable[..., Host]) -> None:
    gpus = host("gpu0.power = 1000\ncall.nvmlDeviceGetFieldValues = slow:0.35", interval=0.5)
    until(lambda: gpus.values("hw.power"), "readings")
    last, renewed = gpus.poller.snapshot, 0
    while renewed < 3:
        assert gpus.values("hw.power") == [1]
        if gpus.poller.snapshot is not last:
            last, renewed = gpus.poller.snapshot, renewed + 1
        time.sleep(0.005)


def test_what_other_code_of_the_process_initialised_stays_so(host: Callable[..., Host]) -> None:
    import pynvml

    gpus = host(TWO)
    pynvml.nvmlInit()
    gpus.write(TWO + "gpu0.lost = 1")
    until(lambda: gpus.values("hw.power") == [2], "loss")
    # A search that fails halfway, and an end.
    gpus.write(TWO + "gpu0.lost = 1\ncall.nvmlInitWithFlags = !UNKNOWN")
    until(lambda: not gpus.values("hw.power"), "failure")
    gpus.poller.stop(20)
    gpus.write(TWO)
    until(lambda: pynvml.nvmlDeviceGetCount() == 2, "count")
    pynvml.nvmlShutdown()
    with pytest.raises(pynvml.NVMLError, match="Uninitialized"):
        pynvml.nvmlDeviceGetCount()
