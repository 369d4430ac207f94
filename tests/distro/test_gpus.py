"""GPU telemetry under `opentelemetry-instrument`, with the stand-in for NVIDIA's library and real export."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from otelext.testing import nvml
from tests.distro.processes import BIN, plain, run_program, uvicorn

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.distro.processes import Service
    from tests.otlp_receiver import OtlpReceiver

SCENARIO = """
gpu0.uuid = GPU-0
gpu1.uuid = GPU-1
gpu0.power = 100000
gpu1.power = 50000
gpu0.energy = from_power
gpu1.energy = from_power
gpu0.utilization.gpu = 40
"""


@pytest.fixture
def gpus(nvml_library: Path, tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Variables of a process on a host with GPUs."""

    def variables(scenario: str = SCENARIO, **more: str) -> dict[str, str]:
        path = nvml.write_scenario(tmp_path / "scenario", f"start = {time.perf_counter_ns()}\n{scenario}")
        return {
            **nvml.environment(nvml_library, path),
            "OTELEXT_GPU_INTERVAL": "0.2",
            "OTELEXT_GPU_FOLDER": str(tmp_path / "host"),
            **more,
        }

    return variables


def exporters(receiver: OtlpReceiver, metric: str, since: int) -> set[Any]:
    """Processes that have told a metric of the host since then."""
    return {
        point.resource["service.instance.id"]
        for point in receiver.points
        if point.metric == metric and point.time > since
    }


