"""The environment variables that steer a service: the standard ones that matter here with our defaults, and ours."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import TYPE_CHECKING, Final, NamedTuple

from opentelemetry.environment_variables import OTEL_LOGS_EXPORTER, OTEL_METRICS_EXPORTER, OTEL_TRACES_EXPORTER
from opentelemetry.instrumentation.environment_variables import (
    OTEL_PYTHON_CONFIGURATOR,
    OTEL_PYTHON_DISABLED_INSTRUMENTATIONS,
    OTEL_PYTHON_DISTRO,
)
from opentelemetry.sdk.environment_variables import (
    OTEL_CONFIG_FILE,
    OTEL_EXPORTER_OTLP_ENDPOINT,
    OTEL_EXPORTER_OTLP_HEADERS,
    OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_EXPORTER_OTLP_TIMEOUT,
    OTEL_EXPORTER_PROMETHEUS_HOST,
    OTEL_EXPORTER_PROMETHEUS_PORT,
    OTEL_METRIC_EXPORT_INTERVAL,
    OTEL_METRICS_EXEMPLAR_FILTER,
    OTEL_RESOURCE_ATTRIBUTES,
    OTEL_SDK_DISABLED,
    OTEL_SERVICE_NAME,
    OTEL_TRACES_SAMPLER,
    OTEL_TRACES_SAMPLER_ARG,
)

from otelext.distro.config import Config, default_of, variable

if TYPE_CHECKING:
    from collections.abc import Iterator, MutableMapping

# Read by the instrumentations, which export no public name for it:
# https://opentelemetry.io/docs/specs/semconv/non-normative/http-migration/
OTEL_SEMCONV_STABILITY_OPT_IN: Final = "OTEL_SEMCONV_STABILITY_OPT_IN"

DEFAULTS: Final = {
    OTEL_TRACES_EXPORTER: "otlp",
    OTEL_METRICS_EXPORTER: "otlp",
    OTEL_LOGS_EXPORTER: "otlp",
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
    OTEL_METRIC_EXPORT_INTERVAL: "15000",
    OTEL_SEMCONV_STABILITY_OPT_IN: "http,database",
}
"""What the distro sets where the user did not."""


class Variable(NamedTuple):
    """One environment variable.

    Attributes:
        name: As it is set.
        default: What holds where it is not set, ours where we have one; empty for none.
        meaning: One line for people.
        secret: Whether its value may hold credentials, so that it is never printed.
    """

    name: str
    default: str
    meaning: str
    secret: bool = False


_STANDARD: Final = (
    (OTEL_SERVICE_NAME, "unknown_service", "name of the service"),
    (OTEL_RESOURCE_ATTRIBUTES, "", "further attributes of the service, key=value separated by commas"),
    (OTEL_SDK_DISABLED, "false", "true turns all telemetry off"),
    (OTEL_CONFIG_FILE, "", "declarative configuration file; most other OTEL_ variables are then not read"),
    (OTEL_TRACES_EXPORTER, "", "where traces go: otlp, console, none"),
    (OTEL_METRICS_EXPORTER, "", "where metrics go: otlp, prometheus, console, none"),
    (OTEL_LOGS_EXPORTER, "", "where logs go: otlp, console, none"),
    (OTEL_EXPORTER_OTLP_ENDPOINT, "http://localhost:4318", "base address of the receiver"),
    (OTEL_EXPORTER_OTLP_PROTOCOL, "", "http/protobuf, or grpc (then the port is 4317)"),
    (OTEL_EXPORTER_OTLP_HEADERS, "", "headers of each export, key=value separated by commas"),
    (OTEL_EXPORTER_OTLP_TIMEOUT, "10", "seconds that one export may take, retries included"),
    (OTEL_METRIC_EXPORT_INTERVAL, "", "milliseconds between two exports of metrics"),
    (OTEL_METRICS_EXEMPLAR_FILTER, "trace_based", "which measurements may become exemplars"),
    (OTEL_EXPORTER_PROMETHEUS_HOST, "localhost", "address that the Prometheus exporter listens on"),
    (OTEL_EXPORTER_PROMETHEUS_PORT, "9464", "its port; spawned workers take the next free ones"),
    (OTEL_TRACES_SAMPLER, "parentbased_always_on", "which traces are kept; metrics count all requests either way"),
    (OTEL_TRACES_SAMPLER_ARG, "", "the sampler's argument, such as 0.01"),
    (OTEL_SEMCONV_STABILITY_OPT_IN, "", "conventions that instrumentations follow"),
    (OTEL_PYTHON_DISABLED_INSTRUMENTATIONS, "", "instrumentations to leave out, separated by commas; * for all"),
    (OTEL_PYTHON_DISTRO, "", "distro to use where several are installed"),
    (OTEL_PYTHON_CONFIGURATOR, "", "configurator to use where several are installed"),
)


def variables() -> Iterator[Variable]:
    """Every variable that matters, the standard ones first."""
    for name, default, meaning in _STANDARD:
        yield Variable(name, DEFAULTS.get(name, default), meaning, secret=name == OTEL_EXPORTER_OTLP_HEADERS)
    for setting in fields(Config):
        yield Variable(
            variable(setting.name), default_of(setting), setting.metadata["meaning"], setting.metadata["secret"]
        )


def set_defaults(environ: MutableMapping[str, str] | None = None) -> None:
    """Set `DEFAULTS` where the user set nothing; as everywhere in OpenTelemetry, empty means not set."""
    environ = os.environ if environ is None else environ
    for name, value in DEFAULTS.items():
        if not environ.get(name, "").strip():
            environ[name] = value
