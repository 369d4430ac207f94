"""Values that can't be taken: judged as the SDK judges them."""

from __future__ import annotations

import logging
import threading
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import context, propagate
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter
from opentelemetry.sdk import _configuration as sdk_configuration
from opentelemetry.sdk._logs import LogRecordLimits
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

from otelext.capture import failure
from otelext.distro.config import Config, default_of, read, shown, variable
from otelext.distro.variables import DEFAULTS, variables
from otelext.doctor.environment.installed import installed
from otelext.doctor.environment.values import examine
from tests.doctor.environment.looks import only, text, wrong

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = installed()


@pytest.fixture(autouse=True)
def _warnings_are_not_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure, "_last", {})


class Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "Cannot call collect" not in record.msg:  # a reader without a provider, as here
            self.records.append(record)


def complains(make: Callable[[], object]) -> tuple[bool, bool]:
    """Whether the SDK logs a warning of what it is made with, and whether it raises."""
    handler = Complaints()
    logger = logging.getLogger("opentelemetry")
    logger.addHandler(handler)
    try:
        make()
    except Exception:  # noqa: BLE001  # whatever it raises
        return bool(handler.records), True
    finally:
        logger.removeHandler(handler)
    return bool(handler.records), False


def metric_reader() -> None:
    reader = PeriodicExportingMetricReader(ConsoleMetricExporter())
    reader.shutdown()
    # What its thread waits by, which may end it before or after it is shut down.
    threading.Lock().acquire(timeout=reader._export_interval_millis / 1000)


def span_processor() -> None:
    BatchSpanProcessor(ConsoleSpanExporter()).shutdown()


def sampler() -> None:
    name = sdk_configuration._get_sampler()
    sdk_configuration._import_sampler(name)


