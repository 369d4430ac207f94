"""What leaves a real process, by real export: redaction is there however the exporters were set up."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from otelext import semconv
from tests.otlp_receiver import OtlpReceiver

from .processes import plain, run_program, run_python

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
from opentelemetry import metrics, trace
secret = "-".join(["typed", "by", "kim"])
with trace.get_tracer("program").start_as_current_span("constant", attributes={"prompt": secret, "http.route": "/r"}):
    pass
trace.get_tracer_provider().force_flush()
metrics.get_meter("program").create_counter("program.count").add(1, {"patient": secret})
"""
SECRET = b"typed-by-kim"


def everything(receiver: OtlpReceiver) -> bytes:
    return b"".join(message.SerializeToString() for message in receiver.messages)


def test_nothing_that_is_not_on_the_list_leaves_and_it_is_counted() -> None:
    with OtlpReceiver() as receiver:
        done = run_program(PROGRAM, plain(receiver.endpoint))
    assert (done.returncode, done.stderr) == (0, "")
    assert SECRET not in everything(receiver)
    (span,) = (span for span in receiver.spans if span.name == "constant")
    assert span.attributes == {"http.route": "/r"}
    assert receiver.total(semconv.REDACTED_TOTAL.name, **{semconv.REDACTED_KIND: "span_attribute"}) == 1
    assert receiver.total(semconv.REDACTED_TOTAL.name, **{semconv.REDACTED_KIND: "metric_attribute"}) >= 1


def test_an_opt_out_is_one_warning_and_a_resource_attribute() -> None:
    with OtlpReceiver() as receiver:
        done = run_program(PROGRAM, plain(receiver.endpoint, OTELEXT_CAPTURE="span_attributes,metric_attributes"))
    (metrics_line, spans_line) = done.stderr.splitlines()
    assert "OTELEXT_CAPTURE opens metric_attributes" in metrics_line
    assert "OTELEXT_CAPTURE opens span_attributes" in spans_line
    assert SECRET in everything(receiver)
    assert all(span.resource[semconv.CAPTURE] == ["metric_attributes", "span_attributes"] for span in receiver.spans)


THEIRS = (
    """
import os
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
import otelext
def exporting(): return BatchSpanProcessor(OTLPSpanExporter())
provider = TracerProvider()
if {early}: provider.add_span_processor(exporting())
if {set_early}: trace.set_tracer_provider(provider)
otelext.configure(instrument=False)
if not {set_early}:
    trace._TRACER_PROVIDER_SET_ONCE._done, trace._TRACER_PROVIDER = False, None
    trace.set_tracer_provider(provider)
if not {early}: provider.add_span_processor(exporting())
"""
    + PROGRAM
)


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("set_early", [True, False])
def test_it_holds_for_exporters_and_providers_of_the_users_whenever_they_come(early: bool, set_early: bool) -> None:
    with OtlpReceiver() as receiver:
        done = run_python(
            THEIRS.replace("{early}", str(early)).replace("{set_early}", str(set_early)), plain(receiver.endpoint)
        )
    assert done.returncode == 0, done.stderr
    assert "constant" in {span.name for span in receiver.spans}
    assert SECRET not in everything(receiver)


MAIN = """
from opentelemetry import trace
with trace.get_tracer("the main tracer").start_as_current_span("of the script") as span:
    span.add_event("an event of the script")
    try:
        raise ValueError("-".join(["typed", "by", "kim"]))
    except ValueError as error:
        span.record_exception(error)
"""


def test_what_is_written_in_the_main_script_leaves_also_with_the_last_export(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(MAIN)
    with OtlpReceiver() as receiver:
        assert run_program(["python", str(script)], plain(receiver.endpoint)).returncode == 0
    (span,) = receiver.spans
    assert (span.name, span.scope) == ("of the script", "the main tracer")
    assert [event.name for event in span.message.events] == ["an event of the script", "exception"]
    (stacktrace,) = (a.value.string_value for a in span.message.events[1].attributes if a.key.endswith("stacktrace"))
    assert stacktrace.endswith('script.py", line 6, in <module>')
    assert SECRET not in everything(receiver)


SET_LATE = """
from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from otelext.distro import setup
secret = "-".join(["typed", "by", "kim"])
setup.pre_instrument()  # all that runs of otelext behind another configurator
setup.post_instrument()
spans, reader, records = InMemorySpanExporter(), InMemoryMetricReader(), InMemoryLogRecordExporter()
tracers, loggers = TracerProvider(), LoggerProvider()
tracers.add_span_processor(SimpleSpanProcessor(spans))
loggers.add_log_record_processor(SimpleLogRecordProcessor(records))
trace.set_tracer_provider(tracers)
metrics.set_meter_provider(MeterProvider([reader]))
_logs.set_logger_provider(loggers)
trace.get_tracer("t").start_span("s", attributes={"prompt": secret}).end()
metrics.get_meter("m").create_counter("c").add(1, {"patient": secret})
_logs.get_logger("l").emit(body=secret)
print(spans.get_finished_spans()[0].to_json(), reader.get_metrics_data().to_json())
print(records.get_finished_logs()[0].to_json())
"""


def test_it_holds_from_the_first_for_providers_that_the_program_sets_late() -> None:
    done = run_python(SET_LATE, plain("http://127.0.0.1:9"))
    assert done.returncode == 0, done.stderr
    assert '"body": "[redacted]"' in done.stdout
    assert SECRET.decode() not in done.stdout


ONE_IS_BROKEN = """
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
import otelext
class Broken(trace.NoOpTracerProvider):
    _active_span_processor = property(lambda self: 1 / 0)
reader = InMemoryMetricReader()
trace.set_tracer_provider(Broken())
metrics.set_meter_provider(MeterProvider([reader]))
otelext.configure(instrument=False)
metrics.get_meter("m").create_counter("c").add(1, {"patient": "-".join(["typed", "by", "kim"])})
print(reader.get_metrics_data().to_json())
"""


def test_a_provider_that_can_not_be_looked_at_leaves_the_others_redacted() -> None:
    done = run_python(ONE_IS_BROKEN, plain("http://127.0.0.1:9"))
    assert "can't be redacted: __main__.Broken" in done.stderr
    assert '"name": "c"' in done.stdout
    assert SECRET.decode() not in done.stdout


def test_samples_of_what_left_are_written_where_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "samples"
    with OtlpReceiver() as receiver:
        run_program(PROGRAM, plain(receiver.endpoint, OTELEXT_PRIVACY_SAMPLES=str(path)))
    samples = [json.loads(line) for line in path.read_text().splitlines()]
    assert {"signal": "traces", "place": "span attribute", "name": "http.route"}.items() <= {
        key: value for sample in samples if sample["name"] == "http.route" for key, value in sample.items()
    }.items()
    assert SECRET.decode() not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0


def test_samples_that_can_not_be_written_cost_no_telemetry() -> None:
    with OtlpReceiver() as receiver:
        done = run_program(PROGRAM, plain(receiver.endpoint, OTELEXT_PRIVACY_SAMPLES="/nowhere/at/all"))
    assert "/nowhere/at/all" in done.stderr
    assert "constant" in {span.name for span in receiver.spans}
