"""The session that exporters send through: retries, deadlines, one line, forks."""

from __future__ import annotations

import importlib
import logging
import os
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExportResult

from otelext.capture import failure
from otelext.distro import quiet
from otelext.distro.delivery import UndeliveredError
from otelext.distro.patience import PATIENCE
from otelext.distro.session import ExportSession
from tests.distro.processes import free_port, plain, run_program
from tests.distro.test_endings import OPEN_STREAM
from tests.otlp_receiver import OtlpReceiver

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(failure, "_last", {})
    PATIENCE.reset()
    yield
    PATIENCE.reset()


def send(session: ExportSession, url: str, timeout: float) -> float:
    """Seconds until the session gave up."""
    begin = time.monotonic()
    with pytest.raises(UndeliveredError):
        session.request("POST", url, data=b"", timeout=timeout)
    return time.monotonic() - begin


def test_a_receiver_that_comes_late_still_gets_the_telemetry() -> None:
    port = free_port()
    spans = TracerProvider().get_tracer("t").start_span("late")
    spans.end()
    with ExportSession() as session:
        exporter = OTLPSpanExporter(f"http://127.0.0.1:{port}/v1/traces", session=session)
        results: list[SpanExportResult] = []
        exporting = threading.Thread(target=lambda: results.append(exporter.export([spans])))  # type: ignore[list-item]
        exporting.start()
        with OtlpReceiver(port) as receiver:
            exporting.join(20)
        assert results == [SpanExportResult.SUCCESS]
        assert [span.name for span in receiver.spans] == ["late"]


def test_it_gives_up_within_the_time_out(caplog: pytest.LogCaptureFixture) -> None:
    url = f"http://user:secret@127.0.0.1:{free_port()}/v1/traces?key=secret"
    with ExportSession() as session, caplog.at_level(logging.WARNING):
        assert send(session, url, 2.5) < 3
        send(session, url, 0.5)
    (message,) = caplog.messages
    assert "Connection refused" in message
    assert "secret" not in message


def test_a_server_that_does_not_answer_is_given_up_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ExportSession() as session, caplog.at_level(logging.WARNING):
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert 0.3 <= send(session, f"{url}/v1/traces", 0.4) < 2
    assert caplog.messages == [f"otelext: telemetry does not reach {url} (ReadTimeout); the service runs on"]


def test_who_waits_for_another_attempt_gives_up_when_the_process_ends() -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    seconds: list[float] = []
    with ExportSession() as session:
        waiting = threading.Thread(target=lambda: seconds.append(send(session, url, 60)))
        waiting.start()
        PATIENCE.hurry(30)
        waiting.join(10)
    assert seconds
    assert seconds[0] < 10


def test_after_the_deadline_nothing_is_tried() -> None:
    with OtlpReceiver() as receiver, ExportSession() as session:
        PATIENCE.hurry(0)
        assert send(session, f"{receiver.endpoint}/v1/traces", 60) < 1


def test_a_hurry_that_is_over_leaves_no_deadline() -> None:
    with OtlpReceiver() as receiver, ExportSession() as session:
        with PATIENCE.hurrying(0.01):
            pass
        answer = session.request("POST", f"{receiver.endpoint}/v1/traces", data=b"", timeout=10)
    assert answer.status_code == 200


def test_a_flush_does_not_take_back_that_the_process_ends() -> None:
    with PATIENCE.hurrying(100):
        PATIENCE.hurry(0)
    assert PATIENCE.remaining() <= 0
    assert PATIENCE.hurried


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_takes_connections_of_its_own() -> None:
    ports: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            ports.append(self.client_address[1])
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with _server(Handler) as url, ExportSession() as session:
        for _ in range(2):
            session.request("GET", url, timeout=10)
        pid = os.fork()
        if pid == 0:
            try:
                session.request("GET", url, timeout=10)
            finally:
                os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        session.request("GET", url, timeout=10)
    assert ports[0] == ports[1] == ports[3]
    assert ports[2] != ports[0]


@contextmanager
def _server(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    serving = threading.Thread(target=server.serve_forever, args=(0.05,))
    serving.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def _refusing(status: int, asked: list[str]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.path)
            self.rfile.read(int(self.headers.get("content-length", "0")))
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler


@pytest.mark.parametrize(("status", "reason"), [(401, "Unauthorized"), (403, "Forbidden")])
def test_a_receiver_that_refuses_the_sender_is_asked_once_and_said_in_one_line(
    status: int, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    paths = [f"/v1/{signal}?key=secret" for signal in ("traces", "metrics", "logs")]
    asked: list[str] = []
    with _server(_refusing(status, asked)) as url, ExportSession() as session, caplog.at_level(logging.WARNING):
        for path in paths:
            send(session, url.rstrip("/").replace("//", "//user:secret@") + path, 10)
    assert asked == paths
    (message,) = caplog.messages
    assert message == (
        f"otelext: {url.rstrip('/')} refuses telemetry ({status} {reason}), which is lost: check"
        " OTEL_EXPORTER_OTLP_HEADERS; the service runs on"
    )


def test_a_refusal_of_every_signal_is_all_that_a_program_says() -> None:
    asked: list[str] = []
    with _server(_refusing(401, asked)) as url:
        done = run_program(OPEN_STREAM, plain(url), "1")
    assert {path.rpartition("/")[2] for path in asked} == {"traces", "metrics", "logs"}
    (line,) = (line for line in done.stderr.splitlines() if line != "a stream is open")
    assert line.startswith(f"otelext: {url.rstrip('/')} refuses telemetry (401 Unauthorized)")


def test_what_else_a_receiver_answers_is_left_to_the_exporter(caplog: pytest.LogCaptureFixture) -> None:
    with OtlpReceiver() as receiver, ExportSession() as session, caplog.at_level(logging.WARNING):
        assert session.request("POST", f"{receiver.endpoint}/no/signal", data=b"", timeout=10).status_code == 404
    assert caplog.messages == []


def test_a_receiver_that_refuses_is_said_once_a_minute_for_all_signals(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quiet, "_FILTER", quiet.OncePerMinute())
    loggers = [logging.getLogger(name) for name in quiet._LOGGERS]
    before = [list(logger.filters) for logger in loggers]
    try:
        for logger in loggers:
            logger.filters.clear()
        quiet.quieten()
        with caplog.at_level(logging.INFO):
            for logger in loggers:
                for kind in ("spans", "metrics"):
                    logger.error("Failed to export %s batch code: %s, reason: %s", kind, 400, "no")
                    logger.error("Failed to export %s batch code: %s, reason: %s", kind, None, UndeliveredError("x"))
                    logger.error("Exception while exporting %s.", kind, exc_info=UndeliveredError("x"))
            loggers[0].error("another message")
            loggers[0].info("information")
            loggers[0].info("information")
    finally:
        for logger, filters in zip(loggers, before, strict=True):
            logger.filters[:] = filters
    assert caplog.messages == [
        "Failed to export spans batch code: 400, reason: no",
        "another message",
        "information",
        "information",
    ]


@pytest.mark.parametrize("name", quiet._LOGGERS)
def test_the_loggers_that_are_quietened_are_those_of_the_exporters(name: str) -> None:
    module = importlib.import_module(name)
    assert getattr(module, "_logger", getattr(module, "logger", None)) is logging.getLogger(name)