def test_four_workers_give_each_series_once_and_hand_over(
    receiver: OtlpReceiver, start: Callable[..., Service], gpus: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    service = start(lambda port: uvicorn(port, "--workers", "4"), **gpus())
    receiver.wait_for(lambda: receiver.last_points("hw.power"), "power")
    assert len(worker_pids(service, 4)) == 4
    since = time.time_ns()
    receiver.wait_for(lambda: len(exporters(receiver, "otelext.gpu.poll.age", since)) >= 4, "readings by all workers")
    receiver.wait_for(lambda: exporters(receiver, "hw.power", since), "power")
    assert len(exporters(receiver, "hw.power", since)) == 1
    points = [point for point in receiver.points if point.metric == "hw.power" and point.time > since]
    assert {(point.attributes["hw.id"], point.value) for point in points} == {("GPU-0", 100), ("GPU-1", 50)}

    holder = json.loads((tmp_path / "host" / "lease").read_text())["pid"]
    os.kill(holder, signal.SIGKILL)
    killed = time.time_ns()
    receiver.wait_for(lambda: exporters(receiver, "hw.power", killed + 10**9), "power by another process")
    since = time.time_ns()
    receiver.wait_for(lambda: exporters(receiver, "hw.power", since), "power")
    assert len(exporters(receiver, "hw.power", since)) == 1


def worker_pids(service: Service, number: int) -> set[int]:
    found: set[int] = set()
    deadline = time.monotonic() + 60
    while len(found) < number and time.monotonic() < deadline:
        found.add(httpx.get(f"{service.url}/healthz", timeout=10, trust_env=False).json()["pid"])
    return found


def test_gunicorns_preloaded_workers_give_each_series_once(
    receiver: OtlpReceiver, start: Callable[..., Service], gpus: Callable[..., dict[str, str]]
) -> None:
    def command(port: int) -> list[str]:
        return [
            str(BIN / "opentelemetry-instrument"), "gunicorn", "service:app", "--preload", "--workers", "2",
            "--worker-class", "uvicorn.workers.UvicornWorker", "--bind", f"127.0.0.1:{port}",
        ]  # fmt: skip

    start(command, **gpus())
    receiver.wait_for(
        lambda: len({p.resource["service.instance.id"] for p in receiver.last_points("otelext.gpu.poll.age")}) >= 3,
        "readings by all",
    )
    since = time.time_ns()
    receiver.wait_for(lambda: exporters(receiver, "hw.power", since), "power")
    assert len(exporters(receiver, "hw.power", since)) == 1


ENERGY = """
import json, sys, time
import otelext

schedule = json.loads(sys.argv[1])
print("ready", flush=True)
begin = float(sys.stdin.readline())

def until(second):
    time.sleep(max(0.0, begin + second - time.perf_counter()))

running, ran = {}, []
for second, what, model in schedule:
    until(second)
    if what == "begin":
        running[model] = (otelext.inference("chat", model=model), time.perf_counter() - begin)
        running[model][0].__enter__()
    else:
        inference, since = running.pop(model)
        inference.__exit__(None, None, None)
        ran.append((model, since, time.perf_counter() - begin))
until(8)
print(json.dumps(ran), flush=True)
"""


def by_hand(ran: list[tuple[str, float, float]], watts: Callable[[float], float]) -> dict[str, float]:
    """Joules by model, millisecond by millisecond."""
    found = dict.fromkeys((model for model, _, _ in ran), 0.0)
    for place in range(10_000):
        now = (place + 0.5) / 1000
        active = [model for model, since, until in ran if since <= now < until]
        for model in active:
            found[model] += watts(now) / 1000 / len(active)
    return found


def test_the_sum_by_hand_is_right() -> None:
    #   1-2: a 100;  2-2.5: a, b 25;  2.5-3: a, b 75;  3-4: a, b, c 100;  4-4.5: a, c 75;  4.5-5: a 150.
    ran = [("a", 1.0, 5.0), ("b", 2.0, 4.0), ("c", 3.0, 4.5)]
    assert by_hand(ran, watts) == pytest.approx({"a": 525.0, "b": 200.0, "c": 175.0})


def watts(second: float) -> float:
    return 100.0 if second < 2.5 else 300.0


def test_joules_by_model_are_those_of_the_schedule(
    receiver: OtlpReceiver, gpus: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    # Two processes share a GPU, whose power changes in the middle of a time in which nothing else does.
    schedules = [
        [(1, "begin", "a"), (2, "begin", "b"), (4, "end", "b"), (5, "end", "a")],
        [(3, "begin", "c"), (4.5, "end", "c")],
    ]
    env = gpus("gpu0.uuid = GPU-0\ngpu0.power = 100000\ngpu0.energy = from_power", OTELEXT_GPU_INTERVAL="0.4")
    program = tmp_path / "program.py"
    program.write_text(ENERGY)
    children = [
        subprocess.Popen(
            [str(BIN / "opentelemetry-instrument"), sys.executable, str(program), json.dumps(schedule)],
            env=plain(receiver.endpoint, **env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for schedule in schedules
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    begin = time.perf_counter() + 2
    of_processes = "".join(f"gpu0.process.{child.pid} = 1000000\n" for child in children)
    nvml.write_scenario(
        tmp_path / "scenario",
        f"start = {round(begin * 1e9)}\ngpu0.uuid = GPU-0\ngpu0.power = 100000 @2.5 300000\n"
        f"gpu0.energy = from_power\n{of_processes}",
    )
    ran: list[tuple[str, float, float]] = []
    for child in children:
        assert child.stdin is not None
        child.stdin.write(f"{begin}\n")
        child.stdin.flush()
    for child in children:
        told, _ = child.communicate(timeout=60)
        assert child.returncode == 0
        ran += json.loads(told)
    expected = by_hand(ran, watts)
    found = {
        model: receiver.total("vlm.energy", gen_ai_request_model=model, vlm_energy_state="active") for model in expected
    }
    assert found == pytest.approx(expected, rel=0.02)
    assert all(point.attributes["vlm.energy.source"] == "counter" for point in receiver.last_points("vlm.energy"))
    idle = receiver.total("vlm.energy", vlm_energy_state="idle")
    assert sum(found.values()) + idle <= receiver.total("hw.energy", hw_id="GPU-0") * 1.001


PROGRAM = """
import threading, time
import otelext
time.sleep(1)
print([thread.name for thread in threading.enumerate()])
"""


@pytest.mark.parametrize("variables", [{"OTELEXT_GPU": "false"}, {"LD_LIBRARY_PATH": "/nowhere"}])
def test_where_nothing_is_read_there_is_no_thread_and_no_series(
    receiver: OtlpReceiver, gpus: Callable[..., dict[str, str]], variables: dict[str, str]
) -> None:
    done = run_program(PROGRAM, plain(receiver.endpoint, **{**gpus(), **variables}))
    assert done.returncode == 0, done.stderr
    assert "otelext-gpu" not in done.stdout
    assert not done.stderr
    assert not [point for point in receiver.points if point.metric.startswith(("hw.", "vlm.gpu", "otelext.gpu"))]


FORKING = """
import logging, os, sys, threading, time
logging.basicConfig(level="INFO", stream=sys.stdout)
import otelext
time.sleep(1)
child = os.fork()
if child == 0:
    time.sleep(1)
    print("in the child:", [thread.name for thread in threading.enumerate()], flush=True)
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_child_of_a_process_without_gpus_looks_for_none_again(
    receiver: OtlpReceiver, gpus: Callable[..., dict[str, str]]
) -> None:
    absent = {**gpus(), "LD_LIBRARY_PATH": "/nowhere", "OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION": "false"}
    done = run_program(FORKING, plain(receiver.endpoint, **absent))
    assert "in the child:" in done.stdout, done.stderr
    assert "otelext-gpu" not in done.stdout
    assert done.stdout.count("no GPU telemetry") <= 1


def test_only_the_metrics_that_are_asked_for_are_made(
    receiver: OtlpReceiver, gpus: Callable[..., dict[str, str]]
) -> None:
    done = run_program(PROGRAM, plain(receiver.endpoint, **gpus(OTELEXT_GPU_METRICS="hw.power,otelext.gpu.poll.age")))
    assert done.returncode == 0, done.stderr
    made = {point.metric for point in receiver.points if point.metric.startswith(("hw.", "vlm.gpu", "otelext.gpu"))}
    assert made == {"hw.power", "otelext.gpu.poll.age"}


def test_a_driver_that_hangs_delays_neither_the_program_nor_its_end(
    receiver: OtlpReceiver, gpus: Callable[..., dict[str, str]]
) -> None:
    hanging = SCENARIO + "call.nvmlDeviceGetFieldValues = ok @0.5 hang:600"
    begin = time.monotonic()
    done = run_program(PROGRAM.replace("sleep(1)", "sleep(2)"), plain(receiver.endpoint, **gpus(hanging)))
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begin < 40
    assert "nvmlDeviceGetFieldValues has not returned" in done.stderr
    ages = [point.value for point in receiver.points if point.metric == "otelext.gpu.poll.age"]
    assert max(ages) > 0.5


def test_without_a_folder_to_share_a_process_says_so_and_exports_what_is_its_own(
    receiver: OtlpReceiver, gpus: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    scenario = SCENARIO + "gpu0.process.self = 4096"
    done = run_program(PROGRAM, plain(receiver.endpoint, **gpus(scenario, OTELEXT_GPU_FOLDER=str(tmp_path / "file"))))
    assert "OTELEXT_GPU_FOLDER" in done.stderr
    made = {point.metric for point in receiver.points if point.metric.startswith(("hw.", "vlm.", "otelext.gpu"))}
    assert "vlm.gpu.process.memory" in made
    assert not [name for name in made if name.startswith("hw.")]
    assert receiver.last_points("vlm.gpu.process.memory")[0].value == 4096
