"""What servers log of themselves: arguments of a few known messages leave where their shape holds no data."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext.logs.message import body_of
from otelext.processors.redaction.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.logs.conftest import Logged

SECRET = "홍길동-4711"
ACCESS = '%s - "%s %s HTTP/%s" %d'
NAMES = ["uvicorn.access", "uvicorn.error", "gunicorn.error"]


@pytest.fixture
def say(logged: Logged) -> Callable[..., str]:
    """The body that leaves of what a logger says."""

    def body(name: str, message: str, *args: Any) -> str:
        record = logging.LogRecord(name, logging.INFO, __file__, 1, message, args, None)
        for handler in logged.handlers:
            handler.handle(record)
        assert SECRET not in logged.text
        line: str = logged.body()
        return line

    return body


@pytest.mark.parametrize(
    ("name", "message", "args", "body"),
    [
        (
            "uvicorn.access",
            ACCESS,
            ("10.0.0.7:5555", "POST", f"/patients/{SECRET}?q=1", "1.1", 201),
            '[redacted] - "POST [redacted] HTTP/1.1" 201',
        ),
        (
            "uvicorn.access",
            ACCESS,
            ("10.0.0.7:5555", SECRET, "/", SECRET, 4711),
            '[redacted] - "[redacted] [redacted] HTTP/[redacted]" [redacted]',
        ),
        (
            "uvicorn.access",
            ACCESS,
            ("10.0.0.7:5555", "get", "/", 1.1, True),
            '[redacted] - "[redacted] [redacted] HTTP/[redacted]" [redacted]',
        ),
        (
            "service",
            ACCESS,
            ("10.0.0.7:5555", "POST", "/", "1.1", 201),
            '[redacted] - "[redacted] [redacted] HTTP/[redacted]" [redacted]',
        ),
        (
            "uvicorn.error",
            '%s - "WebSocket %s" %d',
            ("10.0.0.7:5555", "/", 403),
            '[redacted] - "WebSocket [redacted]" 403',
        ),
        ("uvicorn.error", "Started server process [%d]", (71,), "Started server process [71]"),
        ("uvicorn.error", "Finished server process [%d]", (71,), "Finished server process [71]"),
        ("uvicorn.error", "Finished server process [%d]", (SECRET,), "Finished server process [[redacted]]"),
        ("uvicorn.error", "Finished server process [%d]", (10**9,), "Finished server process [[redacted]]"),
        ("gunicorn.error", "Booting worker with pid: %s", (71,), "Booting worker with pid: 71"),
        ("gunicorn.error", "Worker exiting (pid: %s)", (71,), "Worker exiting (pid: 71)"),
        ("gunicorn.error", "Worker (pid:%s) was sent %s!", (71, "SIGTERM"), "Worker (pid:71) was sent SIGTERM!"),
        ("gunicorn.error", "Worker (pid:%s) was sent %s!", ("71", SECRET), "Worker (pid:[redacted]) was sent [redacted]!"),
        ("gunicorn.error", "Worker (pid:%s) was sent %s!", (71,), "Worker (pid:[redacted]) was sent [redacted]!"),
    ],
)  # fmt: skip
def test_what_holds_no_data_by_its_shape_leaves(
    name: str, message: str, args: tuple[Any, ...], body: str, say: Callable[..., str]
) -> None:
    assert say(name, message, *args) == body


def test_a_message_that_gunicorn_puts_together_of_two_literals_leaves_too(say: Callable[..., str]) -> None:
    message = "Worker (pid:%s) was sent %s!"
    message += " Perhaps out of memory?"
    assert say("gunicorn.error", message, 71, "SIGKILL") == "Worker (pid:71) was sent SIGKILL! Perhaps out of memory?"


def test_only_what_was_taken_away_is_counted(say: Callable[..., str], counted: Callable[[str], int]) -> None:
    say("uvicorn.access", ACCESS, "10.0.0.7:5555", "POST", "/", "1.1", 201)
    assert counted("log_argument") == 2


def test_arguments_leave_where_they_were_asked_for(say: Callable[..., str], rules: Callable[..., None]) -> None:
    rules("log_arguments")
    body = say("uvicorn.access", ACCESS, "10.0.0.7:5555", "POST", "/answers", "1.1", 201)
    assert body == '10.0.0.7:5555 - "POST /answers HTTP/1.1" 201'


@given(
    name=st.sampled_from(NAMES),
    message=st.sampled_from(
        [ACCESS, "Started server process [%d]", "Worker (pid:%s) was sent %s!", "Booting worker with pid: %s"]
    ),
    args=st.lists(
        st.sampled_from([SECRET, SECRET.encode(), [SECRET], {SECRET: 1}, 47114711, 47114711.0]), min_size=1, max_size=6
    ),
)
def test_no_argument_of_another_shape_leaves(name: str, message: str, args: list[Any]) -> None:
    body = body_of(message, tuple(args), __file__, Rules(), lambda: None, name)
    assert SECRET not in body
    assert "4711" not in body
