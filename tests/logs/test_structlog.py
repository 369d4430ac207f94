"""Events of structlog leave as log records do, through one processor."""

# How people write messages is under test.
# ruff: noqa: G003, G004

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider

from otelext import semconv
from otelext.logs.install import INSTALLED
from otelext.logs.structlog import StructlogProcessor
from tests.logs.test_message import Hostile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.logs.conftest import Logged

SECRET = "홍길동-4711"


@pytest.fixture
def events(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> Iterator[Logged]:
    """What left of structlog's events."""
    monkeypatch.setattr(INSTALLED, "handlers", logged.handlers)
    monkeypatch.setattr(INSTALLED, "done", True)
    structlog.contextvars.clear_contextvars()
    yield logged
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def configured(*processors: Any, **more: Any) -> Any:
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, *processors], **more)
    return structlog.get_logger()


def test_an_event_leaves_if_it_is_a_literal_of_who_logs(events: Logged) -> None:
    log = configured(StructlogProcessor())
    log.info("a literal")
    log.info(f"patient {SECRET}")
    log.info("patient " + SECRET)
    log.info("환자")
    log.info(Hostile())
    assert [line["body"] for line in events.lines] == ["a literal", "[redacted]", "[redacted]", "환자", "[redacted]"]
    assert [record.body for record in events.records] == [line["body"] for line in events.lines]
    assert {line["logger"] for line in events.lines} == {__name__}
    assert SECRET not in events.text


def test_a_logger_has_its_name_where_structlog_keeps_it(events: Logged) -> None:
    processors: list[Any] = [structlog.contextvars.merge_contextvars, StructlogProcessor()]
    structlog.configure(processors=processors, logger_factory=structlog.stdlib.LoggerFactory())
    structlog.get_logger("claims").warning("named by the standard library's factory")
    structlog.get_logger(f"patient-{SECRET}").warning("named by data")
    structlog.configure(processors=processors, logger_factory=structlog.PrintLoggerFactory())
    structlog.get_logger("claims").warning("structlog's own factory keeps no name")
    structlog.get_logger().bind(logger="claims").warning("named by a field")
    assert [line["logger"] for line in events.lines] == ["claims", "[redacted]", __name__, "claims"]
    assert SECRET not in events.text


def test_arguments_are_redacted_where_they_are_still_apart(events: Logged) -> None:
    log = configured(StructlogProcessor(), wrapper_class=structlog.stdlib.BoundLogger)
    log.info("patient %s", SECRET)
    log.info("%(name)s in %(vlm.stage)s", {"name": SECRET, "vlm.stage": "decode"})
    assert [line["body"] for line in events.lines] == ["patient [redacted]", "[redacted] in decode"]


def test_fields_leave_under_names_that_may_wherever_they_were_bound(events: Logged) -> None:
    log = configured(structlog.processors.TimeStamper(), structlog.stdlib.add_log_level, StructlogProcessor())
    structlog.contextvars.bind_contextvars(**{"vlm.document_type": "receipt", "patient": SECRET})
    log.bind(**{"vlm.stage": "decode", "ward": SECRET}).warning("a line", hostile=Hostile(), image=b"4711")
    (line,), (record,) = events.lines, events.records
    left = {"vlm.document_type": "receipt", "vlm.stage": "decode"}
    assert dict(record.attributes) == left
    assert {key: line[key] for key in line if key.startswith("vlm.")} == left
    assert line["severity"] == "WARN"
    assert not {"patient", "ward", "level", "hostile", "image"} & line.keys()
    assert SECRET not in events.text


def test_an_event_carries_the_ids_of_the_current_span(events: Logged) -> None:
    log = configured(StructlogProcessor())
    with TracerProvider(shutdown_on_exit=False).get_tracer("test").start_as_current_span("span") as span:
        log.info("inside")
    assert int(events.lines[0]["trace_id"], 16) == events.records[0].trace_id == span.get_span_context().trace_id


