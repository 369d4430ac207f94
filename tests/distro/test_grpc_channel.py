"""OTLP over gRPC: retries, deadlines and one line as over HTTP."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from opentelemetry.exporter.otlp.proto.grpc import exporter as exporter_module
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from otelext import semconv
from otelext.capture import failure
from otelext.distro import grpc_channel
from otelext.distro.delivery import UndeliveredError
from otelext.distro.patience import PATIENCE
from tests.distro.grpc_receiver import GrpcReceiver
from tests.distro.processes import free_port, plain, run_program
from tests.distro.test_endings import OPEN_STREAM, RARELY, Program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(failure, "_last", {})
    for name in ("insecure_channel", "secure_channel"):  # put back at the end of the test
        monkeypatch.setattr(exporter_module, name, getattr(grpc, name))
    PATIENCE.reset()
    yield
    PATIENCE.reset()


@pytest.fixture
def make() -> Iterator[Callable[..., OTLPSpanExporter]]:
    """Makes exporters that send through the channel, and shuts them down."""
    made: list[OTLPSpanExporter] = []

    def make(endpoint: str, timeout: float = 10) -> OTLPSpanExporter:
        grpc_channel.install()
        made.append(OTLPSpanExporter(endpoint, timeout=timeout))
        return made[-1]

    yield make
    for exporter in made:
        exporter.shutdown()


def a_span(name: str) -> list[ReadableSpan]:
    span = TracerProvider().get_tracer("t").start_span(name)
    span.end()
    assert isinstance(span, ReadableSpan)
    return [span]


def give_up(exporter: OTLPSpanExporter) -> float:
    """Seconds until the exporter gave up."""
    begin = time.monotonic()
    with pytest.raises(UndeliveredError):
        exporter.export(a_span("lost"))
    return time.monotonic() - begin


def test_a_receiver_that_comes_late_still_gets_the_telemetry(
    make: Callable[..., OTLPSpanExporter], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    failed = threading.Event()
    original = PATIENCE.wait

    def wait(seconds: float) -> bool:
        failed.set()
        return original(seconds)

    monkeypatch.setattr(PATIENCE, "wait", wait)
    exporter = make(f"http://127.0.0.1:{port}")
    with ThreadPoolExecutor() as threads:
        result = threads.submit(exporter.export, a_span("late"))
        assert failed.wait(20)
        with GrpcReceiver(port) as receiver:
            assert result.result(20) is SpanExportResult.SUCCESS
    assert [span.name for span in receiver.spans] == ["late"]


def test_a_receiver_that_answers_slowly_gets_the_telemetry_once(make: Callable[..., OTLPSpanExporter]) -> None:
    asked, answer = threading.Event(), threading.Event()

    def take_time(_: grpc.ServicerContext) -> None:
        asked.set()
        answer.wait(20)

    with GrpcReceiver(before=take_time) as receiver, ThreadPoolExecutor() as threads:
        result = threads.submit(make(receiver.endpoint).export, a_span("slow"))
        assert asked.wait(20)
        assert not result.done()
        answer.set()
        assert result.result(20) is SpanExportResult.SUCCESS
    assert [span.name for span in receiver.spans] == ["slow"]


def test_a_receiver_that_was_started_anew_gets_what_follows(make: Callable[..., OTLPSpanExporter]) -> None:
    with GrpcReceiver() as receiver:
        exporter = make(receiver.endpoint)
        assert exporter.export(a_span("before")) is SpanExportResult.SUCCESS
    with GrpcReceiver(receiver.port) as successor:
        assert exporter.export(a_span("after")) is SpanExportResult.SUCCESS
    assert [span.name for span in successor.spans] == ["after"]


def test_it_gives_up_within_the_time_out_with_one_line(
    make: Callable[..., OTLPSpanExporter], caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    with caplog.at_level(logging.WARNING):
        assert give_up(make(f"http://127.0.0.1:{port}", timeout=2.5)) < 5
        give_up(make(f"http://127.0.0.1:{port}", timeout=0.5))
    assert caplog.messages == [
        f"otelext: telemetry does not reach http://127.0.0.1:{port} (Connection refused); the service runs on"
    ]


def test_credentials_in_an_endpoint_are_not_logged(
    make: Callable[..., OTLPSpanExporter], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        give_up(make(f"https://user:secret@127.0.0.1:{free_port()}", timeout=0.5))
    (message,) = caplog.messages
    assert "does not reach https://127.0.0.1:" in message
    assert "secret" not in message


def test_a_server_that_does_not_answer_is_given_up_with_one_line(
    make: Callable[..., OTLPSpanExporter], caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, caplog.at_level(logging.WARNING):
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert 0.3 <= give_up(make(endpoint, timeout=0.4)) < 5
    assert caplog.messages == [f"otelext: telemetry does not reach {endpoint} (Deadline Exceeded); the service runs on"]


def test_who_waits_for_another_attempt_gives_up_when_the_process_ends(make: Callable[..., OTLPSpanExporter]) -> None:
    exporter = make(f"http://127.0.0.1:{free_port()}", timeout=60)
    with ThreadPoolExecutor() as threads:
        seconds = threads.submit(give_up, exporter)
        PATIENCE.hurry(30)
        assert seconds.result(30) < 20


def test_an_attempt_that_begins_at_the_end_takes_no_longer_than_is_left(make: Callable[..., OTLPSpanExporter]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        exporter = make(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=60)
        PATIENCE.hurry(0.5)
        assert give_up(exporter) < 20


def refusing(code: grpc.StatusCode, details: str) -> GrpcReceiver:
    return GrpcReceiver(before=lambda context: context.abort(code, details))


def test_what_the_receiver_answers_is_left_to_the_exporter(
    make: Callable[..., OTLPSpanExporter], caplog: pytest.LogCaptureFixture
) -> None:
    with refusing(grpc.StatusCode.INVALID_ARGUMENT, "no such span") as receiver, caplog.at_level(logging.ERROR):
        assert make(receiver.endpoint).export(a_span("wrong")) is SpanExportResult.FAILURE
    (message,) = caplog.messages
    assert "no such span" in message


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED])
def test_a_receiver_that_refuses_the_sender_is_said_in_one_line(
    code: grpc.StatusCode, make: Callable[..., OTLPSpanExporter], caplog: pytest.LogCaptureFixture
) -> None:
    with refusing(code, "who are you?") as receiver, caplog.at_level(logging.WARNING):
        exporter = make(receiver.endpoint)
        for _ in range(2):
            assert give_up(exporter) < 5
    (message,) = caplog.messages
    assert message == (
        f"otelext: {receiver.endpoint} refuses telemetry ({code.name}: who are you?), which is lost: check"
        " OTEL_EXPORTER_OTLP_HEADERS; the service runs on"
    )


def test_an_exporter_that_opens_its_channels_otherwise_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("insecure_channel", "secure_channel"):
        monkeypatch.delattr(exporter_module, name)
    grpc_channel.install()
    assert not hasattr(exporter_module, "insecure_channel")
    monkeypatch.setattr(grpc_channel, "_EXPORTER", "opentelemetry.no_such_module")
    grpc_channel.install()


def over_grpc(endpoint: str, **more: str) -> dict[str, str]:
    return plain(endpoint, **{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", **more})


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


def check_complete(receiver: GrpcReceiver) -> None:
    (span,) = receiver.spans
    assert span.attributes[semconv.OUTCOME] == "abandoned"
    assert receiver.total(semconv.INFERENCES.name) == 1
    assert [record.body for record in receiver.logs] == ["a stream is open", "inference ended"]


def test_the_end_of_a_program_flushes_over_grpc() -> None:
    with GrpcReceiver() as receiver:
        done = run_program(OPEN_STREAM, over_grpc(receiver.endpoint, **RARELY), "0")
    assert (done.returncode, done.stderr) == (0, "a stream is open\n")
    check_complete(receiver)


def test_sigterm_flushes_over_grpc(programs: Callable[..., Program]) -> None:
    with GrpcReceiver() as receiver:
        status, _, errors = programs(over_grpc(receiver.endpoint, **RARELY)).end()
    assert (status, errors) == (-signal.SIGTERM, "a stream is open\n")
    check_complete(receiver)


EXPORTING = OPEN_STREAM.replace(
    "stream = tokens()",
    """for _ in range(20):
    list(tokens())
    time.sleep(0.1)
