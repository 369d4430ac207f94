"""What a log line says besides its message: fields, the context around it, an exception's places."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.context import attach, detach, get_current, set_value
from opentelemetry.sdk.trace import TracerProvider

import otelext
from otelext import semconv
from otelext.capture.context import REQUEST_KEY
from otelext.capture.request import Request
from otelext.logs.entry import entry_of
from otelext.logs.lines import JsonLines
from otelext.processors.redaction.rules import PROCESS, Rules
from otelext.testing import capture
from tests.logs.test_message import Hostile

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.logs.conftest import Logged

SECRET = "홍길동-4711"


class ReadingError(Exception):
    """Of the service."""


def fail(patient: str) -> None:
    try:
        raise KeyError(patient)
    except KeyError as error:
        raise ReadingError(f"no page of {patient}") from error


def test_fields_leave_under_names_that_may(logged: Logged, counted: Callable[[str], int]) -> None:
    del logged.logger.handlers[2]
    extra = {
        "vlm.stage": "prefill",
        "vlm.input.pages": 3,
        "gen_ai.request.model": {"secret": SECRET},
        "patient": SECRET,
        SECRET: 1,
        "nested": {"deep": [SECRET, {"deeper": SECRET}]},
        "hostile": Hostile(),
        "image": SECRET.encode(),
    }
    logged.logger.info("fields", extra=extra)
    (line,), (record,) = logged.lines, logged.records
    left = {"vlm.stage": "prefill", "vlm.input.pages": 3, "gen_ai.request.model": "[redacted]"}
    assert dict(record.attributes) == left
    assert {key: line[key] for key in left} == left
    assert SECRET not in logged.text
    assert counted(semconv.REDACTED_LOG_ATTRIBUTE) == 6


@pytest.mark.parametrize("created", [None, float("nan"), float("inf"), "today"])
def test_a_record_without_a_moment_is_of_now(logged: Logged, created: Any) -> None:
    before = time.time_ns()
    logged.logger.handle(logging.makeLogRecord({"levelno": logging.INFO, "msg": "x", "created": created}))
    assert before <= logged.records[0].timestamp <= time.time_ns()
    assert len(logged.lines) == 1


def test_ids_are_those_of_the_current_span(logged: Logged) -> None:
    with TracerProvider(shutdown_on_exit=False).get_tracer("test").start_as_current_span("span") as span:
        logged.logger.info("inside")
    logged.logger.info("outside")
    context = span.get_span_context()
    (inside, outside), (line, bare) = logged.records, logged.lines
    assert (inside.trace_id, inside.span_id) == (context.trace_id, context.span_id)
    assert line["trace_id"] == trace.format_trace_id(context.trace_id)
    assert line["span_id"] == trace.format_span_id(context.span_id)
    assert int(line["trace_flags"], 16) == context.trace_flags
    assert not outside.span_id
    assert not {"trace_id", "span_id", "trace_flags"} & bare.keys()


def test_a_line_names_the_request_the_model_and_the_stage_around_it(logged: Logged) -> None:
    token = attach(set_value(REQUEST_KEY, Request(0, "0123456789abcdef"), get_current()))
    try:
        with capture(), otelext.inference("chat", model="reader-7b"):
            logged.logger.info("inference")
            with otelext.stage("decode"):
                logged.logger.info("stage")
            logged.logger.info("after the stage")
        logged.logger.info("after the inference")
    finally:
        detach(token)
    found = [
        tuple(line.get(key) for key in (semconv.REQUEST_ID, semconv.REQUEST_MODEL, semconv.STAGE))
        for line in logged.lines
    ]
    assert found == [
        ("0123456789abcdef", "reader-7b", None),
        ("0123456789abcdef", "reader-7b", "decode"),
        ("0123456789abcdef", "reader-7b", None),
        ("0123456789abcdef", None, None),
    ]
    assert [dict(record.attributes or {}) for record in logged.records] == [
        {key: line[key] for key in (semconv.REQUEST_ID, semconv.REQUEST_MODEL, semconv.STAGE) if key in line}
        for line in logged.lines
    ]


def test_a_user_is_hashed_once_and_alike_in_both_ways(logged: Logged, rules: Callable[..., None]) -> None:
    extra = {semconv.USER_ID: SECRET, semconv.TENANT_ID: "elsewhere", semconv.REQUEST_ID: SECRET}
    logged.logger.info("without a key", extra=extra)
    rules(hash_key=b"key", tenants=frozenset({"here"}))
    logged.logger.info("with one", extra=extra)
    digest = hmac.new(b"key", SECRET.encode(), hashlib.sha256).hexdigest()
    for found in (logged.lines, [dict(record.attributes) for record in logged.records]):
        without, hashed = ({key: one[key] for key in extra if key in one} for one in found)
        assert without == {semconv.TENANT_ID: "other"}
        assert hashed == {semconv.TENANT_ID: "other", semconv.USER_ID: digest}


def log_failure(logger: logging.Logger) -> None:
    try:
        fail(SECRET)
    except ReadingError:
        logger.exception("reading failed", stack_info=True)


def test_an_exception_leaves_its_type_and_its_places(logged: Logged) -> None:
    log_failure(logged.logger)
    (line,), (record,) = logged.lines, logged.records
    assert line["exception.type"].endswith("ReadingError")
    assert record.attributes["exception.type"] == line["exception.type"]
    assert record.attributes["exception.stacktrace"] == line["exception.stacktrace"]
    places = line["exception.stacktrace"].splitlines()
    of_types = ["KeyError:", f"{__name__}.ReadingError:"]
    assert [place.rpartition(" in ")[2] for place in places] == [
        of_types[0],
        "fail",
        of_types[1],
        "log_failure",
        "fail",
    ]
    assert all("test_entry.py" in place for place in places if place not in of_types)
    assert "exception.message" not in line
    assert SECRET not in logged.text


def test_each_opt_out_of_exceptions_shows_what_it_names(logged: Logged, rules: Callable[..., None]) -> None:
    rules("exception_messages")
    log_failure(logged.logger)
    rules("exception_stacktraces")
    log_failure(logged.logger)
    for message, stacktrace in (logged.lines, [record.attributes for record in logged.records]):
        assert message["exception.message"] == f"no page of {SECRET}"
        assert SECRET not in message["exception.stacktrace"]
        assert "exception.message" not in stacktrace
        assert f"no page of {SECRET}" in stacktrace["exception.stacktrace"]


class HostileError(Exception):
    """Can't be shown."""

    def __str__(self) -> str:
        raise ValueError(SECRET)


