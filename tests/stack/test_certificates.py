"""Who may send: client certificates, right, missing, of another authority and expired."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING

import grpc
import httpx
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

from tests.stack import otlp_json
from tests.stack.access import exported, grpc_status, message
from tests.stack.certificates import Certificate, Certificates
from tests.stack.collectors import NO_LOG_FILES, Collector, backends
from tests.stack.documentation import documented
from tests.stack.servers import get, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack.stack import Stack

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def _no_other_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `requests`, under the SDK's exporter, finds these, it knows no other authority."""
    for variable in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture(scope="module")
def asking_for_certificates(
    stack: Stack,
    programs: dict[str, Path],
    certificates: Certificates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Collector]:
    variables: dict[str, str | Path | int] = {**backends(stack), "TLS": certificates.server.folder}
    files = ["single.yaml", "access/mtls.yaml"]
    with Collector("mtls", programs["otelcol"], files, tmp_path_factory.mktemp("mtls"), variables) as collector:
        yield collector


@pytest.fixture
def https(asking_for_certificates: Collector) -> str:
    return asking_for_certificates.otlp_http.replace("http:", "https:")


def test_one_of_our_authority_is_right(
    stack: Stack, asking_for_certificates: Collector, https: str, certificates: Certificates
) -> None:
    shown = certificates.client
    http = HttpExporter(
        f"{https}/v1/traces",
        certificate_file=str(shown.authority),
        client_certificate_file=str(shown.chain),
        client_key_file=str(shown.key),
    )
    arriving = [
        exported(http),
        exported(GrpcExporter(f"https://{asking_for_certificates.otlp_grpc}", credentials=certificates.grpc(shown))),
    ]
    assert all(arriving)
    until(lambda: all(stack.jaeger.trace(str(trace_id)) for trace_id in arriving), "a trace that was accepted")


@pytest.mark.parametrize("which", ["missing", "foreign", "expired"])
def test_any_other_is_refused_and_what_it_brought_reaches_no_backend(
    stack: Stack, asking_for_certificates: Collector, https: str, certificates: Certificates, which: str
) -> None:
    shown = None if which == "missing" else getattr(certificates, which)
    refused, right = otlp_json.trace_id(), otlp_json.trace_id()
    with pytest.raises(httpx.TransportError):
        otlp_json.post(https, "traces", message(refused), verify=certificates.context(shown))
    assert grpc_status(asking_for_certificates.otlp_grpc, certificates.grpc(shown)) is grpc.StatusCode.UNAVAILABLE
    assert (
        exported(
            GrpcExporter(
                f"https://{asking_for_certificates.otlp_grpc}", credentials=certificates.grpc(shown), timeout=2
            )
        )
        is None
    )
    ours = certificates.context(certificates.client)
    assert otlp_json.post(https, "traces", message(right), verify=ours).status_code == 200
    until(lambda: stack.jaeger.trace(right), "the trace that was accepted afterwards")
    assert stack.jaeger.trace(refused) == []


def test_plain_text_is_refused(asking_for_certificates: Collector) -> None:
    assert get(f"{asking_for_certificates.otlp_http}/v1/traces").status_code == 400
    assert grpc_status(asking_for_certificates.otlp_grpc) is grpc.StatusCode.UNAVAILABLE


def test_an_agent_whose_certificate_has_expired_keeps_what_it_has_until_it_is_renewed(
    stack: Stack, programs: dict[str, Path], certificates: Certificates, tmp_path: Path
) -> None:
    otelcol, shown = programs["otelcol"], tmp_path / "shown"
    shutil.copytree(certificates.expired.folder, shown)
    at_once = {"DECISION_WAIT": "1s", "DECISION_WAIT_AFTER_ROOT": "1s"}
    gateway = Collector(
        "gateway",
        otelcol,
        ["gateway.yaml", "access/mtls.yaml"],
        tmp_path,
        {**backends(stack), **at_once, "TLS": certificates.server.folder},
    )
    quickly = ("exporters::loadbalancing::protocol::otlp::tls", "exporters::otlp_grpc/gateway::tls")
    agent = Collector(
        "agent",
        otelcol,
        ["agent.yaml", "access/mtls_to_gateways.yaml", *(f"yaml:{tls}::reload_interval: 1s" for tls in quickly)],
        tmp_path,
        {**NO_LOG_FILES, "GATEWAY_TLS": shown, "GATEWAYS": f"[{gateway.otlp_grpc}]", "GATEWAY": gateway.otlp_grpc},
    )
    kept = otlp_json.trace_id()
    with gateway, agent:
        assert otlp_json.post(agent.otlp_http, "traces", message(kept)).status_code == 200
        until(lambda: "Exporting failed" in agent.output, "word of the agent's that it doesn't get through")
        for file in certificates.client.folder.iterdir():
            shutil.copy(file, shown)
        until(lambda: stack.jaeger.trace(kept), "the trace, once the certificate is renewed", 60)


def test_certificates_made_as_the_readme_says_are_right(programs: dict[str, Path], tmp_path: Path) -> None:
    _, commands = documented("Access", "collector/README.md")
    subprocess.run(["sh", "-eu", "-c", commands], cwd=tmp_path, check=True, capture_output=True)
    theirs, ours = Certificate(tmp_path / "collector-tls"), Certificate(tmp_path / "sender-tls")
    made = Certificates(server=theirs, client=ours, expired=ours, foreign=ours)
    files = ["single.yaml", "access/mtls.yaml"]
    with Collector("readme", programs["otelcol"], files, tmp_path, {"TLS": theirs.folder}) as collector:
        assert grpc_status(collector.otlp_grpc, made.grpc(ours)) is grpc.StatusCode.OK
        assert grpc_status(collector.otlp_grpc, made.grpc(None)) is grpc.StatusCode.UNAVAILABLE
