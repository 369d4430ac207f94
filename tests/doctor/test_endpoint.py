"""Where a service sends, read as the SDK's exporters read it: these are asked themselves."""

from __future__ import annotations

import os
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.grpc import exporter as grpc_exporter
from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogs
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcTraces
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetrics
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpTraces

from otelext.doctor.endpoint import SIGNALS, AddressError, endpoints
from otelext.doctor.otlp_variables import headers

HTTP: dict[str, Any] = {"traces": HttpTraces, "metrics": HttpMetrics, "logs": HttpLogs}
GRPC: dict[str, Any] = {"traces": GrpcTraces, "metrics": GrpcMetrics, "logs": GrpcLogs}

URLS = st.sampled_from(
    [
        "http://collector:4318",
        "https://collector",
        "http://10.0.0.1:4318/",
        "https://u:p@host/base",
        "http://[::1]:9/x/",
    ]
)
# Over gRPC the scheme may be missing.
TARGETS = st.one_of(URLS, st.sampled_from(["collector:4317", "10.0.0.1:4317"]))
VALUES = {
    "HEADERS": st.sampled_from(["authorization=Bearer%20secret", "a=1,B=two words", "x-api-key=k=v"]),
    "TIMEOUT": st.sampled_from(["1", "2.5", "30"]),
    "COMPRESSION": st.sampled_from(["gzip", "deflate", "none", "GZIP"]),
    "CERTIFICATE": st.just("/ca.crt"),
    "CLIENT_CERTIFICATE": st.just("/tls.crt"),
    "CLIENT_KEY": st.just("/tls.key"),
}


def _own(text: str, place: str) -> str:
    """A file of its own for each place, so that it shows which one was read."""
    return f"/{place.lower()}{text[1:]}" if text.startswith("/") else text


def environments(addresses: st.SearchStrategy[str], further: dict[str, st.SearchStrategy[str]]) -> Any:
    """Any of the variables, of all signals and of each."""
    kinds = {"ENDPOINT": addresses, **VALUES, **further}
    places = ("", *(f"{signal.upper()}_" for signal in SIGNALS))
    named = {}
    for place in places:
        for kind, values in kinds.items():
            named[f"OTEL_EXPORTER_OTLP_{place}{kind}"] = values.map(lambda text, at=place: _own(text, at))  # type: ignore[misc]
    return st.fixed_dictionaries({}, optional=named)


@given(environments(URLS, {}))
def test_over_http_everything_is_as_the_exporter_has_it(environ: dict[str, str]) -> None:
    found = endpoints(environ)
    for signal in SIGNALS:
        with mock.patch.dict(os.environ, environ):
            exporter = HTTP[signal]()
        ours, client = found[signal], exporter._client
        assert ours.url == exporter._endpoint
        assert ours.secure == exporter._endpoint.startswith("https")
        assert ours.timeout == client._timeout
        assert ours.compression == client._compression.value
        assert dict(ours.headers).items() <= client._headers.items()
        session = client._transport._session
        assert (ours.certificate or True) == session.verify
        shown = (ours.client_certificate, ours.client_key) if ours.client_key else ours.client_certificate
        assert session.cert == (shown if ours.client_certificate else None)
        exporter.shutdown()


# Any other compression, `none` included, raises in these exporters.
OF_GRPC = {"INSECURE": st.sampled_from(["true", "false", "True"]), "COMPRESSION": st.sampled_from(["gzip", "GZIP"])}


