"""Which exporters the environment asks for, whether they can be had, and what otelext hands to them."""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.environment_variables import OTEL_LOGS_EXPORTER, OTEL_METRICS_EXPORTER, OTEL_TRACES_EXPORTER
from opentelemetry.sdk.environment_variables import (
    OTEL_EXPORTER_OTLP_LOGS_PROTOCOL,
    OTEL_EXPORTER_OTLP_METRICS_PROTOCOL,
    OTEL_EXPORTER_OTLP_PROTOCOL,
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    OTEL_EXPORTER_PROMETHEUS_PORT,
)
from opentelemetry.util._importlib_metadata import entry_points  # caches what it read, unlike importlib.metadata

from otelext.capture.failure import report_setup
from otelext.distro import prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Variable of the exporters, variable of the OTLP protocol, group of entry points.
SIGNALS: Final = (
    (OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, "opentelemetry_traces_exporter"),
    (OTEL_METRICS_EXPORTER, OTEL_EXPORTER_OTLP_METRICS_PROTOCOL, "opentelemetry_metrics_exporter"),
    (OTEL_LOGS_EXPORTER, OTEL_EXPORTER_OTLP_LOGS_PROTOCOL, "opentelemetry_logs_exporter"),
)
_GRPC: Final = "otlp_proto_grpc"
_HTTP: Final = "otlp_proto_http"
_PROMETHEUS: Final = "prometheus"
PROTOCOLS: Final = {"grpc": _GRPC, "http/protobuf": _HTTP}
"""What `OTEL_EXPORTER_OTLP_PROTOCOL` may be, and the exporter by which it is spoken."""
EXTRAS: Final = {"otlp": "otlp", _GRPC: "otlp", _HTTP: "otlp", _PROMETHEUS: "prometheus"}
"""The extra that brings an exporter."""
# A session made by a plug-in of the user's goes before ours.
_CREDENTIAL_PROVIDER: Final = "CREDENTIAL_PROVIDER"


@contextmanager
def available() -> Iterator[None]:
    """For a while: what can't be exported to is out of the environment, and Prometheus gets a port that is free."""
    before = dict(os.environ)
    try:
        for exporters, protocol, group in SIGNALS:
            _check_protocol(protocol)
            wanted = named(exporters)
            kept = [name for name in wanted if _can_be_had(name, exporters, protocol, group)]
            if kept != wanted:
                os.environ[exporters] = ",".join(kept) or "none"
        with prometheus.listening() if _PROMETHEUS in named(OTEL_METRICS_EXPORTER) else nullcontext():
            yield
    finally:
        for name in {OTEL_EXPORTER_OTLP_PROTOCOL, *(name for signal in SIGNALS for name in signal[:2])}:
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)


def arguments() -> dict[type, dict[str, Any]]:
    """What the exporters are made with: over HTTP a session of ours for each. Over gRPC a channel of ours is installed."""
    plugged_in = any(name.endswith(_CREDENTIAL_PROVIDER) and value for name, value in os.environ.items())
    found: dict[type, dict[str, Any]] = {}
    for exporters, protocol, group in SIGNALS:
        transports = {entry_point_name(name, protocol) for name in named(exporters)}
        if _GRPC in transports:
            from otelext.distro import grpc_channel  # noqa: PLC0415  # loads gRPC, as the exporter does

            grpc_channel.install()
        if _HTTP in transports and not plugged_in:
            from otelext.distro.session import ExportSession  # noqa: PLC0415  # loads requests, as the exporter does

            for entry_point in entry_points(group=group, name=_HTTP):
                found[entry_point.load()] = {"session": ExportSession()}
    return found


def named(exporters: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """The exporters that a variable asks for; `environ` is `os.environ` if None."""
    environ = os.environ if environ is None else environ
    wanted = [name.strip() for name in environ.get(exporters, "").split(",") if name.strip()]
    return [] if [name.lower() for name in wanted] == ["none"] else wanted


def _check_protocol(own: str) -> None:
    for variable in (own, OTEL_EXPORTER_OTLP_PROTOCOL):
        value = os.environ.get(variable, "").strip()
        if value and value not in PROTOCOLS:
            report_setup(
                f"otelext: {variable}=%r is no protocol that can be exported by; it is one of %s; http/protobuf is"
                " taken",
                value,
                ", ".join(PROTOCOLS),
            )
            os.environ[variable] = "http/protobuf"


def entry_point_name(name: str, protocol: str, environ: Mapping[str, str] | None = None) -> str:
    """The name under which an exporter is installed; which one `otlp` is, depends on the protocol.

    Args:
        name: As the user asks for it.
        protocol: The variable of the signal's protocol, which goes before that of all.
        environ: The environment; `os.environ` if None.
    """
    if name != "otlp":
        return name
    environ = os.environ if environ is None else environ
    value = environ.get(protocol, "").strip() or environ.get(OTEL_EXPORTER_OTLP_PROTOCOL, "").strip()
    return PROTOCOLS.get(value, _GRPC)


def _can_be_had(name: str, exporters: str, protocol: str, group: str) -> bool:
    found = next(iter(entry_points(group=group, name=entry_point_name(name, protocol))), None)
    if found is None:
        if name in EXTRAS:
            # One line for the three signals: the limit is by message.
            report_setup(
                "otelext: exporting to %r needs a package that is not installed:"
                f" pip install 'otelext[{EXTRAS[name]}]'; the service runs on without",
                name,
            )
        else:
            known = sorted({entry_point.name for entry_point in entry_points(group=group)})
            report_setup(
                f"otelext: {exporters} names %r, which no installed package provides; known here: %s; the service"
                " runs on without",
                name,
                ", ".join(known) or "none",
            )
        return False
    try:
        found.load()
    except Exception as error:  # noqa: BLE001  # a broken installation
        report_setup(
            f"otelext: the exporter %r named by {exporters} can't be loaded (%r); the service runs on", name, error
        )
        return False
    return name != _PROMETHEUS or _is_port()


def _is_port() -> bool:
    text = os.environ.get(OTEL_EXPORTER_PROMETHEUS_PORT, "9464")
    if text.strip().isdecimal():
        return True
    report_setup(
        f"otelext: {OTEL_EXPORTER_PROMETHEUS_PORT}=%r is no port, so the metrics of this process can't be scraped; it"
        " is a whole number such as 9464",
        text,
    )
    return False
