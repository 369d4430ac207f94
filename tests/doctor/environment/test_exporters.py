"""Exporters, protocols and addresses: judged by what the SDK's own exporters make of the same environment."""

from __future__ import annotations

import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetrics
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpans
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogs
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpans

from otelext.doctor.environment import examine
from otelext.doctor.environment.exports import Export, exports
from otelext.doctor.environment.installed import installed
from otelext.doctor.environment.start import Settings, choice
from tests.doctor.environment.looks import PATH, fine, only, wrong

HERE = installed()
GENERAL = "OTEL_EXPORTER_OTLP_ENDPOINT"
TRACES = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"


def made(environ: dict[str, str]) -> dict[str, Export]:
    return {one.signal: one for one in exports(Settings(environ, choice("distro", environ, HERE)))}


ADDRESSES = st.sampled_from(
    [
        "http://localhost:4317",
        "https://collector:4317",
        "collector:4317",
        "localhost",
        "http://a/v1/traces",
        "http://a:4318/",
        "HTTPS://A.example",
        "grpc://a:1",
        "http://[::1]:4318",
        "10.0.0.1:4317",
        "http://a:4318/base/",
    ]
)
SWITCH = st.sampled_from(["true", "false", "TRUE", "1", "False"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(
    environ=st.fixed_dictionaries(
        {PROTOCOL: st.sampled_from(["grpc", "http/protobuf"])},
        optional={
            GENERAL: ADDRESSES,
            TRACES: ADDRESSES,
            "OTEL_EXPORTER_OTLP_INSECURE": SWITCH,
            "OTEL_EXPORTER_OTLP_TRACES_INSECURE": SWITCH,
            "OTEL_EXPORTER_OTLP_METRICS_INSECURE": SWITCH,
        },
    )
)
def test_an_export_is_what_the_sdk_makes_of_the_environment(monkeypatch, environ) -> None:
    found = made(environ)
    with monkeypatch.context() as patched:
        for name, value in environ.items():
            patched.setenv(name, value)
        if environ[PROTOCOL] == "grpc":
            for signal, exporter in (("traces", GrpcSpans()), ("metrics", GrpcMetrics())):
                assert found[signal].uses_tls == (not exporter._insecure)
                assert found[signal].url.endswith(exporter._endpoint) or exporter._endpoint in found[signal].url
                exporter.shutdown()
        else:
            assert found["traces"].url == HttpSpans()._endpoint
            assert found["logs"].url == HttpLogs()._endpoint
            assert found["logs"].uses_tls == HttpLogs()._endpoint.lower().startswith("https://")


def test_three_signals_with_one_fault_say_it_once() -> None:
    finding = only(**{GENERAL: "http://localhost:4317"})
    assert (finding.check, finding.level) == ("environment.port", "warning")
    assert (
        f"{GENERAL}=http://localhost:4317 has the port of OTLP over gRPC, and http/protobuf is spoken"
        in finding.summary
    )
    assert finding.next_step == f"export {GENERAL}=http://localhost:4318, or export {PROTOCOL}=grpc"


def test_grpc_at_the_port_of_http_is_named() -> None:
    finding = only(**{PROTOCOL: "grpc", GENERAL: "http://collector.example:4318"})
    assert finding.check == "environment.port"
    assert finding.next_step == f"export {GENERAL}=http://collector.example:4317, or export {PROTOCOL}=http/protobuf"


@pytest.mark.parametrize("step", ["port", "protocol"])
def test_either_of_the_two_ways_out_of_a_mix_up_helps(step) -> None:
    if step == "port":
        assert not wrong(**{GENERAL: "http://localhost:4318"})
    else:
        assert not wrong(**{GENERAL: "http://localhost:4317", PROTOCOL: "grpc"})


@pytest.mark.parametrize("port", [3000, 3100, 8888, 9090, 9411, 13133, 14268, 16686, 55680])
def test_ports_of_other_programs_are_named(port) -> None:
    finding = only(**{GENERAL: f"http://backend:{port}"})
    assert finding.check == "environment.port"
    assert f"port {port}" in finding.summary
    assert finding.next_step == f"export {GENERAL}=http://backend:4318"


@pytest.mark.parametrize(
    ("signal", "url"),
    [
        ("METRICS", "http://prometheus:9090/api/v1/otlp/v1/metrics"),
        ("LOGS", "http://loki:3100/otlp/v1/logs"),
        ("TRACES", "https://vendor.example/api/otlp/v1/traces"),
        ("TRACES", "https://vendor.example/ingest/0123"),
    ],
)
def test_backends_that_take_otlp_themselves_are_in_order(signal, url) -> None:
    assert not wrong(**{f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT": url})


def test_the_path_of_a_signal_in_the_address_of_all_is_an_error() -> None:
    finding = only(**{GENERAL: "http://localhost:4318/v1/traces"})
    assert (finding.check, finding.level) == ("environment.path", "error")
    assert "http://localhost:4318/v1/traces/v1/traces" in (finding.cause or "")
    assert finding.next_step == f"export {GENERAL}=http://localhost:4318"


@pytest.mark.parametrize("end", ["", "/"])
def test_the_address_of_one_signal_without_a_path_is_an_error(end) -> None:
    finding = only(**{TRACES: f"http://localhost:4318{end}"})
    assert (finding.check, finding.level) == ("environment.path", "error")
    assert finding.next_step == f"export {TRACES}=http://localhost:4318/v1/traces"


def test_the_path_of_another_signal_is_an_error() -> None:
    finding = only(**{TRACES: "http://localhost:4318/v1/logs"})
    assert (finding.check, finding.level) == ("environment.path", "error")
    assert finding.next_step == f"export {TRACES}=http://localhost:4318/v1/traces"


def test_an_address_of_http_given_to_grpc_is_named() -> None:
    finding = only(**{PROTOCOL: "grpc", TRACES: "http://localhost:4317/v1/traces"})
    assert finding.check == "environment.path"


@pytest.mark.parametrize("value", ["localhost:4318", "collector", "grpc://collector:4318", "//collector:4318"])
def test_an_address_without_http_is_an_error_over_http(value) -> None:
    finding = only(**{GENERAL: value})
    assert (finding.check, finding.level) == ("environment.scheme", "error")
    place = value.rpartition("/")[2]
    assert finding.next_step == f"export {GENERAL}=http://{place}"


def test_an_address_without_a_scheme_speaks_tls_over_grpc() -> None:
    finding = only(**{PROTOCOL: "grpc", GENERAL: "collector:4317"})
    assert (finding.check, finding.level) == ("environment.scheme", "warning")
    assert not wrong(**{PROTOCOL: "grpc", GENERAL: "collector:4317", "OTEL_EXPORTER_OTLP_INSECURE": "true"})


@pytest.mark.parametrize("value", ["unix:/run/otel.sock", "dns:///collector:4317", "ipv4:10.0.0.1:4317"])
def test_names_of_grpcs_own_are_no_matter(value) -> None:
    assert not wrong(**{PROTOCOL: "grpc", GENERAL: value, "OTEL_EXPORTER_OTLP_INSECURE": "true"})


@pytest.mark.parametrize("value", ["http://[::1:4318", "http://collector:port", "http://", "http://:4318"])
def test_what_is_no_address_is_an_error(value) -> None:
    finding = only(**{GENERAL: value})
    assert (finding.check, finding.level) == ("environment.endpoint", "error")


def test_https_wins_over_insecure_over_grpc() -> None:
    finding = only(**{PROTOCOL: "grpc", GENERAL: "https://collector:4317", "OTEL_EXPORTER_OTLP_INSECURE": "true"})
    assert finding.check == "environment.tls"
    assert "https wins" in (finding.cause or "")


@pytest.mark.parametrize("value", ["false", ""])
def test_http_does_not_win_over_insecure_over_grpc(value) -> None:
    finding = only(**{PROTOCOL: "grpc", GENERAL: "http://collector:4317", "OTEL_EXPORTER_OTLP_INSECURE": value})
    assert finding.next_step == "unset OTEL_EXPORTER_OTLP_INSECURE"
    assert "TLS" in f"{finding.summary}{finding.cause}"


@pytest.mark.parametrize(("scheme", "value"), [("https", "true"), ("http", "false")])
def test_insecure_does_nothing_over_http(scheme, value) -> None:
    finding = only(**{GENERAL: f"{scheme}://collector:4318", "OTEL_EXPORTER_OTLP_INSECURE": value})
    assert finding.check == "environment.tls"
    assert "does nothing over http/protobuf" in finding.summary
    other = "false" if value == "true" else "true"
    assert not wrong(**{GENERAL: f"{scheme}://collector:4318", "OTEL_EXPORTER_OTLP_INSECURE": other})


@pytest.mark.parametrize(
    ("value", "right"), [("http/json", "http/protobuf"), ("http", "http/protobuf"), ("gRPC", "grpc")]
)
def test_a_protocol_that_the_sdk_does_not_speak_is_named(value, right) -> None:
    finding = only(**{PROTOCOL: value})
    assert (finding.check, finding.level) == ("environment.protocol", "warning")
    assert finding.next_step == f"export {PROTOCOL}={right}"


def test_such_a_protocol_stops_another_configurator(install) -> None:
    install(
        "vendor-otel",
        entry_points="[opentelemetry_configurator]\nvendor = vendor_otel:Configurator\n",
        modules=["vendor_otel"],
    )
    found = {one.check: one for one in wrong(**{PROTOCOL: "http/json"})}
    assert found["environment.protocol"].level == "error"
    assert "gives up" in (found["environment.protocol"].cause or "")


@pytest.mark.parametrize("name", ["jaeger", "zipkin"])
def test_exporters_that_are_no_more_are_errors(name) -> None:
    finding = only(OTEL_TRACES_EXPORTER=name)
    assert (finding.check, finding.level) == ("environment.exporter", "error")
    assert finding.next_step == "export OTEL_TRACES_EXPORTER=otlp"


def test_a_misspelled_exporter_gets_the_right_one() -> None:
    assert only(OTEL_METRICS_EXPORTER="promethues").next_step == "export OTEL_METRICS_EXPORTER=prometheus"


def test_none_beside_another_exporter_is_no_exporter() -> None:
    finding = only(OTEL_TRACES_EXPORTER="otlp,none")
    assert "'none' counts only where it stands alone" in (finding.cause or "")


def test_an_exporter_by_its_own_name_wins_over_the_protocol() -> None:
    finding = only(OTEL_TRACES_EXPORTER="otlp_proto_grpc", OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="http/protobuf")
    assert finding.check == "environment.conflict"


@pytest.mark.usefixtures("nothing_installed")
def test_exporters_without_their_package_are_errors_that_name_the_extra(install) -> None:
    entry_points = (
        "[opentelemetry_distro]\notelext = otelext.distro:OtelextDistro\n"
        "[opentelemetry_configurator]\notelext = otelext.distro:OtelextConfigurator\n"
    )
    place = install("otelext", "0.1.0", entry_points=entry_points)
    assert str(place) in sys.path
    found = [one for one in examine(PATH) if one.check == "environment.exporter"]
    assert {one.level for one in found} == {"error"}
    assert {one.next_step for one in found} == {'python -m pip install "otelext[otlp]"'}
    assert "OTEL_TRACES_EXPORTER=otlp (the distro's default) needs a package" in found[0].summary
    found = [
        one for one in examine({**PATH, "OTEL_METRICS_EXPORTER": "prometheus"}) if one.check == "environment.exporter"
    ]
    assert 'python -m pip install "otelext[prometheus]"' in {one.next_step for one in found}


def test_what_is_in_order_says_where_it_goes_without_credentials() -> None:
    said = fine("environment.exporter", **{GENERAL: "https://user:hunter2@collector.example:4318/base?key=hunter2"})
    assert "traces by http/protobuf to https://collector.example:4318/base" in said
    assert "hunter2" not in said