# What reads each variable, and how strict our finding has to be.
READERS: dict[str, Callable[[], object]] = {
    "OTEL_METRICS_EXEMPLAR_FILTER": MeterProvider,
    "OTEL_METRIC_EXPORT_INTERVAL": metric_reader,
    "OTEL_METRIC_EXPORT_TIMEOUT": metric_reader,
    "OTEL_BSP_MAX_QUEUE_SIZE": span_processor,
    "OTEL_BSP_SCHEDULE_DELAY": span_processor,
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": span_processor,
    "OTEL_BSP_EXPORT_TIMEOUT": span_processor,
    "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": SpanLimits,
    "OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT": SpanLimits,
    "OTEL_SPAN_EVENT_COUNT_LIMIT": SpanLimits,
    "OTEL_ATTRIBUTE_COUNT_LIMIT": SpanLimits,
    "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT": LogRecordLimits,
    "OTEL_TRACES_SAMPLER": sampler,
    "OTEL_PROPAGATORS": propagate._load_propagators,
    "OTEL_PYTHON_ID_GENERATOR": lambda: sdk_configuration._import_id_generator(sdk_configuration._get_id_generator()),
    "OTEL_PYTHON_CONTEXT": context._load_runtime_context,
    "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": Resource.create,
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": OTLPMetricExporter,
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": OTLPMetricExporter,
    "OTEL_RESOURCE_ATTRIBUTES": lambda: OTELResourceDetector().detect(),
}
TYPED = st.one_of(
    st.sampled_from(
        [
            "0",
            "1",
            "-1",
            "10",
            "512",
            "2048",
            "4096",
            "1.5",
            "1e3",
            "nan",
            "none",
            "None",
            "true",
            "trace_based",
            "always_on",
            "always_off",
            "TRACE_BASED",
            "delta",
            "DELTA",
            "cumulative",
            "lowmemory",
            "low_memory",
            "explicit_bucket_histogram",
            "base2_exponential_bucket_histogram",
            "tracecontext",
            "tracecontext,baggage",
            "none,b3",
            "b3",
            "baggage,",
            "random",
            "contextvars_context",
            "host",
            "process",
            "os,host",
            "*",
            "parentbased_always_on",
            "a=b",
            "a=b,c",
            "a=b,",
        ]
    ),
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=8).filter(str.strip),
)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("name", READERS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(value=TYPED | st.sampled_from(["nan", "inf", "9e99", "9000000000000", "9999999999999"]))
def test_a_value_is_found_wrong_where_the_sdk_warns_or_raises_and_nowhere_else(monkeypatch, name, value) -> None:
    if name == "OTEL_RESOURCE_ATTRIBUTES":  # a comma too many is dropped with a line that nobody needs to read
        value = ",".join(part for part in value.split(",") if part.strip()) or "a=b"
    with monkeypatch.context() as patched:
        patched.setenv(name, value)
        warns, raises = complains(READERS[name])
    # What is in order for the SDK and probably not for its user: seconds for milliseconds.
    found = [one for one in examine({name: value}, HERE) if "milliseconds, so that" not in one.summary]
    assert bool(found) == (warns or raises), (found, warns, raises)
    if raises:
        assert "error" in {one.level for one in found}, found
    assert all(one.check == "environment.value" for one in found)


@pytest.mark.parametrize("value", ["0", "-1", "abc", "", "1.5", "2", "nan", "0.25"])
@pytest.mark.parametrize("kind", ["traceidratio", "parentbased_traceidratio"])
def test_a_ratio_is_found_wrong_where_the_sdk_warns(monkeypatch, kind, value) -> None:
    environ = {"OTEL_TRACES_SAMPLER": kind, "OTEL_TRACES_SAMPLER_ARG": value}
    for name, one in environ.items():
        monkeypatch.setenv(name, one)
    warns, _ = complains(sampler)
    assert bool(list(examine(environ, HERE))) == warns


@pytest.mark.parametrize("value", ["abc", "10s", "10", " 5 "])
@pytest.mark.parametrize("signal", ["", "TRACES_"])
def test_a_timeout_is_found_wrong_where_an_exporter_warns_or_raises(monkeypatch, signal, value) -> None:
    name = f"OTEL_EXPORTER_OTLP_{signal}TIMEOUT"
    monkeypatch.setenv(name, value)
    assert complains(HttpExporter)[0] == complains(GrpcExporter)[1] == bool(list(examine({name: value}, HERE)))


@pytest.mark.parametrize("value", ["none", "gzip", "deflate", "GZIP", "brotli", ""])
@pytest.mark.parametrize("transport", ["grpc", "http/protobuf"])
def test_a_compression_is_found_wrong_where_an_exporter_warns_or_raises(monkeypatch, transport, value) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", value)
    warns, raises = complains(GrpcExporter if transport == "grpc" else HttpExporter)
    found = wrong(OTEL_EXPORTER_OTLP_PROTOCOL=transport, OTEL_EXPORTER_OTLP_COMPRESSION=value)
    assert bool(found) == (warns or raises)
    assert [one.level for one in found] == (["error"] if raises else ["warning"] if warns else [])


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"])
def test_an_empty_timeout_stops_exporters_over_grpc_alone(monkeypatch, name) -> None:
    monkeypatch.setenv(name, "")
    assert complains(GrpcExporter) == (False, True)
    assert complains(HttpExporter) == (False, False)
    assert name in only(OTEL_EXPORTER_OTLP_PROTOCOL="grpc", **{name: ""}).summary
    assert not wrong(**{name: ""})


@given(
    st.fixed_dictionaries(
        {}, optional={variable(field.name): st.text(st.characters(exclude_characters="\0")) for field in fields(Config)}
    )
)
def test_a_value_of_ours_is_found_wrong_where_it_is_not_taken(environ) -> None:
    found = [one for one in examine(environ, HERE) if one.check == "environment.value"]
    taken = read(environ)
    for field in fields(Config):
        given_text = environ.get(variable(field.name), "").strip()
        said = [one for one in found if one.summary.startswith(variable(field.name) + "=")]
        if not given_text:
            assert not said
        elif said:
            assert getattr(taken, field.name) == field.default
            assert default_of(field) in (said[0].next_step or "")


def test_a_bad_value_of_ours_says_what_is_taken_instead() -> None:
    finding = only(OTELEXT_QUEUE_SIZE="many")
    assert finding.check == "environment.value"
    assert "OTELEXT_QUEUE_SIZE=many is not valid: it is a whole number" in finding.summary
    assert finding.next_step == f"export OTELEXT_QUEUE_SIZE={Config().queue_size}"


def test_every_known_variable_with_its_default_is_in_order() -> None:
    assert not wrong(**{one.name: one.default for one in variables() if one.default})
    assert not wrong(**DEFAULTS)
    assert not wrong(**{variable(field.name): shown(field.default) for field in fields(Config)})


@pytest.mark.parametrize("one", [one for one in variables() if one.default], ids=lambda one: one.name)
def test_each_known_variable_with_its_default_alone_is_in_order(one) -> None:
    assert not wrong(**{one.name: one.default})


def test_a_ratio_that_is_no_ratio_is_named_with_its_sampler() -> None:
    finding = only(OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="10%")
    assert "OTEL_TRACES_SAMPLER_ARG=10%" in finding.summary
    assert "parentbased_traceidratio" in finding.summary


def test_a_propagator_of_another_package_names_that_package() -> None:
    assert only(OTEL_PROPAGATORS="tracecontext,b3").next_step == "python -m pip install opentelemetry-propagator-b3"


def test_an_almost_right_sampler_gets_the_right_one() -> None:
    assert only(OTEL_TRACES_SAMPLER="parentbased_traceid_ratio").next_step == (
        "export OTEL_TRACES_SAMPLER=parentbased_traceidratio"
    )


@pytest.mark.parametrize(
    ("name", "value", "right"),
    [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10000", "export OTEL_EXPORTER_OTLP_TIMEOUT=10"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "15", "export OTEL_METRIC_EXPORT_INTERVAL=15000"),
    ],
)
def test_milliseconds_and_seconds_are_not_mixed_up(name, value, right) -> None:
    assert only(**{name: value}).next_step == right


def test_a_batch_larger_than_its_queue_is_refused() -> None:
    finding = only(OTEL_BSP_MAX_QUEUE_SIZE="100")
    assert finding.level == "error"
    assert "100 of OTEL_BSP_MAX_QUEUE_SIZE" in finding.summary


def test_a_switch_that_is_neither_true_nor_false_is_named() -> None:
    finding = only(OTEL_SDK_DISABLED="1")
    assert "OTEL_SDK_DISABLED=1 is not valid: it is true or false" in finding.summary


def test_an_attribute_without_a_value_is_counted_and_not_shown() -> None:
    finding = only(OTEL_RESOURCE_ATTRIBUTES="service.name=x,secretvalue")
    assert "11 characters" in finding.summary
    assert "secretvalue" not in text([finding])
