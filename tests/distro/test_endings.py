"""How a process ends: everything goes out, in time, and the exit status is what it would have been."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from otelext import semconv
from tests.distro.processes import BIN, HERE, free_port, plain, run_program, uvicorn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.distro.processes import Service
    from tests.otlp_receiver import OtlpReceiver

# Long intervals, so that nothing of this arrives but by the flush at the end.
RARELY = {
    "OTEL_METRIC_EXPORT_INTERVAL": "600000",
    "OTEL_BSP_SCHEDULE_DELAY": "600000",
    "OTEL_BLRP_SCHEDULE_DELAY": "600000",
}
GRACE_S = 10.0

OPEN_STREAM = """
import logging, sys, time, otelext

@otelext.inference("chat", model="m")
def tokens():
    yield "a"
    yield "b"

stream = tokens()
next(stream)
logging.getLogger("program").warning("a stream is open")
print("open", flush=True)
time.sleep(float(sys.argv[1]))
"""


class Program:
    """A plain program with an open stream, under `opentelemetry-instrument`."""

    def __init__(self, env: dict[str, str], source: str = OPEN_STREAM) -> None:
        self.process = subprocess.Popen(
            [str(BIN / "opentelemetry-instrument"), "python", "-c", source, "60"],
            env=env,
            cwd=HERE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line == "open\n", self.process.communicate()[1]

    def end(self, signum: int = signal.SIGTERM) -> tuple[int, float, str]:
        """Send the signal: exit status, seconds, standard error."""
        start = time.monotonic()
        self.process.send_signal(signum)
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, time.monotonic() - start, errors


@pytest.fixture
def programs() -> Iterator[Callable[..., Program]]:
    started: list[Program] = []

    def start(env: dict[str, str], source: str = OPEN_STREAM) -> Program:
        started.append(Program(env, source))
        return started[-1]

    yield start
    for program in started:
        program.process.kill()
        program.process.communicate()


def test_sigterm_flushes_an_open_stream_and_the_process_dies_of_it(
    receiver: OtlpReceiver, programs: Callable[..., Program]
) -> None:
    status, seconds, _ = programs(plain(receiver.endpoint, **RARELY)).end()
    assert status == -signal.SIGTERM
    assert seconds < GRACE_S
    (span,) = receiver.spans
    assert span.attributes[semconv.OUTCOME] == "abandoned"
    assert receiver.total(semconv.INFERENCES.name, vlm_outcome="abandoned") == 1
    assert [record.body for record in receiver.logs] == ["a stream is open", "inference ended"]


def test_the_end_of_a_program_flushes_too(receiver: OtlpReceiver) -> None:
    done = run_program(OPEN_STREAM, plain(receiver.endpoint, **RARELY), "0")
    assert done.returncode == 0
    assert done.stderr.splitlines() == ["a stream is open"]
    assert [s.attributes[semconv.OUTCOME] for s in receiver.spans] == ["abandoned"]
    assert receiver.total(semconv.INFERENCES.name) == 1
    assert [record.body for record in receiver.logs] == ["a stream is open", "inference ended"]


def test_an_exit_status_stays(receiver: OtlpReceiver) -> None:
    done = run_program("import sys; sys.exit(7)", plain(receiver.endpoint, **RARELY))
    assert done.returncode == 7


def test_without_our_handler_sigterm_ends_at_once(receiver: OtlpReceiver, programs: Callable[..., Program]) -> None:
    status, _, _ = programs(plain(receiver.endpoint, OTELEXT_SIGTERM="false", **RARELY)).end()
    assert status == -signal.SIGTERM
    assert not receiver.spans


HANDLED = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n" + OPEN_STREAM
IGNORED = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + OPEN_STREAM.replace(
    "print(", "signal.raise_signal(signal.SIGTERM); print("
)


def test_a_handler_of_the_programs_own_stays(receiver: OtlpReceiver, programs: Callable[..., Program]) -> None:
    status, _, _ = programs(plain(receiver.endpoint, **RARELY), HANDLED).end()
    assert status == 5
    assert len(receiver.spans) == 1


def test_a_program_that_ignores_sigterm_goes_on(receiver: OtlpReceiver, programs: Callable[..., Program]) -> None:
    program = programs(plain(receiver.endpoint, **RARELY), IGNORED)
    assert program.process.poll() is None


def test_uvicorn_ends_its_streams_and_dies_of_sigterm(start: Callable[..., Service], receiver: OtlpReceiver) -> None:
    service = start(lambda port: uvicorn(port, "--timeout-graceful-shutdown", "1"), **RARELY)
    with httpx.stream("GET", f"{service.url}/stream?count=100000&pause=0.01", trust_env=False) as answer:
        chunks = answer.iter_bytes()  # kept, since the connection closes with it
        next(chunks)
        begin = time.monotonic()
        assert service.stop() == -signal.SIGTERM
        assert time.monotonic() - begin < GRACE_S
    (span,) = (s for s in receiver.spans if s.name == "chat m")
    assert span.attributes[semconv.OUTCOME] == "cancelled"
    assert receiver.total(semconv.INFERENCES.name) == 1


def test_nothing_listening_is_one_line_and_a_prompt_end(programs: Callable[..., Program]) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    often = plain(endpoint, OTEL_METRIC_EXPORT_INTERVAL="100", OTEL_BSP_SCHEDULE_DELAY="100")
    source = OPEN_STREAM.replace(
        "stream = tokens()",
        """for _ in range(20):
    list(tokens())
    time.sleep(0.1)
