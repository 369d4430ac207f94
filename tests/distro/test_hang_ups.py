"""Clients that hang up and clients that upload slowly, against a real server."""

from __future__ import annotations

import socket
import time
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from otelext import semconv
from tests.distro.processes import environment, free_port, serving, uvicorn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.distro.processes import Service
    from tests.otlp_receiver import OtlpReceiver, Span


@contextmanager
def connection(service: Service) -> Iterator[socket.socket]:
    place = urlsplit(service.url)
    with socket.create_connection((place.hostname, place.port), timeout=20) as connected:
        yield connected


def ask(connected: socket.socket, path: str, request_id: str) -> None:
    connected.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Request-Id: {request_id}\r\n\r\n".encode())


def inference(receiver: OtlpReceiver, request_id: str) -> Span:
    def found() -> list[Span]:
        return [s for s in receiver.spans if s.name == "chat m" and s.attributes.get(semconv.REQUEST_ID) == request_id]

    receiver.wait_for(found, f"the inference of request {request_id}")
    (span,) = found()
    return span


def hang_up_after_first_token(service: Service, path: str) -> str:
    request_id = uuid.uuid4().hex
    with connection(service) as connected:
        ask(connected, path, request_id)
        received = b""
        while b"token 0" not in received:
            more = connected.recv(4096)
            assert more, received
            received += more
    return request_id


@pytest.mark.parametrize("path", ["/stream?count=3000&pause=0.01", "/blocking-stream?count=3000&pause=0.01"])
def test_a_client_that_hangs_up_mid_stream_is_disconnected(
    shared_service: Service, shared_receiver: OtlpReceiver, path: str
) -> None:
    span = inference(shared_receiver, hang_up_after_first_token(shared_service, path))
    assert span.attributes[semconv.OUTCOME] == "client_disconnected"
    assert span.message.status.code == 0
    assert 1 <= span.attributes[semconv.OUTPUT_CHUNKS] < 3000
    shared_receiver.wait_for(
        lambda: shared_receiver.total(semconv.TOKENS.name, vlm_outcome="client_disconnected"), "the wasted tokens"
    )


def test_a_cancelled_answer_is_disconnected(shared_service: Service, shared_receiver: OtlpReceiver) -> None:
    request_id = uuid.uuid4().hex
    with connection(shared_service) as connected:
        ask(connected, "/cancelled-answer", request_id)
        # Nothing of the answer shows that the request arrived; a second one on another connection does.
        with connection(shared_service) as other:
            ask(other, "/healthz", uuid.uuid4().hex)
            assert other.recv(4096)
    assert inference(shared_receiver, request_id).attributes[semconv.OUTCOME] == "client_disconnected"


def test_a_client_that_stays_is_not_disconnected(shared_service: Service, shared_receiver: OtlpReceiver) -> None:
    request_id = uuid.uuid4().hex
    with connection(shared_service) as connected:
        ask(connected, "/stream?count=3", request_id)
        received = b""
        while b"0\r\n\r\n" not in received:
            received += connected.recv(4096)
    assert inference(shared_receiver, request_id).attributes[semconv.OUTCOME] == "completed"


@pytest.mark.parametrize("app", ["service:newer", "service:behind"])
def test_servers_that_raise_and_middlewares_that_wrap_are_understood(
    receiver: OtlpReceiver, tmp_path: Path, app: str
) -> None:
    port = free_port()
    env = environment(receiver.endpoint)
    with serving(uvicorn(port, app=app), port, env, tmp_path / "log") as service:
        span = inference(receiver, hang_up_after_first_token(service, "/stream?count=3000&pause=0.01"))
    assert span.attributes[semconv.OUTCOME] == "client_disconnected"


def test_a_slow_upload_is_admission(shared_service: Service, shared_receiver: OtlpReceiver) -> None:
    request_id = uuid.uuid4().hex
    pause = 0.3
    least = 1.8 * pause  # the server is a little later than the client at the start
    with connection(shared_service) as connected:
        connected.sendall(
            f"POST /upload HTTP/1.1\r\nHost: x\r\nX-Request-Id: {request_id}\r\nContent-Length: 30\r\n\r\n".encode()
            + b"x" * 10
        )
        for _ in range(2):
            time.sleep(pause)  # the slow client itself, not a wait for something to happen
            connected.sendall(b"x" * 10)
        received = b""
        while b'"bytes":30' not in received:
            more = connected.recv(4096)
            assert more, received
            received += more
    span = inference(shared_receiver, request_id)
    assert least <= span.attributes[semconv.ADMISSION] < 2 * pause + 5
    shared_receiver.wait_for(
        lambda: any(p.total >= least for p in shared_receiver.last_points(semconv.ADMISSION_TIME.name)),
        "the admission time",
    )
