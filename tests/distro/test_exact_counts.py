"""However processes come and go, what the receiver adds up is exactly what was asked."""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from otelext import semconv
from tests.distro.processes import BIN, Service, plain, run_program, run_python, uvicorn

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.otlp_receiver import OtlpReceiver

pytestmark = pytest.mark.timeout(240)


def workers(port: int, count: int) -> list[str]:
    # uvicorn kills workers that take longer than 5 s to start, unless told otherwise.
    return uvicorn(port, "--workers", str(count), "--timeout-worker-healthcheck", "60")


def ask(service: Service, requests: int, path: str = "/answer") -> set[int]:
    """Send requests, each on a connection of its own so that all workers get some; the pids that answered."""

    def one(_: int) -> int:
        pid: int = httpx.get(f"{service.url}{path}", timeout=30, trust_env=False).raise_for_status().json()["pid"]
        return pid

    with ThreadPoolExecutor(8) as clients:
        return set(clients.map(one, range(requests)))


def counted(receiver: OtlpReceiver) -> float:
    """Inferences that the receiver adds up; those of the histogram must be the same."""
    total = receiver.total(semconv.INFERENCES.name)
    return total if receiver.total(semconv.REQUEST_DURATION.name) == total else -1


def instances(receiver: OtlpReceiver) -> set[str]:
    return {point.resource["service.instance.id"] for point in receiver.last_points(semconv.INFERENCES.name)}


def serve_until(service: Service, condition: Callable[[set[int]], bool]) -> set[int]:
    """Ask one request at a time (not an inference) until the pids that answer are as wanted."""
    seen: set[int] = set()
    for _ in range(3000):
        try:
            seen |= ask(service, 8, "/healthz")
        except httpx.HTTPError:
            continue  # a worker that was just killed took the connection with it
        if condition(seen):
            return seen
    raise AssertionError(f"only {seen} answered:\n{service.output}")


def test_a_thousand_requests_over_four_workers_are_a_thousand(
    start: Callable[..., Service], receiver: OtlpReceiver
) -> None:
    service = start(lambda port: workers(port, 4))
    first = serve_until(service, lambda seen: len(seen) == 4)
    ask(service, 400)

    ended = next(iter(first))
    os.kill(ended, signal.SIGTERM)
    second = serve_until_replaced(service, first)
    ask(service, 300)

    receiver.wait_for(lambda: counted(receiver) == 700, "the export of 700 requests")
    killed = next(iter(second & first))
    os.kill(killed, signal.SIGKILL)
    serve_until_replaced(service, second)
    ask(service, 300)

    service.stop()
    receiver.wait_for(lambda: counted(receiver) == 1000, "exactly 1,000 requests")
    assert receiver.total(semconv.WORKER_DROPPED.name) == 0
    assert len([s for s in receiver.spans if s.name == "chat m"]) == 1000
    assert len(instances(receiver)) > 1


def serve_until_replaced(service: Service, before: set[int]) -> set[int]:
    """Wait until four workers answer again, one of them new."""

    def replaced(seen: set[int]) -> bool:
        return len(seen - before) == 1

    new = serve_until(service, replaced) - before
    return {pid for pid in before | new if _is_running(pid)}


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="gunicorn forks")
@pytest.mark.parametrize(
    ("worker", "preload"),
    [("sync", True), ("uvicorn.workers.UvicornWorker", True), ("uvicorn.workers.UvicornWorker", False)],
)
def test_under_gunicorn_every_request_counts_once(
    start: Callable[..., Service], receiver: OtlpReceiver, worker: str, preload: bool
) -> None:
    app = "service:wsgi" if worker == "sync" else "service:app"

    def gunicorn(port: int) -> list[str]:
        options = ["--workers", "2", "--worker-class", worker, "--bind", f"127.0.0.1:{port}", "--log-level", "warning"]
        return [str(BIN / "opentelemetry-instrument"), "gunicorn", app, *options, *(["--preload"] if preload else [])]

    service = start(gunicorn)
    serve_until(service, lambda seen: len(seen) == 2)
    pids = ask(service, 100)
    os.kill(next(iter(pids)), signal.SIGTERM)
    serve_until(service, lambda seen: bool(seen - pids))
    ask(service, 100)
    service.stop()
    receiver.wait_for(lambda: counted(receiver) == 200, "exactly 200 requests")
    assert len(instances(receiver)) >= 3


