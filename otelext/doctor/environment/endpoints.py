"""Addresses of OTLP receivers: scheme, port and path, against what the transport needs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from otelext.doctor.environment.exports import protocol_variable
from otelext.doctor.finding import Finding
from otelext.doctor.otlp_variables import DEFAULT_ENDPOINTS, PREFIX, USUAL_PORTS, other_protocol
from otelext.doctor.shown import address, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.doctor.environment.exports import Export

_SIGNAL_PATH: Final = re.compile(r"/v1/(traces|metrics|logs)/?$")
# What these ports usually are, and where the same program takes OTLP.
_NO_RECEIVERS: Final = {
    3000: "Grafana's; send to the Collector",
    3100: "Loki's, which takes logs alone, at /otlp/v1/logs; send to the Collector",
    8888: "where a Collector shows its own metrics; it listens for OTLP on 4317 and 4318",
    8889: "where a Collector shows metrics to Prometheus; it listens for OTLP on 4317 and 4318",
    9090: "Prometheus's, which takes metrics alone, at /api/v1/otlp/v1/metrics; send to the Collector",
    9093: "Alertmanager's; send to the Collector",
    9411: "Zipkin's; send to the Collector",
    13133: "where a Collector says that it is alive; it listens for OTLP on 4317 and 4318",
    14250: "where Jaeger took its own protocol; it takes OTLP on 4317 and 4318",
    14268: "where Jaeger took its own protocol; it takes OTLP on 4317 and 4318",
    16686: "Jaeger's page; it takes OTLP on 4317 and 4318",
    55679: "a Collector's zPages; it listens for OTLP on 4317 and 4318",
    55680: "an early draft's of OTLP; 4317 and 4318 are today's",
    55681: "an early draft's of OTLP; 4317 and 4318 are today's",
}
_SCHEME: Final = re.compile(r"^https?://", re.IGNORECASE)
# https://github.com/grpc/grpc/blob/master/doc/naming.md
_NAME_OF_GRPCS: Final = re.compile(r"(unix|unix-abstract|vsock|ipv4|ipv6):(?!\d+/?$)|\w+:///")
_TO_A_BACKEND: Final = {3100: re.compile(r"/otlp/v1/logs$"), 9090: re.compile(r"/api/v1/otlp/v1/metrics$")}


def examine(export: Export) -> Iterator[Finding]:
    """What is wrong with one exporter's address; the same for several signals where they share it."""
    if export.transport == "grpc" and _NAME_OF_GRPCS.match(export.endpoint.value):
        return
    if not export.is_address:
        yield Finding(
            "environment.endpoint",
            "error",
            f"{_said(export)} is no address",
            "It is scheme, host and port; an IPv6 address stands in brackets.",
            f"export {export.endpoint.variable}={DEFAULT_ENDPOINTS[export.transport]}",
        )
        return
    found = list(_scheme(export))
    yield from found
    if any(finding.level == "error" for finding in found):
        return
    yield from _port(export)
    yield from _path(export)


def _said(export: Export) -> str:
    return shown(export.endpoint.variable, export.endpoint.value)


def _typed(export: Export, url: str) -> str:
    return f"export {export.endpoint.variable}={url}"


def _scheme(export: Export) -> Iterator[Finding]:
    value = address(export.endpoint.value)
    insecure = export.insecure
    if export.transport == "http/protobuf":
        if export.scheme not in {"http", "https"}:
            without = value.partition("://")[2] or value
            yield Finding(
                "environment.scheme",
                "error",
                f"{_said(export)} has {f'the scheme {export.scheme}' if export.scheme else 'no scheme'}, and OTLP over"
                " HTTP needs http or https",
                "Every export fails: the client knows no way to send there.",
                _typed(export, f"http://{without.lstrip('/')}"),
            )
        elif insecure.value and (insecure.value.lower() == "true") == export.uses_tls:
            yield Finding(
                "environment.tls",
                "warning",
                f"{shown(insecure.variable, insecure.value)} does nothing over http/protobuf",
                f"There the scheme of the address decides, and {value} is {'' if export.uses_tls else 'not '}TLS.",
                _typed(export, _SCHEME.sub("http://" if export.uses_tls else "https://", value)),
            )
        return
    if export.scheme == "https" and insecure.value.lower() == "true":
        yield Finding(
            "environment.tls",
            "warning",
            f"{shown(insecure.variable, insecure.value)} does nothing beside {_said(export)}",
            "https wins: TLS is spoken. A receiver without TLS then refuses the connection.",
            f"unset {insecure.variable}, or {_typed(export, value.replace('https://', 'http://', 1))}",
        )
    elif export.scheme == "http" and export.uses_tls:
        yield Finding(
            "environment.tls",
            "warning",
            f"{shown(insecure.variable, insecure.value)} makes gRPC speak TLS, although the address is {value}",
            "The Python SDK lets the variable win over http. A receiver without TLS then refuses the connection.",
            f"unset {insecure.variable}",
        )
    elif not export.scheme and export.uses_tls:
        yield Finding(
            "environment.scheme",
            "warning",
            f"{_said(export)} has no scheme, so that gRPC speaks TLS",
            "A receiver without TLS then refuses the connection.",
            _typed(export, f"http://{value}"),
        )
    elif export.scheme not in {"", "http", "https"}:
        yield Finding(
            "environment.scheme",
            "warning",
            f"{_said(export)} has the scheme {export.scheme}, so that gRPC {'speaks' if export.uses_tls else 'uses no'} TLS",
            "http and https are the schemes of OTLP, over gRPC too.",
            _typed(export, f"http://{value.partition('://')[2]}"),
        )


