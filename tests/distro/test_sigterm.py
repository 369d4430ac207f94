"""SIGTERM where something else handles it: nothing is lost when SIGKILL follows at the end of the grace period."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest

from otelext import semconv
from tests.distro.processes import BIN, HERE, plain, run_program, uvicorn

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.distro.processes import Service
    from tests.otlp_receiver import OtlpReceiver

pytestmark = pytest.mark.timeout(240)

# Nothing of this arrives but by a flush, and open streams end one second after SIGTERM.
NEVER_BY_ITSELF = {
    "OTEL_METRIC_EXPORT_INTERVAL": "600000",
    "OTEL_BSP_SCHEDULE_DELAY": "600000",
    "OTEL_BLRP_SCHEDULE_DELAY": "600000",
    "OTELEXT_GRACE_PERIOD": "4",
    "OTELEXT_SHUTDOWN_TIMEOUT": "3",
}
WORKERS = ("--workers", "2", "--timeout-worker-healthcheck", "60")


def gunicorn(port: int, worker: str, app: str) -> list[str]:
    options = ["--worker-class", worker, "--bind", f"127.0.0.1:{port}", "--log-level", "warning"]
    return [str(BIN / "opentelemetry-instrument"), "gunicorn", app, *options]


SERVERS: dict[str, tuple[Callable[[int], list[str]], str]] = {
    "uvicorn": (uvicorn, "/stream?count=100000&pause=0.01"),
    "a thread of uvicorn's": (uvicorn, "/blocking-stream?count=100000&pause=0.01"),
    "uvicorn with workers": (lambda port: uvicorn(port, *WORKERS), "/stream?count=100000&pause=0.01"),
    "an application of no framework": (lambda port: uvicorn(port, app="service:bare"), "/stream"),
    "gunicorn with uvicorn's worker": (
        lambda port: gunicorn(port, "uvicorn.workers.UvicornWorker", "service:app"),
        "/stream?count=100000&pause=0.01",
    ),
    "gunicorn": (lambda port: gunicorn(port, "gthread", "service:wsgi"), "/stream"),
}


@pytest.mark.parametrize("server", SERVERS)
def test_an_open_stream_is_told_before_sigkill(
    start: Callable[..., Service], receiver: OtlpReceiver, server: str
) -> None:
    if server.startswith("gunicorn") and sys.platform != "linux":
        pytest.skip("gunicorn forks")
    command, path = SERVERS[server]
    service = start(command, **NEVER_BY_ITSELF)
    with httpx.stream("GET", f"{service.url}{path}", trust_env=False, timeout=30) as answer:
        chunks = answer.iter_bytes()  # kept, since the connection closes with it
        next(chunks)
        service.process.send_signal(signal.SIGTERM)
        receiver.wait_for(partial(_abandoned_are, 1, receiver), "the open stream's count")
        receiver.wait_for(lambda: "chat m" in [s.name for s in receiver.spans], "the open stream's span")
        assert service.process.poll() is None, "the server did not wait for its stream"
        next(chunks)
        os.killpg(service.process.pid, signal.SIGKILL)
    (span,) = (s for s in receiver.spans if s.name == "chat m")
    assert span.attributes[semconv.OUTCOME] == "abandoned"
    assert span.attributes[semconv.OUTPUT_TOKENS] > 0


def test_what_is_finished_leaves_at_once_and_what_finishes_later_too(
    start: Callable[..., Service], receiver: OtlpReceiver
) -> None:
    patient = {**NEVER_BY_ITSELF, "OTELEXT_GRACE_PERIOD": "120", "OTELEXT_SHUTDOWN_TIMEOUT": "1"}
    service = start(**patient)
    httpx.get(f"{service.url}/answer", trust_env=False).raise_for_status()
    with httpx.stream("GET", f"{service.url}/stream?count=100000&pause=0.01", trust_env=False, timeout=30) as answer:
        long = answer.iter_bytes()  # kept, since the connection closes with it
        next(long)
        with httpx.stream("GET", f"{service.url}/stream?count=300&pause=0.01", trust_env=False, timeout=30) as short:
            chunks = short.iter_bytes()
            next(chunks)
            service.process.send_signal(signal.SIGTERM)
            receiver.wait_for(lambda: receiver.total(semconv.INFERENCES.name) == 1, "what was finished")
            for _ in chunks:
                pass
        receiver.wait_for(lambda: receiver.total(semconv.INFERENCES.name) == 2, "what finished after SIGTERM")
        assert service.process.poll() is None
        os.killpg(service.process.pid, signal.SIGKILL)
    assert receiver.total(semconv.INFERENCES.name, vlm_outcome="completed") == 2


GOES_ON = """
import select, signal, sys, otelext
handled = []
signal.signal(signal.SIGTERM, lambda *_: handled.append(True))