stream = tokens()""",
)


def test_nothing_listening_over_grpc_is_one_line_and_a_prompt_end(programs: Callable[..., Program]) -> None:
    endpoint = f"http://127.0.0.1:{free_port()}"
    often = over_grpc(endpoint, OTEL_METRIC_EXPORT_INTERVAL="100", OTELEXT_SHUTDOWN_TIMEOUT="30")
    status, seconds, errors = programs(often, EXPORTING).end()
    assert status == -signal.SIGTERM
    assert seconds < 10
    lines = [line for line in errors.splitlines() if line != "a stream is open"]
    assert lines == [f"otelext: telemetry does not reach {endpoint} (Connection refused); the service runs on"], errors


def test_a_refusal_of_every_signal_over_grpc_is_one_line(programs: Callable[..., Program]) -> None:
    with refusing(grpc.StatusCode.UNAUTHENTICATED, "who are you?") as receiver:
        often = over_grpc(receiver.endpoint, OTEL_METRIC_EXPORT_INTERVAL="100")
        status, _, errors = programs(often, EXPORTING).end()
    assert status == -signal.SIGTERM
    lines = [line for line in errors.splitlines() if line != "a stream is open"]
    (line,) = lines
    assert line.startswith(f"otelext: {receiver.endpoint} refuses telemetry (UNAUTHENTICATED: who are you?)"), errors


def test_a_grpc_endpoint_that_never_answers_ends_in_time(programs: Callable[..., Program]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        status, seconds, errors = programs(over_grpc(endpoint, OTELEXT_SHUTDOWN_TIMEOUT="3", **RARELY)).end()
    assert status == -signal.SIGTERM
    assert seconds < 8
    line = f"otelext: telemetry does not reach {endpoint} (Deadline Exceeded); the service runs on"
    assert errors.splitlines() == ["a stream is open", line]


def test_what_is_on_its_way_to_a_silent_grpc_endpoint_does_not_hold_up_the_end(
    programs: Callable[..., Program],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        env = over_grpc(endpoint, OTELEXT_SHUTDOWN_TIMEOUT="1.5", OTEL_EXPORTER_OTLP_TIMEOUT="60")
        status, seconds, errors = programs(env, EXPORTING).end()
    assert status == -signal.SIGTERM
    assert seconds < 5
    assert "StatusCode" not in errors


def test_a_receiver_that_asks_for_patience_is_asked_again_when_it_said(
    make: Callable[..., OTLPSpanExporter], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(PATIENCE, "wait", waits.append)
    peers: list[str] = []

    def busy_at_first(context: grpc.ServicerContext) -> None:
        peers.append(context.peer())
        if len(peers) == 1:
            delay = RetryInfo(retry_delay=Duration(seconds=3, nanos=500_000_000))
            context.set_trailing_metadata((("google.rpc.retryinfo-bin", delay.SerializeToString()),))
            context.abort(grpc.StatusCode.UNAVAILABLE, "memory is short")

    with GrpcReceiver(before=busy_at_first) as receiver:
        assert make(receiver.endpoint).export(a_span("patient")) is SpanExportResult.SUCCESS
        assert [span.name for span in receiver.spans] == ["patient"]
    assert waits == [3.5]
    assert len(set(peers)) == 1, "a receiver that answers needs no new connection"