stream = tokens()""",
    )
    status, seconds, errors = programs(often, source).end()
    assert status == -signal.SIGTERM
    assert seconds < 3
    lines = [line for line in errors.splitlines() if line != "a stream is open"]
    assert lines == [f"otelext: telemetry does not reach {endpoint} (Connection refused); the service runs on"], errors


def test_an_endpoint_that_never_answers_ends_in_time(programs: Callable[..., Program]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        env = plain(endpoint, OTELEXT_SHUTDOWN_TIMEOUT="1.5", **RARELY)
        status, seconds, errors = programs(env).end()
    assert status == -signal.SIGTERM
    assert 1 <= seconds < 4
    assert errors.count("otelext: telemetry does not reach") == 1


def test_an_endpoint_that_never_answers_does_not_hold_up_a_normal_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        env = plain(endpoint, OTELEXT_SHUTDOWN_TIMEOUT="1", **RARELY)
        begin = time.monotonic()
        base = run_program("pass", plain("http://127.0.0.1:1", OTEL_SDK_DISABLED="true"))
        without = time.monotonic() - begin
        begin = time.monotonic()
        done = run_program(OPEN_STREAM, env, "0")
        seconds = time.monotonic() - begin
    assert (base.returncode, done.returncode) == (0, 0)
    assert seconds < without + 8


def test_a_service_with_nothing_listening_serves(start: Callable[..., Service]) -> None:
    service = start(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    answer = httpx.get(f"{service.url}/stream?count=50", trust_env=False)
    assert answer.text.count("token") == 50
    begin = time.monotonic()
    assert service.stop() == -signal.SIGTERM
    assert time.monotonic() - begin < 5
    assert service.output.count("telemetry does not reach") == 1


def test_a_disabled_sdk_starts_no_thread() -> None:
    program = "import threading; print(sorted(t.name for t in threading.enumerate()))"
    done = run_program(program, plain("http://127.0.0.1:1", OTEL_SDK_DISABLED="true"))
    assert done.stdout.strip() == "['MainThread']"


def test_the_flush_of_a_lifespan_and_the_end_share_one_time_out(start: Callable[..., Service]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        service = start(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTELEXT_SHUTDOWN_TIMEOUT="5", **RARELY)
        httpx.get(f"{service.url}/answer", trust_env=False).raise_for_status()
        begin = time.monotonic()
        assert service.stop() == -signal.SIGTERM
        assert time.monotonic() - begin < 7.5
    assert service.output.count("telemetry does not reach") == 1