FORKING = """
import os, sys, otelext

def infer(n):
    for _ in range(n):
        with otelext.inference("chat", model="m"):
            pass

infer(10)
otelext.force_flush()
infer(5)  # still in the parent's queue at the fork: the child must not report them
children = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        infer(7)
        sys.exit(0)
    children.append(pid)
infer(1)
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
"""

MULTIPROCESSING = """
import multiprocessing, sys, otelext

def infer(n):
    for _ in range(n):
        with otelext.inference("chat", model="m"):
            pass

if __name__ == "__main__":
    infer(16)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=infer, args=(7,)) for _ in range(3)]
    for process in processes: process.start()
    for process in processes: process.join()
    assert [p.exitcode for p in processes] == [0, 0, 0]
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("program", [FORKING, MULTIPROCESSING], ids=["os.fork", "multiprocessing"])
def test_what_a_parent_counted_is_not_counted_again_by_its_children(receiver: OtlpReceiver, program: str) -> None:
    done = run_program(program, plain(receiver.endpoint))
    assert done.returncode == 0, done.stderr
    receiver.wait_for(lambda: counted(receiver) == 16 + 3 * 7, "exactly 37 inferences")
    assert len(instances(receiver)) == 4
    assert len([s for s in receiver.spans if s.name == "chat m"]) == 37
    spans_by_instance = {s.resource["service.instance.id"] for s in receiver.spans}
    assert spans_by_instance == instances(receiver)


FORK_DURING_AN_EXPORT = """
import os, sys, threading, otelext
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExporter, MetricExportResult
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

parent, exporting, go_on = os.getpid(), threading.Event(), threading.Event()

class Exporter(MetricExporter):
    def export(self, data, timeout_millis=10000, **kwargs):
        if os.getpid() == parent:
            exporting.set()
            go_on.wait()
        else:
            print("exported", flush=True)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis=10000):
        return True

    def shutdown(self, timeout_millis=30000, **kwargs):
        pass

metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(Exporter(), 20)]))
with otelext.inference("chat", model="m"):
    pass
exporting.wait()
pid = os.fork()
with otelext.inference("chat", model="m"):
    pass
if pid == 0:
    otelext.force_flush(5)
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
go_on.set()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_forked_during_an_export_exports() -> None:
    # From Python 3.12 on every fork beside a thread warns.
    env = plain("http://127.0.0.1:1", PYTHONWARNINGS="ignore:This process:DeprecationWarning")
    done = run_python(FORK_DURING_AN_EXPORT, env)
    assert (done.returncode, done.stderr) == (0, "")
    assert "exported" in done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_an_instance_id_of_the_users_is_new_after_a_fork(receiver: OtlpReceiver) -> None:
    env = plain(receiver.endpoint, OTEL_RESOURCE_ATTRIBUTES="service.instance.id=mine")
    done = run_program(FORKING, env)
    assert done.returncode == 0, done.stderr
    receiver.wait_for(lambda: counted(receiver) == 37, "exactly 37 inferences")
    assert "mine" in instances(receiver)
    assert len(instances(receiver)) == 4


def test_workers_that_share_an_instance_id_of_the_users_are_warned_of(
    start: Callable[..., Service],
) -> None:
    env = {"OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test,service.instance.id=mine"}
    service = start(lambda port: workers(port, 2), **env)
    serve_until(service, lambda seen: len(seen) == 2)
    lines = [line for line in service.output.splitlines() if "service.instance.id" in line]
    assert len(lines) == 2, service.output
    assert "OTEL_RESOURCE_ATTRIBUTES" in lines[0]
