"""One line an inference, with the figures of its span, in the trace of its span, however the inference ended."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage, trace
from opentelemetry._logs import SeverityNumber, set_logger_provider
from opentelemetry._logs import _internal as logs_globals
from opentelemetry.context import attach, detach
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import (
    InMemoryLogRecordExporter,
    LogRecordExporter,
    LogRecordExportResult,
    SimpleLogRecordProcessor,
)
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.util._once import Once

import otelext
from otelext import facts, semconv
from otelext.asgi import OtelextMiddleware
from otelext.capture.outcome import type_name
from otelext.logs import inference as canonical
from otelext.logs.install import INSTALLED
from otelext.logs.levels import levels_of
from otelext.processors.redaction.exporters import RedactingLogRecordExporter
from otelext.testing import capture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping
    from pathlib import Path

    from opentelemetry.sdk._logs import ReadableLogRecord

    from otelext.logs.entry import Entry
    from otelext.testing import Captured

SECOND = 1_000_000_000


class StartListener(SpanProcessor):
    """Looks at the start of each span, so that ordinary SDK spans have to be made."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Nothing: that the hook is there is what counts."""


class Clock:
    """Nanoseconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = SECOND

    def __call__(self) -> int:
        return self.now


class Written:
    """What was written: log records by the provider, lines by the log room."""

    def __init__(self) -> None:
        self.exporter = InMemoryLogRecordExporter()
        self.lines: list[Entry] = []
        self.clock = Clock()

    def records(self, event: str = semconv.INFERENCE_EVENT) -> list[ReadableLogRecord]:
        assert otelext.force_flush(10)
        found = [record for record in self.exporter.get_finished_logs() if record.log_record.event_name == event]
        assert [dict(record.log_record.attributes or {}) for record in found] == [
            dict(line.attributes) for line in self.lines if line.event == event
        ]
        return found

    def attributes(self, event: str = semconv.INFERENCE_EVENT) -> list[Mapping[str, Any]]:
        return [record.log_record.attributes or {} for record in self.records(event)]

    def told(self) -> Any:
        events = (semconv.INFERENCE_EVENT, semconv.LINES_LEFT_OUT_EVENT)
        return sum(found.get(semconv.LINES_LEFT_OUT, 0) for event in events for found in self.attributes(event))


def install(written: Written, *, per_second: float = 1000) -> None:
    canonical.install(per_second=per_second, write=written.lines.append, clock=written.clock)


def set_logs(monkeypatch: pytest.MonkeyPatch, provider: LoggerProvider | None) -> None:
    monkeypatch.setattr(logs_globals, "_LOGGER_PROVIDER", None)
    monkeypatch.setattr(logs_globals, "_LOGGER_PROVIDER_SET_ONCE", Once())
    if provider is not None:
        set_logger_provider(provider)


def provider_of(exporter: LogRecordExporter) -> LoggerProvider:
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    return provider


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[Written]:
    found = Written()
    set_logs(monkeypatch, provider_of(found.exporter))
    install(found)
    yield found
    canonical.uninstall()


@pytest.fixture(params=["light", "sdk"])
def captured(request: pytest.FixtureRequest, written: Written) -> Iterator[Captured]:
    with capture(span_processors=[StartListener()] if request.param == "sdk" else []) as found:
        yield found


@otelext.inference("chat", model="m", provider="acme", model_version="lora-1")
def answer() -> Iterator[str]:
    inf = otelext.current_inference()
    inf.set_input(images=2, pages=3, image_tokens=100)
    inf.set_document(type="receipt", width=1240, height=1754, fields=12)
    with otelext.stage("queue"):
        pass
    with otelext.stage("prefill"), otelext.stage("nested"):
        pass
    with otelext.stage("my_own"):
        pass
    with otelext.stage("my_other"):
        pass
    yield "first"
    yield "second"
    inf.set_usage(input_tokens=120, output_tokens=2)
    inf.set_cost(0.01)
    for field, correct in (("amount", False), ("date", True), ("kcd_code", False), ("amount", False)):
        facts.critical_field(field, correct)


def test_a_line_says_what_the_span_says_and_more(captured: Captured, written: Written) -> None:
    assert list(answer()) == ["first", "second"]
    (record,) = written.records()
    found: dict[str, Any] = dict(record.log_record.attributes or {})
    (span,) = captured.spans("chat m")
    assert {key: value for key, value in found.items() if key in (span.attributes or {})} == span.attributes
    (inference,) = captured.inferences()
    breakdown = inference.breakdown
    assert breakdown is not None
    own = {key: value for key, value in found.items() if key not in (span.attributes or {})}
    assert own == {
        semconv.DURATION: pytest.approx(((span.end_time or 0) - (span.start_time or 0)) / 1e9),
        semconv.TIME_IN_QUEUE: breakdown["queue"],
        semconv.STAGE_TIMES["queue"]: breakdown["queue"],
        semconv.STAGE_TIMES["prefill"]: breakdown["prefill"],
        semconv.STAGE_TIMES["unattributed"]: found[semconv.UNATTRIBUTED],
        semconv.STAGE_TIMES["other"]: pytest.approx(breakdown["my_own"] + breakdown["my_other"]),
        semconv.CRITICAL_FIELD_MISMATCHES: ("amount", "kcd_code"),
    }
    stages = sum(value for key, value in found.items() if key in semconv.STAGE_TIMES.values())
    assert stages == pytest.approx(found[semconv.TIME_TO_FIRST_TOKEN])
    assert found[semconv.DOCUMENT_TYPE] == "receipt"
    assert [found[key] for key in (semconv.INPUT_PAGES, semconv.INPUT_WIDTH, semconv.INPUT_HEIGHT)] == [3, 1240, 1754]
    assert found[semconv.FIELD_COUNT] == 12


def test_a_line_agrees_with_the_metrics(captured: Captured, written: Written) -> None:
    list(answer())
    (found,) = written.attributes()
    points = captured.metrics()
    for metric, key in (
        (semconv.REQUEST_DURATION, semconv.DURATION),
        (semconv.TTFT, semconv.TIME_TO_FIRST_TOKEN),
        (semconv.TPOT, semconv.TIME_PER_OUTPUT_TOKEN),
        (semconv.CONSUMER_WAIT_TIME, semconv.CONSUMER_WAIT),
    ):
        (point,) = points[metric.name]
        assert found[key] == pytest.approx(point.sum)
    for point in points[semconv.TTFT_STAGE_TIME.name]:
        known = semconv.STAGE_TIMES.get(point.attributes[semconv.STAGE])
        assert known is None or found[known] == pytest.approx(point.value)
    (queued,) = (p for p in points[semconv.STAGE_DURATION.name] if p.attributes[semconv.STAGE] == "queue")
    assert found[semconv.TIME_IN_QUEUE] == pytest.approx(queued.sum)


def test_a_line_stands_in_the_trace_of_its_inference(captured: Captured, written: Written) -> None:
    with trace.get_tracer("user").start_as_current_span("request"):
        list(answer())
    (record,) = written.records()
    (span,) = captured.spans("chat m")
    assert span.context is not None
    entry = record.log_record
    assert (entry.trace_id, entry.span_id) == (span.context.trace_id, span.context.span_id)
    assert entry.trace_flags == span.context.trace_flags
    assert entry.timestamp == span.end_time
    assert (entry.body, entry.severity_text, entry.severity_number) == ("inference ended", "INFO", SeverityNumber.INFO)
    (line,) = written.lines
    assert (line.trace_id, line.span_id, line.trace_flags) == (entry.trace_id, entry.span_id, int(entry.trace_flags))
    assert (line.time_ns, line.body, line.severity_text) == (entry.timestamp, entry.body, entry.severity_text)
    assert line.logger == semconv.SCOPE_NAME
    assert len(entry.context or {}) == 1  # the request's own values are not kept alive


def test_an_inference_that_is_not_sampled_has_a_line_with_its_own_ids(written: Written) -> None:
    with capture(sampler=ALWAYS_OFF), otelext.inference("chat", model="m"):
        own = trace.get_current_span().get_span_context()
    (record,) = written.records()
    assert record.log_record.trace_id == own.trace_id != 0
    assert record.log_record.span_id == own.span_id
    assert record.log_record.trace_flags == own.trace_flags
    assert not own.trace_flags.sampled


def test_a_line_carries_the_baggage_of_its_inference_and_says_what_leaves_of_it(written: Written) -> None:
    context = baggage.set_baggage("tenant.id", "somebody", baggage.set_baggage("user.id", "kim"))
    token = attach(context)
    try:
        with capture(), otelext.inference("chat", model="m"):
            pass
    finally:
        detach(token)
    assert otelext.force_flush(10)
    (record,), (line,) = written.exporter.get_finished_logs(), written.lines
    # The exporter's wrapper looks at the values of log records, which are still what they are.
    assert {**(record.log_record.attributes or {})}.items() >= {"tenant.id": "somebody", "user.id": "kim"}.items()
    assert line.attributes["tenant.id"] == "other"
    assert "user.id" not in line.attributes


@pytest.mark.parametrize(
    ("levels", "outcomes"),
    [
        ("", ["completed", "error"]),
        ("info", ["completed", "error"]),
        ("warning", ["error"]),
        ("critical", []),
        ("warning,otelext=info", ["completed", "error"]),
        ("info,otelext=error", ["error"]),
        ("uvicorn.access=error", ["completed", "error"]),
    ],
)
def test_lines_below_the_level_that_was_asked_for_are_not_written(
    captured: Captured, written: Written, monkeypatch: pytest.MonkeyPatch, levels: str, outcomes: list[str]
) -> None:
    monkeypatch.setattr(INSTALLED, "levels", levels_of(levels, "OTELEXT_LOG_LEVEL"))
    end()
    end("error")
    assert [found[semconv.OUTCOME] for found in written.attributes()] == outcomes
    assert written.told() == 0


def test_nested_inferences_have_a_line_each(captured: Captured, written: Written) -> None:
    with otelext.inference("chat", model="outer"):
        facts.critical_field("amount", correct=False)
        with otelext.inference("rerank", model="inner"):
            facts.critical_field("date", correct=False)
    inner, outer = written.records()
    assert (inner.log_record.attributes or {})[semconv.CRITICAL_FIELD_MISMATCHES] == ("date",)
    assert (outer.log_record.attributes or {})[semconv.CRITICAL_FIELD_MISMATCHES] == ("amount",)
    assert inner.log_record.trace_id == outer.log_record.trace_id
    assert inner.log_record.span_id != outer.log_record.span_id


class EngineTimeout(Exception):  # as libraries name theirs
    """What ends in Timeout."""


@pytest.mark.parametrize(
    ("raised", "outcome", "severity"),
    [
        (ValueError("secret"), "error", "ERROR"),
        (EngineTimeout("secret"), "timeout", "ERROR"),
        (asyncio.CancelledError("secret"), "cancelled", "INFO"),
    ],
)
def test_errors_and_timeouts_are_errors_and_other_outcomes_are_not(
    captured: Captured, written: Written, raised: BaseException, outcome: str, severity: str
) -> None:
    with pytest.raises(type(raised)), otelext.inference("chat", model="m"):
        raise raised
    (record,) = written.records()
    found = record.log_record.attributes or {}
    assert found[semconv.OUTCOME] == outcome
    assert record.log_record.severity_text == severity
    assert found.get(semconv.ERROR_TYPE) == (None if severity == "INFO" else type_name(raised))
    assert "secret" not in str(record)


def test_a_request_id_is_on_the_line(captured: Captured, written: Written) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        list(answer())

    async def nothing(*_: Any) -> Any:
        return {}

    scope = {"type": "http", "headers": [(b"x-request-id", b"0123456789abcdef")], "asgi": {"version": "3.0"}}
    asyncio.run(OtelextMiddleware(application)(scope, nothing, nothing))
    (found,) = written.attributes()
    assert found[semconv.REQUEST_ID] == "0123456789abcdef"
    assert found[semconv.ADMISSION] >= 0


def test_a_queue_that_another_thread_never_leaves_is_queued_up_to_the_end(captured: Captured, written: Written) -> None:
    with otelext.inference("chat", model="m") as inf:
        waiting = inf.stage("queue")
        thread = threading.Thread(target=waiting.__enter__)
        thread.start()
        thread.join()
    (found,) = written.attributes()
    assert 0 < found[semconv.TIME_IN_QUEUE] <= found[semconv.DURATION]
    thread = threading.Thread(target=waiting.__exit__, args=(None, None, None))
    thread.start()
    thread.join()


def test_names_of_mismatches_are_bounded(captured: Captured, written: Written) -> None:
    with otelext.inference("chat"):
        for number in range(1000):
            facts.critical_field(f"field_{number}", correct=False)
    (found,) = written.attributes()
    names = found[semconv.CRITICAL_FIELD_MISMATCHES]
    assert names == (*(f"field_{number}" for number in range(semconv.MAX_VALUES)), semconv.OTHER)


def test_a_mismatch_without_an_inference_or_after_it_is_a_metric_alone(captured: Captured, written: Written) -> None:
    with otelext.inference("chat"):
        pass
    facts.critical_field("amount", correct=False)
    (found,) = written.attributes()
    assert semconv.CRITICAL_FIELD_MISMATCHES not in found
    assert captured.value("vlm.critical_field.errors") == 1


def end(outcome: str = "completed") -> None:
    with otelext.inference("chat") as inf:
        inf.set_outcome(semconv.Outcome(outcome))


def test_in_a_flood_the_next_line_tells_how_many_were_left_out(captured: Captured, written: Written) -> None:
    install(written, per_second=3)
    for _ in range(10):
        end()
    inference = captured.inferences()[0]
    # The flush told of them, since nobody knows whether another line will come.
    assert [found[semconv.LINES_LEFT_OUT] for found in written.attributes(semconv.LINES_LEFT_OUT_EVENT)] == [7]
    assert len(written.records()) == 3
    canonical._LINES.observe(inference)
    written.clock.now += SECOND
    canonical._LINES.observe(inference)
    assert written.attributes()[-1][semconv.LINES_LEFT_OUT] == 1
    assert written.told() == 8


def test_errors_and_timeouts_are_never_left_out(captured: Captured, written: Written) -> None:
    install(written, per_second=2)
    for _ in range(20):
        for outcome in ("error", "timeout", "completed"):
            end(outcome)
    outcomes = [found[semconv.OUTCOME] for found in written.attributes()]
    assert sorted(outcomes) == ["completed"] * 2 + ["error"] * 20 + ["timeout"] * 20
    assert len(outcomes) + written.told() == 60


def test_when_the_flood_is_over_a_line_of_its_own_tells(captured: Captured, written: Written) -> None:
    install(written, per_second=1)
    lines = canonical._LINES
    end()
    (inference,) = captured.inferences()
    lines.observe(inference)
    lines.poll(flushing=False)
    assert semconv.LINES_LEFT_OUT_EVENT not in {line.event for line in written.lines}
    written.clock.now += SECOND
    lines.poll(flushing=False)
    line = written.lines[-1]
    assert (line.event, line.severity_text, dict(line.attributes)) == (
        semconv.LINES_LEFT_OUT_EVENT,
        "WARN",
        {semconv.LINES_LEFT_OUT: 1},
    )
    assert (line.trace_id, line.span_id) == (0, 0)


def test_the_worker_tells_by_itself_when_the_flood_is_over(written: Written) -> None:
    told = threading.Event()

    def write(line: Entry) -> None:
        if line.event == semconv.LINES_LEFT_OUT_EVENT:
            told.set()

    with capture():
        canonical.install(per_second=0, write=write, clock=written.clock)
        end()
        written.clock.now += 10 * SECOND

        def later() -> int:
            written.clock.now += SECOND
            return written.clock.now

        canonical.install(per_second=0, write=write, clock=later)  # time goes on whenever it is read
        end()
        assert told.wait(10)


def test_installing_again_changes_the_settings_and_adds_no_second_line(captured: Captured, written: Written) -> None:
    install(written)
    install(written)
    end()
    assert len(written.records()) == 1


class Broken(LogRecordExporter):
    def export(self, batch: Any) -> LogRecordExportResult:
        raise OSError("broken")

    def shutdown(self) -> None:
        """Nothing."""

    def force_flush(self, timeout_millis: int = 10_000) -> bool:
        return True


class BrokenProcessor(SimpleLogRecordProcessor):
    def on_emit(self, log_record: Any) -> None:
        raise OSError("broken")


def test_where_nothing_can_be_written_nothing_fails_and_nothing_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, written: Written, caplog: pytest.LogCaptureFixture
) -> None:
    broken = LoggerProvider(shutdown_on_exit=False)
    broken.add_log_record_processor(BrokenProcessor(Broken()))
    set_logs(monkeypatch, broken)

    def full(_: Entry) -> None:
        raise OSError("no space left")

    with capture() as captured:
        from otelext.emit.process import WORKER

        errors = WORKER.errors
        canonical.install(per_second=1000, write=full, clock=written.clock)
        for _ in range(3):
            end()
        assert len(captured.inferences()) == 3
        assert captured.value("vlm.inferences") == 3
        assert WORKER.errors == errors
        set_logs(monkeypatch, provider_of(written.exporter))
        install(written)
        end()
        assert written.told() == 3


def test_one_way_that_fails_does_not_hold_the_other_up(monkeypatch: pytest.MonkeyPatch, written: Written) -> None:
    def full(_: Entry) -> None:
        raise OSError("no space left")

    with capture():
        canonical.install(per_second=1000, write=full, clock=written.clock)
        end()
        assert otelext.force_flush(10)
    assert len(written.exporter.get_finished_logs()) == 1


def test_without_providers_there_is_a_line_all_the_same(monkeypatch: pytest.MonkeyPatch, written: Written) -> None:
    from opentelemetry.metrics import _internal as metrics_globals

    set_logs(monkeypatch, None)
    for module, name in ((trace, "_TRACER_PROVIDER"), (metrics_globals, "_METER_PROVIDER")):
        monkeypatch.setattr(module, name, None)
        monkeypatch.setattr(module, f"{name}_SET_ONCE", Once())
    list(answer())
    assert otelext.force_flush(10)
    (line,) = written.lines
    assert line.attributes[semconv.TIME_TO_FIRST_TOKEN] > 0
    assert (line.trace_id, line.span_id) == (0, 0)
    assert written.exporter.get_finished_logs() == ()


def test_without_lines_and_providers_nothing_is_queued(monkeypatch: pytest.MonkeyPatch, written: Written) -> None:
    from opentelemetry.metrics import _internal as metrics_globals

    from otelext.capture.binding import current_binding

    canonical.uninstall()
    for module, name in ((trace, "_TRACER_PROVIDER"), (metrics_globals, "_METER_PROVIDER")):
        monkeypatch.setattr(module, name, None)
        monkeypatch.setattr(module, f"{name}_SET_ONCE", Once())
    assert current_binding().submit is None


def look(record: ReadableLogRecord) -> list[Any]:
    entry = record.log_record
    return [
        entry.body,
        entry.event_name,
        entry.severity_text,
        dict(entry.attributes or {}),
        record.instrumentation_scope,
        record.resource,
    ]


def test_all_of_a_line_passes_the_redaction(monkeypatch: pytest.MonkeyPatch, written: Written) -> None:
    plain, leaving = InMemoryLogRecordExporter(), InMemoryLogRecordExporter()
    provider = provider_of(plain)
    provider.add_log_record_processor(SimpleLogRecordProcessor(RedactingLogRecordExporter(leaving)))
    set_logs(monkeypatch, provider)
    with capture():
        canonical.install(per_second=1, clock=written.clock)
        list(answer())
        list(answer())
        assert otelext.force_flush(10)
    one, two = ([look(entry) for entry in exporter.get_finished_logs()] for exporter in (plain, leaving))
    assert len(one) == 2
    assert one == two


def test_200_concurrent_streams_have_a_line_each_in_their_own_trace(captured: Captured, written: Written) -> None:
    @otelext.inference("chat", model="m")
    async def stream(number: int) -> AsyncIterator[str]:
        otelext.current_inference().set_document(fields=number)
        for _ in range(3):
            await asyncio.sleep(0)
            yield "a"

    async def one(number: int) -> tuple[int, int]:
        with trace.get_tracer("user").start_as_current_span("request") as span:
            async for _ in stream(number):
                pass
            return number, span.get_span_context().trace_id

    async def all_of_them() -> list[tuple[int, int]]:
        return await asyncio.gather(*(one(number) for number in range(200)))

    expected = dict(asyncio.run(all_of_them()))
    found = {
        (record.log_record.attributes or {})[semconv.FIELD_COUNT]: record.log_record.trace_id
        for record in written.records()
    }
    assert found == expected


PROGRAM = """
import json, os, sys
from opentelemetry import metrics, trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.trace import TracerProvider

