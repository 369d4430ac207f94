from __future__ import annotations

import json
import socket
import threading
from contextlib import contextmanager

import pytest

from document_vlm.client import Client, Request

BODY = b"x" * 6000


@contextmanager
def serving(answer: bytes):
    """A TCP server for one connection: takes a request, sends the answer, closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        seen: dict[str, bytes] = {}

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                seen["request"] = connection.recv(65536)
                with_error = False
                try:
                    connection.sendall(answer)
                except OSError:
                    with_error = True
                seen["reset"] = bytes(with_error)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], seen
        thread.join(20)


def whole(body: bytes = BODY) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def log_of(folder, name):
    return [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]


def ask(**options) -> Request:
    return Request("a-request-of-a-test", "quick", "/path", "text/plain", b"hello", **options)


def test_a_quick_client_reads_all_and_never_pauses(tmp_path):
    with serving(whole()) as (port, seen):
        outcome = Client("127.0.0.1", port, tmp_path).send(ask())
    assert (outcome.status, outcome.body, outcome.paused, outcome.error) == (200, BODY, 0, None)
    assert outcome.received == len(whole())
    assert b"x-request-id: a-request-of-a-test" in seen["request"].lower()


def test_a_slow_client_reads_at_its_pace_and_writes_down_its_pauses(tmp_path):
    with serving(whole()) as (port, _):
        outcome = Client("127.0.0.1", port, tmp_path).send(ask(bytes_per_second=6000.0, receive_buffer=2048))
    assert outcome.body == BODY
    assert outcome.seconds == pytest.approx(1.0, abs=0.35)
    log = log_of(tmp_path, outcome.name)
    assert sum(entry["seconds"] for entry in log if entry["event"] == "paused") == pytest.approx(
        outcome.paused, abs=0.01
    )
    assert sum(entry["bytes"] for entry in log if entry["event"] == "read") == outcome.received
    assert outcome.paused + outcome.waited <= outcome.seconds
    assert log[-1]["event"] == "ended"
    assert log[-1]["paused"] == outcome.paused


def test_a_client_that_hangs_up_does_so_midway(tmp_path):
    with serving(whole(b"y" * 50_000_000)) as (port, seen):
        outcome = Client("127.0.0.1", port, tmp_path).send(ask(hang_up_after=100_000))
    assert outcome.status == 200
    assert 100_000 <= outcome.received < 1_000_000
    assert seen["reset"]


@pytest.mark.parametrize(
    ("answer", "error"), [(whole()[:-1], "incomplete"), (b"", "incomplete"), (b"x\r\n\r\n", "incomplete")]
)
def test_an_answer_that_is_cut_off_is_an_error(tmp_path, answer, error):
    with serving(answer) as (port, _):
        outcome = Client("127.0.0.1", port, tmp_path).send(ask())
    assert error in (outcome.error or "")


def test_nobody_listening_is_an_error_and_not_an_exception(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    outcome = Client("127.0.0.1", port, tmp_path).send(ask())
    assert "ConnectionRefusedError" in (outcome.error or "")
    assert outcome.status is None
    assert log_of(tmp_path, outcome.name)[-1]["event"] == "ended"