@given(environments(TARGETS, OF_GRPC))
def test_over_grpc_everything_is_as_the_exporter_has_it(environ: dict[str, str]) -> None:
    found = endpoints({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", **environ})
    compressions = {0: "none", 1: "deflate", 2: "gzip"}
    for signal in SIGNALS:
        read: list[tuple[str | None, ...]] = []
        with (
            mock.patch.dict(os.environ, environ),
            mock.patch.object(grpc_exporter, "_load_credentials", lambda *files, read=read: read.append(files)),
        ):
            exporter = GRPC[signal]()
        ours = found[signal]
        assert ours.url == exporter._endpoint
        assert ours.secure != exporter._insecure
        assert ours.timeout == exporter._timeout
        assert ours.compression == compressions[exporter._compression.value]
        assert ours.headers == tuple(exporter._headers)
        if ours.secure and ours.certificate:
            # Certificate, key, chain: as the exporter read them first, for the signal where it has a file of its own.
            assert (ours.certificate, ours.client_key, ours.client_certificate) == read[0]
        elif ours.secure:
            assert not read
            assert ours.client_certificate is None
        exporter.shutdown()


def test_without_any_variable_it_is_what_otelext_sends_to() -> None:
    found = endpoints({})
    assert [found[signal].url for signal in SIGNALS] == [f"http://localhost:4318/v1/{signal}" for signal in SIGNALS]
    assert {one.source for one in found.values()} == {"default"}
    assert endpoints({}, protocol="grpc")["logs"].url == "localhost:4317"


@pytest.mark.parametrize(
    ("exporter", "protocol", "expected"),
    [
        ("otlp_proto_grpc", "http/protobuf", "grpc"),
        ("console, otlp_proto_http", "grpc", "http/protobuf"),
        ("otlp", "grpc", "grpc"),
        ("", "GRPC", "grpc"),
        ("", "http/json", "http/protobuf"),
    ],
)
def test_an_exporter_s_name_may_hold_the_protocol(exporter: str, protocol: str, expected: str) -> None:
    found = endpoints({"OTEL_LOGS_EXPORTER": exporter, "OTEL_EXPORTER_OTLP_PROTOCOL": protocol})
    assert found["logs"].protocol == expected


def test_options_go_before_the_environment() -> None:
    environ = {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://logs:1/x", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    found = endpoints(environ, endpoint="http://here:2/base/", protocol="http/protobuf")
    assert found["logs"].url == "http://here:2/base/v1/logs"
    assert found["logs"].source == "--endpoint"
    assert endpoints(environ)["logs"].source == "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"


@pytest.mark.parametrize(
    ("url", "protocol", "host", "port"),
    [
        ("http://collector", "http/protobuf", "collector", 80),
        ("https://collector", "http/protobuf", "collector", 443),
        ("http://collector:99999", "http/protobuf", "collector", 80),
        ("http://[::1]:4318", "http/protobuf", "::1", 4318),
        ("collector", "grpc", "collector", 443),
        ("collector:4317", "grpc", "collector", 4317),
        ("http://user:secret@collector:4317", "grpc", "collector", 4317),
    ],
)
def test_host_and_port(url: str, protocol: Any, host: str, port: int) -> None:
    found = endpoints({}, endpoint=url, protocol=protocol)["traces"]
    assert (found.host, found.port) == (host, port)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_credentials_are_in_no_text_of_an_endpoint(protocol: Any) -> None:
    environ = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20secret"}
    found = endpoints(environ, endpoint="http://user:secret@collector:4317/?key=secret", protocol=protocol)["traces"]
    assert found.authorized
    assert "secret" not in f"{found} {found!r} {found.shown} {found.base}"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("collector:4318", "neither http:// nor https://"),
        ("ftp://h", "neither"),
        ("http://", "no host"),
        ("http://[::1", "malformed"),
    ],
)
def test_an_address_that_is_none_is_named_by_where_it_stands(url: str, why: str) -> None:
    with pytest.raises(AddressError, match=f"OTEL_EXPORTER_OTLP_ENDPOINT.*{why}"):
        endpoints({"OTEL_EXPORTER_OTLP_ENDPOINT": url})


def test_headers_that_cannot_be_read_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    assert headers("authorization=secret;x") == ()
    assert headers("a=1, b = two%20words") == (("a", "1"), ("b", "two words"))
    assert not caplog.records