@pytest.mark.parametrize("formatted", [False, True])
def test_an_exception_leaves_its_places(events: Logged, formatted: bool) -> None:
    log = configured(*([structlog.processors.format_exc_info] if formatted else []), StructlogProcessor())
    try:
        raise ValueError(SECRET)
    except ValueError:
        log.exception("failed")
    (line,) = events.lines
    assert line["severity"] == "ERROR"
    assert line.get("exception.type") == (None if formatted else "ValueError")
    assert line["exception.stacktrace"].startswith('File "tests/logs/test_structlog.py", line ')
    assert SECRET not in events.text


@pytest.mark.parametrize(
    ("method", "severity"),
    [("debug", "DEBUG"), ("info", "INFO"), ("warn", "WARN"), ("warning", "WARN"), ("critical", "FATAL")],
)
def test_methods_are_levels(events: Logged, method: str, severity: str) -> None:
    getattr(configured(StructlogProcessor()), method)("a line")
    assert events.lines[0]["severity"] == severity


async def test_an_asynchronous_event_knows_who_logs(events: Logged) -> None:
    log = configured(StructlogProcessor())
    await log.ainfo("a literal")
    await log.ainfo(f"patient {SECRET}")
    assert [(line["body"], line["logger"]) for line in events.lines] == [
        ("a literal", __name__),
        ("[redacted]", __name__),
    ]


def test_in_the_middle_it_passes_an_event_on_unchanged(events: Logged) -> None:
    seen = []

    def last(_: Any, __: str, event: Any) -> Any:
        seen.append(dict(event))
        raise structlog.DropEvent

    configured(StructlogProcessor(drop=False), last).info("a literal", patient=SECRET)
    assert seen == [{"event": "a literal", "patient": SECRET}]
    assert [line["body"] for line in events.lines] == ["a literal"]


def test_in_the_middle_the_record_that_an_event_becomes_is_not_taken_again(events: Logged) -> None:
    log = configured(
        StructlogProcessor(drop=False),
        structlog.processors.JSONRenderer(),
        logger_factory=lambda *_: events.logger,
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    for _ in range(2):
        log.info("an event")
    events.logger.info("a record")
    log.debug("filtered by nobody")
    events.logger.info("another record")
    assert [line["body"] for line in events.lines] == [
        *["an event"] * 2,
        "a record",
        "filtered by nobody",
        "another record",
    ]
    for lets in INSTALLED._filters:
        assert all(lets in handler.filters for handler in events.handlers)


def test_records_of_the_standard_library_that_structlog_renders_are_taken_once(events: Logged) -> None:
    handler = logging.StreamHandler(open("/dev/null", "w"))  # noqa: SIM115, PTH123
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processor=structlog.processors.JSONRenderer(), foreign_pre_chain=[StructlogProcessor(drop=False)]
        )
    )
    events.logger.addHandler(handler)
    events.logger.info("a record of %s", SECRET)
    handler.stream.close()
    assert [line["body"] for line in events.lines] == ["a record of [redacted]"]


def test_a_hostile_event_raises_nothing(events: Logged) -> None:
    class Odd(dict[str, Any]):
        def get(self, *_: Any) -> Any:
            raise RuntimeError(SECRET)

    processor = StructlogProcessor()
    for event in ({}, Odd(), {"event": Hostile(), "exc_info": (1, 2), "level": Hostile(), "logger": Hostile()}):
        with pytest.raises(structlog.DropEvent):
            processor(None, "info", event)
    assert semconv.LOG_BODY in events.lines[0]
    assert SECRET not in events.text


def test_without_otelext_configured_events_still_reach_standard_error() -> None:
    code = """
import structlog
from otelext.logs.structlog import StructlogProcessor
structlog.configure(processors=[StructlogProcessor()])
structlog.get_logger().info("a literal", patient="Ann")
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert '"body":"a literal"' in found.stderr
    assert "Ann" not in found.stderr
