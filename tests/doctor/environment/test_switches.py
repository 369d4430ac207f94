"""Telemetry that is off, and variables that do nothing or stand against each other."""

from __future__ import annotations

import pytest
from opentelemetry.sdk.trace import TracerProvider

from otelext.doctor.environment import examine
from tests.doctor.environment.looks import PATH, only, wrong


@pytest.mark.parametrize("value", ["true", "TRUE", " true "])
def test_a_disabled_sdk_is_the_one_thing_that_counts(value) -> None:
    found = [one for one in examine({**PATH, "OTEL_SDK_DISABLED": value}) if one.level != "ok"]
    assert [(one.check, one.level) for one in found] == [
        ("environment.off", "error"),
        ("environment.exporter", "skipped"),
    ]
    assert found[0].next_step == "unset OTEL_SDK_DISABLED"


@pytest.mark.parametrize("signal", ["traces", "metrics", "logs"])
def test_a_signal_without_an_exporter_is_named(signal) -> None:
    finding = only(**{f"OTEL_{signal.upper()}_EXPORTER": "none"})
    assert finding.summary == f"OTEL_{signal.upper()}_EXPORTER=none: no {signal} leave the service"
    assert finding.next_step == f"export OTEL_{signal.upper()}_EXPORTER=otlp"


@pytest.mark.parametrize(
    ("environ", "keeps"),
    [
        ({"OTEL_TRACES_SAMPLER": "always_off"}, False),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, False),
        ({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0"}, False),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.0"}, False),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1"}, True),
        ({"OTEL_TRACES_SAMPLER": "always_on"}, True),
        ({}, True),
    ],
)
def test_a_sampler_that_keeps_nothing_is_named(monkeypatch, environ, keeps) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    span = TracerProvider(shutdown_on_exit=False).get_tracer("test").start_span("root")
    assert span.get_span_context().trace_flags.sampled == keeps
    assert [one.check for one in wrong(**environ)] == ([] if keeps else ["environment.off"])


@pytest.mark.parametrize("sampler", [{}, {"OTEL_TRACES_SAMPLER": "parentbased_always_on"}])
def test_an_argument_that_no_sampler_takes_is_named(sampler) -> None:
    finding = only(OTEL_TRACES_SAMPLER_ARG="0.1", **sampler)
    assert finding.check == "environment.unused"
    assert finding.next_step == "export OTEL_TRACES_SAMPLER=parentbased_traceidratio"


@pytest.mark.parametrize("name", ["OTEL_EXPORTER_ZIPKIN_ENDPOINT", "OTEL_EXPORTER_JAEGER_ENDPOINT", "OTEL_LOG_LEVEL"])
def test_a_variable_that_the_python_sdk_does_not_read_is_named(name) -> None:
    finding = only(**{name: "debug"})
    assert finding.check == "environment.unused"
    assert finding.next_step == f"unset {name}"


def test_no_exemplars_are_named() -> None:
    assert only(OTEL_METRICS_EXEMPLAR_FILTER="always_off").check == "environment.off"


def test_a_ratio_of_exemplars_beside_another_filter_does_not_hold() -> None:
    finding = only(OTELEXT_EXEMPLAR_RATIO="0.1", OTEL_METRICS_EXEMPLAR_FILTER="always_on")
    assert finding.check == "environment.conflict"
    assert "OTELEXT_EXEMPLAR_RATIO=0.1 does not hold" in finding.summary


@pytest.mark.parametrize("value", ["delta", "DELTA", "lowmemory"])
def test_deltas_are_named(value) -> None:
    finding = only(OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=value)
    assert finding.check == "environment.temporality"
    assert "Prometheus refuses deltas" in (finding.cause or "")


def test_exponential_histograms_are_named() -> None:
    finding = only(OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION="base2_exponential_bucket_histogram")
    assert finding.check == "environment.histograms"
    assert "_bucket" in finding.summary


def test_instrumentations_that_are_all_off_are_named() -> None:
    finding = only(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="*")
    assert finding.check == "environment.off"


def test_configure_without_instrumentations_is_named() -> None:
    finding = only(OTELEXT_INSTRUMENT="false")
    assert finding.check == "environment.off"
    assert "otelext.configure()" in finding.summary