def _port(export: Export) -> Iterator[Finding]:
    port = export.port
    other = other_protocol(export.transport)
    if port == USUAL_PORTS[other]:
        protocol = protocol_variable(export.settings, export.signal)
        usual = USUAL_PORTS[export.transport]
        how = f"{protocol.variable} is {protocol.value}" if protocol.value else f"{protocol.variable} is not set"
        yield Finding(
            "environment.port",
            "warning",
            f"{_said(export)} has the port of OTLP over {'gRPC' if other == 'grpc' else 'HTTP'}, and {export.transport} is"
            " spoken",
            f"{how}; a receiver on its usual ports does not understand it.",
            f"{_typed(export, _with_port(export, usual))}, or export {protocol.variable}={other}",
        )
    elif port in _NO_RECEIVERS and not _is_a_backends(export):
        yield Finding(
            "environment.port",
            "warning",
            f"{_said(export)}: port {port} is usually no receiver of OTLP",
            f"It is {_NO_RECEIVERS[port]}.",
            _typed(export, _with_port(export, USUAL_PORTS[export.transport])),
        )


def _is_a_backends(export: Export) -> bool:
    path = _TO_A_BACKEND.get(export.port or 0)
    return path is not None and export.parts is not None and bool(path.search(export.parts.path))


def _with_port(export: Export, port: int) -> str:
    """The address as the user wrote it, with another port."""
    return re.sub(rf":{export.port}(?=/|$)", f":{port}", address(export.endpoint.value))


def _path(export: Export) -> Iterator[Finding]:
    assert export.parts is not None
    path = export.parts.path
    value = address(export.endpoint.value)
    if export.transport == "grpc":
        if _SIGNAL_PATH.search(path):
            yield Finding(
                "environment.path",
                "warning",
                f"{_said(export)} has a path, which gRPC does not use",
                "It is an address for OTLP over HTTP, and gRPC is spoken.",
                f"export {PREFIX}PROTOCOL=http/protobuf",
            )
    elif not export.endpoint.own and (twice := _SIGNAL_PATH.search(export.endpoint.value)) is not None:
        yield Finding(
            "environment.path",
            "error",
            f"{_said(export)} ends in {twice[0]}, and the SDK appends the path of each signal to it",
            f"Traces are sent to {value.rstrip('/')}/v1/traces, where nothing answers.",
            _typed(export, _SIGNAL_PATH.sub("", value)),
        )
    elif export.endpoint.own and path in {"", "/"}:
        yield Finding(
            "environment.path",
            "error",
            f"{_said(export)} has no path, and the SDK appends none to the address of one signal",
            f"It sends to {value.rstrip('/')}/, where nothing answers; {PREFIX}ENDPOINT is the one that takes no path.",
            _typed(export, f"{value.rstrip('/')}/v1/{export.signal}"),
        )
    elif export.endpoint.own and (of := _SIGNAL_PATH.search(path)) is not None and of[1] != export.signal:
        yield Finding(
            "environment.path",
            "error",
            f"{_said(export)} is where {of[1]} go, and {export.signal} are sent there",
            "The receiver refuses them, or takes them for something else.",
            _typed(export, _SIGNAL_PATH.sub(f"/v1/{export.signal}", value)),
        )