OUT = open(os.environ["OUT"], "a")

class Logs(LogRecordExporter):
    def export(self, batch):
        for one in batch:
            attributes = one.log_record.attributes
            told = ["otlp", os.getpid() == PARENT, one.log_record.event_name, attributes.get("vlm.outcome"),
                    attributes.get("otelext.log.left_out")]
            print(json.dumps(told), file=OUT, flush=True)
        return LogRecordExportResult.SUCCESS
    def force_flush(self, timeout_millis=10000): return True
    def shutdown(self): pass

PARENT = os.getpid()
provider = LoggerProvider()
provider.add_log_record_processor(BatchLogRecordProcessor(Logs(), schedule_delay_millis=60000))
set_logger_provider(provider)
trace.set_tracer_provider(TracerProvider())

import otelext
from otelext.logs import inference as canonical

def write(line):
    told = ["json", os.getpid() == PARENT, line.event, line.attributes.get("vlm.outcome"),
            line.attributes.get("otelext.log.left_out")]
    print(json.dumps(told), file=OUT, flush=True)

canonical.install(per_second=1, write=write)
"""


def run(tmp_path: Path, program: str) -> dict[str, list[list[Any]]]:
    out = tmp_path / "out"
    source = textwrap.dedent(PROGRAM) + textwrap.dedent(program)
    subprocess.run([sys.executable, "-c", source], check=True, env={**os.environ, "OUT": str(out)}, timeout=60)
    found: dict[str, list[list[Any]]] = {"otlp": [], "json": []}
    for line in out.read_text().splitlines():
        way, *told = json.loads(line)
        found[way].append(told)
    assert sorted(map(str, found["otlp"])) == sorted(map(str, found["json"]))
    return found


def test_at_exit_what_is_open_has_its_line_and_what_was_left_out_is_told(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
        @otelext.inference("chat")
        def stream():
            yield "a"
        running = stream()
        next(running)
        for _ in range(4):
            list(stream())
        """,
    )
    assert sorted(map(str, found["json"])) == sorted(
        map(
            str,
            [
                [True, "vlm.inference", "completed", None],
                [True, "otelext.log.left_out", None, 4],
            ],
        )
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_tells_of_its_own_alone(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        """
        for _ in range(3):
            with otelext.inference("chat"):
                pass
        from otelext.emit.process import WORKER
        WORKER.force_flush(10)
        for _ in range(2):
            with otelext.inference("chat"):
                pass
        child = os.fork()
        if child == 0:
            for _ in range(3):
                with otelext.inference("chat"):
                    pass
            sys.exit(0)
        os.waitpid(child, 0)
        """,
    )
    parent = [told[1:] for told in found["json"] if told[0]]
    child = [told[1:] for told in found["json"] if not told[0]]
    assert child == [["vlm.inference", "completed", None], ["otelext.log.left_out", None, 2]]
    assert sum(told[2] or 0 for told in parent) + sum(told[0] == "vlm.inference" for told in parent) == 5