@otelext.inference("chat", model="m")
def tokens():
    while True:
        yield "a"

for turn in (1, 2):
    stream = tokens()
    next(stream)
    while not select.select([sys.stdin], [], [], 0.1)[0]:
        signal.raise_signal(signal.SIGTERM)
    sys.stdin.readline()
    next(stream)
    stream.close()
print("handled" if handled else "not handled", flush=True)
"""


def _abandoned_are(count: int, receiver: OtlpReceiver) -> bool:
    return receiver.total(semconv.INFERENCES.name, vlm_outcome="abandoned") == count


def test_a_program_that_goes_on_is_ready_for_the_next_sigterm(receiver: OtlpReceiver) -> None:
    short = {**NEVER_BY_ITSELF, "OTELEXT_GRACE_PERIOD": "0.2", "OTELEXT_SHUTDOWN_TIMEOUT": "0.1"}
    with subprocess.Popen(
        [str(BIN / "opentelemetry-instrument"), "python", "-c", GOES_ON],
        env=plain(receiver.endpoint, **short),
        cwd=HERE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as program:
        assert program.stdin is not None
        for turn in (1, 2):
            receiver.wait_for(partial(_abandoned_are, turn, receiver), f"stream {turn}")
            program.stdin.write("\n")
            program.stdin.flush()
        output, _ = program.communicate(timeout=60)
    assert (program.returncode, output) == (0, "handled\n")


def test_handlers_are_seen_as_they_were_set() -> None:
    program = """
import signal
def mine(*_): pass
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
assert signal.signal(signal.SIGTERM, mine) is signal.SIG_DFL
assert signal.getsignal(signal.SIGTERM) is mine
assert signal.signal(signal.SIGTERM, signal.SIG_IGN) is mine
assert signal.signal(signal.SIGTERM, signal.SIG_DFL) is signal.SIG_IGN
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
print("as they were")
"""
    done = run_program(program, plain("http://127.0.0.1:1"))
    assert (done.stdout, done.returncode) == ("as they were\n", 0), done.stderr


CHAINS = """
import signal, sys
before = signal.getsignal(signal.SIGTERM)
def save_and_leave(signum, frame):
    if callable(before):
        before(signum, frame)
    print("saved", flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, save_and_leave)
signal.raise_signal(signal.SIGTERM)
"""


def test_a_handler_that_calls_the_one_before_it_goes_on_as_without_us() -> None:
    done = run_program(CHAINS, plain("http://127.0.0.1:1"))
    assert (done.stdout, done.returncode) == ("saved\n", 0), done.stderr


BACK_TO_DEFAULT = """
import asyncio, signal, otelext

async def main():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, lambda: None)
    loop.remove_signal_handler(signal.SIGTERM)
    with otelext.inference("chat", model="m"):
        pass
    signal.raise_signal(signal.SIGTERM)

asyncio.run(main())
"""


def test_where_the_default_is_put_back_the_process_flushes_and_dies_of_it(receiver: OtlpReceiver) -> None:
    done = run_program(BACK_TO_DEFAULT, plain(receiver.endpoint, **NEVER_BY_ITSELF))
    assert done.returncode == -signal.SIGTERM
    assert receiver.total(semconv.INFERENCES.name) == 1


TURNED_OFF = """
import signal, sys, time, otelext
otelext.configure(sigterm=False)
signal.signal(signal.SIGTERM, lambda *_: None)
with otelext.inference("chat", model="m") as inf:
    signal.raise_signal(signal.SIGTERM)
    time.sleep(1)  # twice the time after which it would have ended
    print(inf.outcome)
"""


def test_what_configure_turns_off_is_off(receiver: OtlpReceiver) -> None:
    short = {**NEVER_BY_ITSELF, "OTELEXT_GRACE_PERIOD": "1", "OTELEXT_SHUTDOWN_TIMEOUT": "0.5"}
    done = run_program(TURNED_OFF, plain(receiver.endpoint, **short))
    assert (done.stdout, done.returncode) == ("None\n", 0), done.stderr
    assert receiver.total(semconv.INFERENCES.name, vlm_outcome="completed") == 1


def test_a_time_out_longer_than_the_grace_period_leaves_streams_half_of_it(
    start: Callable[..., Service], receiver: OtlpReceiver
) -> None:
    service = start(**{**NEVER_BY_ITSELF, "OTELEXT_GRACE_PERIOD": "60", "OTELEXT_SHUTDOWN_TIMEOUT": "90"})
    with httpx.stream("GET", f"{service.url}/stream?count=100&pause=0.01", trust_env=False, timeout=30) as answer:
        chunks = answer.iter_bytes()
        next(chunks)
        service.process.send_signal(signal.SIGTERM)
        for _ in chunks:
            pass
    service.process.wait(60)
    assert receiver.total(semconv.INFERENCES.name, vlm_outcome="completed") == 1