def test_an_exception_that_can_not_be_shown_leaves_its_type(logged: Logged, rules: Callable[..., None]) -> None:
    rules("exception_messages")
    logged.logger.error("failed", exc_info=HostileError(SECRET))
    (line,) = logged.lines
    assert line["exception.type"].endswith("HostileError")
    assert SECRET not in logged.text


def test_no_exception_is_none(logged: Logged) -> None:
    logged.logger.exception("nothing is being handled")  # noqa: LOG004  # a mistake that people make
    assert "exception.type" not in logged.lines[0]


@pytest.mark.parametrize("field", semconv.EVENT_NAME_FIELDS)
def test_an_event_is_named_by_a_field(logged: Logged, field: str) -> None:
    logged.logger.info("one", extra={field: "page.read"})
    logged.logger.info("two", extra={field: f"page.{SECRET}"})
    assert [line["event"] for line in logged.lines] == ["page.read", "[redacted]"]
    assert [record.event_name for record in logged.records] == ["page.read", "[redacted]"]
    assert not any(field in line for line in logged.lines)


@pytest.mark.parametrize(
    ("name", "left"),
    [
        (__name__, __name__),
        ("logging.Logger", "logging.Logger"),
        ("a name in this file", "a name in this file"),
        (f"session.{SECRET}", "[redacted]"),
        (f"logging.{SECRET}", "[redacted]"),
    ],
)
def test_a_loggers_name_leaves_if_it_is_written_in_the_program(logged: Logged, name: str, left: str) -> None:
    logged.logger.name = name
    logged.logger.info("named")
    assert logged.lines[0]["logger"] == left


@pytest.mark.parametrize(
    ("level", "text", "number"),
    [
        (1, "TRACE", 1),
        (10, "DEBUG", 5),
        (20, "INFO", 9),
        (25, "INFO", 12),
        (30, "WARN", 13),
        (40, "ERROR", 17),
        (50, "FATAL", 21),
        (51, "FATAL", 22),
        (1000, "FATAL", 24),
    ],
)
def test_severities_are_opentelemetrys(logged: Logged, level: int, text: str, number: int) -> None:
    logged.logger.setLevel(1)
    logging.addLevelName(25, SECRET)
    logged.logger.log(level, "a line")
    (record,), (line,) = logged.records, logged.lines
    assert (record.severity_text, record.severity_number.value) == (text, number)
    assert line["severity"] == text
    assert SECRET not in logged.text


def test_code_attributes_are_added_where_they_are_asked_for(logged: Logged) -> None:
    logged.handlers[0]._log_code_attributes = True
    logged.logger.info("from here")
    attributes = logged.records[0].attributes
    assert attributes["code.file.path"] == "tests/logs/test_entry.py"
    assert attributes["code.function.name"] == "test_code_attributes_are_added_where_they_are_asked_for"
    assert isinstance(attributes["code.line.number"], int)


def test_handlers_of_one_record_share_its_entry(logged: Logged) -> None:
    made: list[Any] = []
    for handler in logged.handlers[1:]:
        handler.form = made.append
        handler.sink.write = lambda _: None
    logged.logger.info("one")
    logged.logger.info("two")
    assert len(made) == 4
    assert made[0] is made[1]
    assert made[2] is made[3]
    assert made[0] is not made[2]


VALUES: Any = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.builds(Hostile)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)
NAMES = st.one_of(
    st.text(), st.sampled_from(["vlm.stage", "request.id", "user.id", "tenant.id", "exception.message", "event.name"])
)


@given(fields=st.dictionaries(NAMES, VALUES, max_size=6), opened=st.booleans())
def test_whatever_is_logged_becomes_one_line_of_json(fields: dict[str, Any], opened: bool) -> None:
    before = PROCESS.rules
    PROCESS.rules = Rules(
        capture=frozenset({"log_attributes"}) if opened else frozenset(), allow=frozenset({"vlm.stage"})
    )
    try:
        record = logging.makeLogRecord({"msg": "m", "levelno": 20, "created": 1.5, "pathname": "x"})
        record.__dict__.update({k: v for k, v in fields.items() if k not in record.__dict__})
        line = JsonLines(dict)(entry_of(record))
    finally:
        PROCESS.rules = before
    assert "\n" not in line
    found = json.loads(line.encode("utf-8", "backslashreplace"), parse_constant=pytest.fail)
    assert found["severity"] == "INFO"


@given(
    value=st.recursive(
        st.just(SECRET),
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3),
            st.dictionaries(st.one_of(st.just(SECRET), st.text()), inner, min_size=1, max_size=3),
            inner.map(lambda v: (v,)),
        ),
    )
)
def test_no_field_lets_out_what_it_holds(value: Any) -> None:
    record = logging.makeLogRecord({"msg": "m", "patient": value, "vlm.stage": {"deep": value}, SECRET: value})
    assert SECRET not in JsonLines(dict)(entry_of(record))
