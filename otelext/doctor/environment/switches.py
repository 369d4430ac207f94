"""Variables that turn telemetry off, contradict each other or do nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from opentelemetry.environment_variables import OTEL_METRICS_EXPORTER
from opentelemetry.sdk.environment_variables import (
    OTEL_CONFIG_FILE,
    OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION,
    OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE,
    OTEL_METRICS_EXEMPLAR_FILTER,
    OTEL_SDK_DISABLED,
    OTEL_TRACES_SAMPLER,
    OTEL_TRACES_SAMPLER_ARG,
)

from otelext.distro.config import variable
from otelext.distro.exporters import SIGNALS, named
from otelext.doctor.environment import names
from otelext.doctor.finding import Finding
from otelext.doctor.shown import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.doctor.environment.start import Settings

_OFF: Final = "environment.off"
_UNUSED: Final = "environment.unused"
_CONFLICT: Final = "environment.conflict"
_TAKES_NO_ARGUMENT: Final = frozenset(
    {"", *(f"{parent}always_{how}" for parent in ("", "parentbased_") for how in ("on", "off"))}
)
_KEEPS_NOTHING: Final = frozenset({"always_off", "parentbased_always_off"})
# Exporters still fall back to the rest of OTEL_EXPORTER_OTLP_ where the file leaves it out.
_NOT_READ_BESIDE_A_FILE: Final = re.compile(
    r"OTEL_((TRACES|METRICS|LOGS)_EXPORTER|EXPORTER_OTLP_(\w+_)?PROTOCOL|TRACES_SAMPLER(_ARG)?|METRICS_EXEMPLAR_FILTER"
    r"|METRIC_EXPORT_\w+|B(S|LR)P_\w+|PROPAGATORS|RESOURCE_ATTRIBUTES|\w+_LIMIT)"
)


def examine(settings: Settings) -> Iterator[Finding]:
    """What is off, does nothing, or does not hold beside something else."""
    if settings.get(OTEL_SDK_DISABLED).lower() == "true":
        yield Finding(
            _OFF,
            "error",
            f"{OTEL_SDK_DISABLED}=true turns all telemetry off",
            "No provider records anything, whatever else is set.",
            f"unset {OTEL_SDK_DISABLED}",
        )
        return
    if settings.is_set(OTEL_CONFIG_FILE):
        yield from _beside_a_file(settings)
        return
    yield from _exporters_off(settings)
    yield from _sampling(settings)
    yield from _metrics(settings)
    for name in settings.environ:
        if names.is_read_by_nothing(name) and settings.is_set(name):
            yield Finding(
                _UNUSED,
                "warning",
                f"{name} is set, and nothing in Python reads it",
                "It is a variable of the specification's which the Python SDK has not, or no longer.",
                f"unset {name}",
            )


def _beside_a_file(settings: Settings) -> Iterator[Finding]:
    idle = sorted(
        name for name in settings.environ if settings.is_set(name) and _NOT_READ_BESIDE_A_FILE.fullmatch(name)
    )
    if idle:
        yield Finding(
            _UNUSED,
            "warning",
            f"{', '.join(idle)} {'are' if len(idle) > 1 else 'is'} not read, as {OTEL_CONFIG_FILE} is set",
            "The file decides alone, unless it refers to a variable as ${NAME}.",
            f"unset {' '.join(idle)}, or unset {OTEL_CONFIG_FILE}",
        )


def _exporters_off(settings: Settings) -> Iterator[Finding]:
    for exporters, _, _ in SIGNALS:
        if settings.is_set(exporters) and not named(exporters, settings.all()):
            signal = exporters.removeprefix("OTEL_").removesuffix("_EXPORTER").lower()
            yield Finding(
                _OFF,
                "warning",
                f"{shown(exporters, settings.get(exporters))}: no {signal} leave the service",
                "They are recorded and dropped.",
                f"export {exporters}=otlp",
            )


def _sampling(settings: Settings) -> Iterator[Finding]:
    sampler = settings.get(OTEL_TRACES_SAMPLER).lower()
    argument = settings.get(OTEL_TRACES_SAMPLER_ARG)
    if sampler in _KEEPS_NOTHING:
        unless = "" if sampler == "always_off" else ", except those whose caller has decided to keep them"
        yield Finding(
            _OFF,
            "warning",
            f"{OTEL_TRACES_SAMPLER}={sampler} keeps no traces{unless}",
            "Metrics count all requests either way; exemplars point to traces, hence there are none.",
            f"export {OTEL_TRACES_SAMPLER}=parentbased_always_on",
        )
    elif sampler.endswith("traceidratio") and _is_zero(argument):
        yield Finding(
            _OFF,
            "warning",
            f"{OTEL_TRACES_SAMPLER}={sampler} with {OTEL_TRACES_SAMPLER_ARG}={argument} begins no trace",
            "Metrics count all requests either way; exemplars point to traces, hence there are none.",
            f"export {OTEL_TRACES_SAMPLER_ARG}=0.1",
        )
    if argument and sampler in _TAKES_NO_ARGUMENT:
        yield Finding(
            _UNUSED,
            "warning",
            f"{shown(OTEL_TRACES_SAMPLER_ARG, argument)} does nothing: {OTEL_TRACES_SAMPLER} is"
            f" {sampler or 'not set'}, which takes no argument",
            "All traces are kept." if not sampler or sampler.endswith("on") else None,
            f"export {OTEL_TRACES_SAMPLER}=parentbased_traceidratio",
        )


def _metrics(settings: Settings) -> Iterator[Finding]:
    ratio = variable("exemplar_ratio")
    exemplars = settings.get(OTEL_METRICS_EXEMPLAR_FILTER)
    if exemplars == "always_off":
        yield Finding(
            _OFF,
            "warning",
            f"{OTEL_METRICS_EXEMPLAR_FILTER}=always_off: no metric leads to a trace",
            "Exemplars are what a panel's dots are made of.",
            f"unset {OTEL_METRICS_EXEMPLAR_FILTER}",
        )
    if settings.is_set(ratio) and exemplars in {"always_on", "always_off"}:
        yield Finding(
            _CONFLICT,
            "warning",
            f"{shown(ratio, settings.get(ratio))} does not hold beside {OTEL_METRICS_EXEMPLAR_FILTER}={exemplars}",
            "Only the traces of trace_based can be chosen from.",
            f"unset {OTEL_METRICS_EXEMPLAR_FILTER}",
        )
    if "prometheus" in named(OTEL_METRICS_EXPORTER, settings.all()):
        return
    temporality = settings.get(OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE).lower()
    if temporality in {"delta", "lowmemory"}:
        yield Finding(
            "environment.temporality",
            "warning",
            f"{OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE}={temporality}: counters and histograms leave as deltas",
            "Prometheus refuses deltas unless it is told to convert them, so that their series are missing.",
            f"unset {OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE}",
        )
    aggregation = settings.get(OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION)
    if aggregation == "base2_exponential_bucket_histogram":
        yield Finding(
            "environment.histograms",
            "warning",
            f"{OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION}={aggregation}: histograms have no _bucket series",
            "Prometheus stores them as native histograms, and queries of _bucket find nothing.",
            f"unset {OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION}",
        )


def _is_zero(text: str) -> bool:
    try:
        return float(text) == 0
    except ValueError:
        return False
