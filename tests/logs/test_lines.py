"""JSON lines, and lines for people."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext import semconv
from otelext.constant import Constant
from otelext.logs.console import console_line
from otelext.logs.entry import Entry, entry_of
from otelext.logs.lines import Clock, JsonLines
from otelext.logs.sinks import LinesHandler, StandardError
from tests.logs.conftest import RESOURCE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.logs.conftest import Logged


def entry(**attributes: Any) -> Entry:
    found = Entry(1_772_357_400_000_125_999, logging.WARNING, "reader")
    found.body = Constant("페이지 [redacted]")
    found.attributes = attributes
    return found


def test_a_line_has_its_keys_in_the_catalogues_order() -> None:
    one = entry(**{"vlm.stage": "decode", "vlm.input.pages": 3})
    one.event = "page.read"
    one.trace_id, one.span_id, one.trace_flags = 0xABC, 0xDEF, 1
    assert JsonLines(lambda: RESOURCE)(one) == (
        '{"timestamp":"2026-03-01T09:30:00.000125Z","severity":"WARN","logger":"reader","event":"page.read",'
        '"body":"페이지 [redacted]","trace_id":"00000000000000000000000000000abc","span_id":"0000000000000def",'
        '"trace_flags":"01","vlm.stage":"decode","vlm.input.pages":3,"service.name":"reader","service.version":"1.2"}'
    )
    keys = list(json.loads(JsonLines(lambda: RESOURCE)(one)))
    assert keys[: len(semconv.LOG_KEYS)] == list(semconv.LOG_KEYS)


def test_an_attribute_never_takes_a_keys_place() -> None:
    found = json.loads(JsonLines(lambda: RESOURCE)(entry(body="another", logger="another", **{"service.name": "x"})))
    assert (found["body"], found["logger"], found["service.name"]) == ("페이지 [redacted]", "reader", "reader")


def test_the_resource_is_the_present_one() -> None:
    resources = [{semconv.SERVICE_INSTANCE_ID: "parent"}, {semconv.SERVICE_INSTANCE_ID: "child"}]
    lines = JsonLines(lambda: resources[0])
    assert json.loads(lines(entry()))[semconv.SERVICE_INSTANCE_ID] == "parent"
    del resources[0]
    assert json.loads(lines(entry()))[semconv.SERVICE_INSTANCE_ID] == "child"


@given(st.integers(0, 4_000_000_000), st.integers(0, 999_999_999))
def test_a_moment_is_written_as_rfc_3339_has_it(second: int, rest: int) -> None:
    from datetime import datetime, timezone

    moment = datetime.fromtimestamp(second, timezone.utc).replace(microsecond=rest // 1000)
    assert Clock()(second * 10**9 + rest) == moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


class Stream(io.TextIOWrapper):
    """Standard error as a program has it, or a terminal."""

    def __init__(self, encoding: str, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(), encoding)
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def text(self) -> str:
        return self.buffer.getvalue().decode()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_lines_go_to_standard_error_whole_whatever_its_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Stream(encoding)
    monkeypatch.setattr(sys, "stderr", stream)
    handler = LinesHandler(JsonLines(dict), StandardError())
    handler.publish(entry(**{"vlm.stage": "a\nb\x00\udc80😀"}))
    (line,) = stream.text().splitlines()
    assert json.loads(line)["vlm.stage"] == "a\nb\x00\udc80😀"
    assert "페이지" in line


@pytest.mark.parametrize("broken", [None, io.StringIO()])
def test_a_closed_standard_error_raises_nothing(broken: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if broken is not None:
        broken.close()
    monkeypatch.setattr(sys, "stderr", broken)
    handler = LinesHandler(JsonLines(dict), StandardError())
    handler.publish(entry())
    handler.handle(logging.makeLogRecord({"msg": "m"}))


def test_a_line_for_people_is_coloured_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setattr(sys, "stderr", Stream("utf-8", terminal=True))
    assert "\x1b[33mWARN \x1b[0m" in console_line(entry())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in console_line(entry())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setattr(sys, "stderr", Stream("utf-8"))
    assert "\x1b" not in console_line(entry())


def test_a_line_for_people_says_who_what_and_where(logged: Logged) -> None:
    logged.logger.name = __name__
    try:
        raise ValueError("secret")
    except ValueError:
        logged.logger.exception("reading %s failed", "secret", extra={"vlm.stage": "decode", "patient": "secret"})
    first, *frames = logged.console[0].splitlines()
    said = "reading [redacted] failed vlm.stage=decode exception.type=ValueError"
    assert first.endswith(f"ERROR {__name__}: {said}")
    assert [frame.startswith('    File "tests/logs/test_lines.py"') for frame in frames] == [True]


def test_nothing_in_a_line_steers_the_terminal(rules: Callable[..., None]) -> None:
    rules("log_messages")
    escape = logging.makeLogRecord({"msg": "a\x1b[2Jb\nc", "vlm.stage": "\x1b]0;title\x07"})
    line = console_line(entry_of(escape))
    assert line.isprintable()
    assert "a\\x1b[2Jb\\nc" in line


def test_a_line_does_not_go_through_what_makes_log_records_of_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Proxy:
        """As Celery's: neither a file nor anything above one."""

        def write(self, text: str) -> int:
            raise AssertionError(text)

    stream = Stream("utf-8")
    monkeypatch.setattr(sys, "__stderr__", stream)
    monkeypatch.setattr(sys, "stderr", Proxy())
    LinesHandler(JsonLines(dict), StandardError()).publish(entry())
    LinesHandler(console_line, StandardError()).publish(entry())
    assert len(stream.text().splitlines()) == 2
