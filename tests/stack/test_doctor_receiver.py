"""`otelext doctor`, where the hop from the service to the Collector is broken: each way is built, and named by it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.stack.collectors import Collector, backends
from tests.stack.composition import free_ports
from tests.stack.doctor import at, examined

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack.certificates import Certificates
    from tests.stack.doctor import Examined
    from tests.stack.stack import Stack

pytestmark = pytest.mark.timeout(120)

SENDS = {"send.traces", "send.metrics", "send.logs"}
GRPC = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}


def names(found: Examined, cause: str, next_step: str, failed: set[str] | None = None) -> None:
    """Exactly these hops fail, each for this cause and with this next step; what is behind them is not looked for."""
    failed = SENDS if failed is None else failed
    assert found.failed == failed, found.report
    assert found.status == 1
    for check in failed:
        assert cause in found[check]["cause"], found[check]
        assert next_step in found[check]["next_step"], found[check]
    if failed == SENDS:
        assert {found.levels[check] for check in ("metric", "exemplar", "trace", "log")} == {"skipped"}
        assert found.seconds < 10


@pytest.mark.parametrize("protocol", [{}, GRPC], ids=["http", "grpc"])
def test_nothing_listens(stack: Stack, protocol: dict[str, str]) -> None:
    _, port, _ = free_ports(3)
    step = "docker compose -f docker-compose.otel.yml up --detach"
    names(examined(at(stack, f"http://127.0.0.1:{port}", **protocol)), f"nothing listens at 127.0.0.1:{port}", step)


@pytest.mark.parametrize(
    ("service", "port", "name"),
    [
        ("jaeger", 16686, "Jaeger's page and API"),
        ("prometheus", 9090, "Prometheus"),
        ("loki", 3100, "Loki"),
        ("collector", 13133, "a Collector's health check"),
    ],
)
def test_the_port_is_another_server_s(stack: Stack, service: str, port: int, name: str) -> None:
    wrong = stack.composition.url(service, port)
    found = examined(at(stack, wrong))
    names(found, f"{name} answers at", "export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318")
    assert "wrong" in found["send.traces"]["cause"]


def test_grpc_is_sent_to_another_server_s_port(stack: Stack) -> None:
    found = examined(at(stack, stack.composition.url("prometheus", 9090), **GRPC))
    names(found, "Prometheus answers at", "export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4317")


@pytest.fixture(scope="module")
def neighbours(
    stack: Stack, programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Collector]:
    """A Collector with its two ports side by side, as 4317 and 4318 are, and nothing beside them."""
    grpc_port, http_port, _ = free_ports(3)
    variables: dict[str, str | Path | int] = {**backends(stack), "GRPC_PORT": grpc_port, "HTTP_PORT": http_port}
    folder = tmp_path_factory.mktemp("neighbours")
    with Collector("neighbours", programs["otelcol"], ["single.yaml"], folder, variables) as collector:
        yield collector


def test_the_port_is_wrong_and_the_right_one_beside_it(stack: Stack, neighbours: Collector) -> None:
    right = neighbours.otlp_http
    wrong = int(right.rpartition(":")[2]) + 1
    found = examined(at(stack, f"http://127.0.0.1:{wrong}"))
    names(found, "the port is wrong", f"export OTEL_EXPORTER_OTLP_ENDPOINT={right}")


def test_the_right_port_is_one_that_the_composition_was_given(stack: Stack) -> None:
    _, wrong, _ = free_ports(3)
    environment = at(stack, f"http://127.0.0.1:{wrong}", OTLP_HTTP_PORT=stack.otlp_http.rpartition(":")[2])
    names(examined(environment), "the port is wrong", f"export OTEL_EXPORTER_OTLP_ENDPOINT={stack.otlp_http}")


def test_http_is_sent_to_the_grpc_port(stack: Stack, neighbours: Collector) -> None:
    found = examined(at(stack, f"http://{neighbours.otlp_grpc}"))
    names(found, "HTTP is sent to port", f"export OTEL_EXPORTER_OTLP_ENDPOINT={neighbours.otlp_http}")
    assert "which speaks gRPC" in found["send.traces"]["cause"]


def test_grpc_is_sent_to_the_http_port(stack: Stack, neighbours: Collector) -> None:
    found = examined(at(stack, neighbours.otlp_http, **GRPC))
    names(found, "gRPC is sent to port", f"export OTEL_EXPORTER_OTLP_ENDPOINT=http://{neighbours.otlp_grpc}")
    assert "which speaks HTTP" in found["send.traces"]["cause"]


def test_the_protocol_is_wrong_where_the_other_port_is_nowhere_to_be_seen(stack: Stack) -> None:
    names(examined(at(stack, f"http://{stack.otlp_grpc}")), "speaks gRPC", "export OTEL_EXPORTER_OTLP_PROTOCOL=grpc")
    found = examined(at(stack, stack.otlp_http, **GRPC))
    names(found, "speaks HTTP", "export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf")


@pytest.fixture(scope="module")
def asking_for_tokens(
    stack: Stack, programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Collector]:
    folder = tmp_path_factory.mktemp("bearer")
    (folder / "tokens").write_text("the-token\n")
    variables: dict[str, str | Path | int] = {**backends(stack), "TOKEN_FILE": folder / "tokens"}
    files = ["single.yaml", "access/bearer.yaml"]
    with Collector("bearer", programs["otelcol"], files, folder, variables) as collector:
        yield collector


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_credentials(stack: Stack, asking_for_tokens: Collector, protocol: str) -> None:
    endpoint = asking_for_tokens.otlp_http if protocol != "grpc" else f"http://{asking_for_tokens.otlp_grpc}"

    def found(**headers: str) -> Examined:
        return examined(at(stack, endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol, **headers))

    step = "export OTEL_EXPORTER_OTLP_HEADERS=Authorization=Bearer%20TOKEN"
    names(found(), "credentials are missing", step)
    wrong = found(OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20another-secret")
    names(wrong, "the credentials are wrong", step)
    assert "another-secret" not in str(wrong.report)
    names(found(OTEL_EXPORTER_OTLP_HEADERS="authorization=the-token"), "lacks its scheme", step)
    right = found(OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20the-token")
    assert right.status == 0, right.report
    assert set(right.levels.values()) <= {"ok", "skipped"}


@pytest.fixture(scope="module")
def asking_for_certificates(
    stack: Stack, programs: dict[str, Path], certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Collector]:
    variables: dict[str, str | Path | int] = {**backends(stack), "TLS": certificates.server.folder}
    files = ["single.yaml", "access/mtls.yaml"]
    with Collector("mtls", programs["otelcol"], files, tmp_path_factory.mktemp("mtls"), variables) as collector:
        yield collector


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_certificates(
    stack: Stack, asking_for_certificates: Collector, certificates: Certificates, protocol: str
) -> None:
    place = asking_for_certificates.otlp_http.removeprefix("http://")
    if protocol == "grpc":
        place = asking_for_certificates.otlp_grpc
    ours = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(certificates.server.authority)}

    def shown(certificate: str) -> dict[str, str]:
        made = getattr(certificates, certificate)
        return {
            **ours,
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(made.chain),
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(made.key),
        }

    def found(scheme: str = "https", **variables: str) -> Examined:
        return examined(at(stack, f"{scheme}://{place}", OTEL_EXPORTER_OTLP_PROTOCOL=protocol, **variables))

    names(found("http"), "plain text is sent to", f"export OTEL_EXPORTER_OTLP_ENDPOINT=https://{place}")
    names(found(), "is not trusted here", "export OTEL_EXPORTER_OTLP_CERTIFICATE=ca.crt")
    step = "export OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=tls.crt OTEL_EXPORTER_OTLP_CLIENT_KEY=tls.key"
    names(found(**ours), "asks for a client certificate, and none is shown", step)
    for wrong in ("foreign", "expired"):
        names(found(**shown(wrong)), "refuses the client certificate", "openssl x509 -noout -issuer -dates -in")
    right = found(**shown("client"))
    assert right.status == 0, right.report


def test_protocols_are_mixed_up_within_tls(
    stack: Stack, asking_for_certificates: Collector, certificates: Certificates
) -> None:
    shown = {
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(certificates.server.authority),
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(certificates.client.chain),
        "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(certificates.client.key),
    }
    found = examined(at(stack, f"https://{asking_for_certificates.otlp_grpc}", **shown))
    names(found, "HTTP is sent to port", "export OTEL_EXPORTER_OTLP_PROTOCOL=grpc")
    assert "which speaks gRPC" in found["send.logs"]["cause"]
    found = examined(at(stack, asking_for_certificates.otlp_http.replace("http:", "https:"), **GRPC, **shown))
    names(found, "gRPC is sent to port", "export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf")
    assert "which speaks HTTP" in found["send.logs"]["cause"]


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_tls_is_spoken_to_plain_text(stack: Stack, protocol: str) -> None:
    place = stack.otlp_grpc if protocol == "grpc" else stack.otlp_http.removeprefix("http://")
    found = examined(at(stack, f"https://{place}", OTEL_EXPORTER_OTLP_PROTOCOL=protocol))
    names(found, f"TLS is spoken to {place}", f"export OTEL_EXPORTER_OTLP_ENDPOINT=http://{place}")


def test_an_address_without_a_scheme_means_tls_over_grpc(stack: Stack) -> None:
    found = examined(at(stack, stack.otlp_grpc, **GRPC))
    names(found, "an address without http:// means TLS", f"ENDPOINT=http://{stack.otlp_grpc}")
    assert examined(at(stack, stack.otlp_grpc, **GRPC, OTEL_EXPORTER_OTLP_INSECURE="true")).status == 0


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_collector_without_a_pipeline_for_a_signal(
    stack: Stack, programs: dict[str, Path], tmp_path: Path, protocol: str
) -> None:
    # The Collector's own lines keep their pipeline; applications have none.
    without = "yaml:service::pipelines::logs: {receivers: [otlp/collector], exporters: [otlp_http/loki]}"
    variables: dict[str, str | Path | int] = dict(backends(stack))
    with Collector("no-logs", programs["otelcol"], ["single.yaml", without], tmp_path, variables) as collector:
        endpoint = collector.otlp_http if protocol != "grpc" else f"http://{collector.otlp_grpc}"
        found = examined(at(stack, endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol))
    names(found, "no pipeline for logs, though it takes metrics and traces", "service.pipelines", {"send.logs"})
    assert found.levels["trace"] == found.levels["metric"] == found.levels["exemplar_to_trace"] == "ok"
    assert found.levels["log"] == "skipped"


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_collector_that_refuses_for_lack_of_memory(
    stack: Stack, programs: dict[str, Path], tmp_path: Path, protocol: str
) -> None:
    # Less than the Collector has at its start.
    variables: dict[str, str | Path | int] = {**backends(stack), "MEMORY_LIMIT_MIB": 4, "MEMORY_SPIKE_MIB": 3}
    with Collector("small", programs["otelcol"], ["single.yaml"], tmp_path, variables) as collector:
        endpoint = collector.otlp_http if protocol != "grpc" else f"http://{collector.otlp_grpc}"
        found = examined(at(stack, endpoint, OTEL_EXPORTER_OTLP_PROTOCOL=protocol))
    names(found, "memory_limiter is over its limit", "export OTELEXT_COLLECTOR_MEMORY_LIMIT_MIB=")
