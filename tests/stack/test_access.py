"""Who may send: bearer tokens and client certificates, right, missing, wrong and expired."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

from otelext import semconv
from tests.stack import otlp_json
from tests.stack.access import EMPTY, exported, grpc_status, message
from tests.stack.collectors import FILES, NO_LOG_FILES, Collector, backends
from tests.stack.servers import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stack.certificates import Certificates
    from tests.stack.stack import Stack

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("tokens") / "tokens"
    file.write_text("the-first-token\nthe-second-token\n\n")
    return file


@pytest.fixture(scope="module")
def asking_for_tokens(
    stack: Stack, programs: dict[str, Path], tokens: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Collector]:
    variables: dict[str, str | Path | int] = {**backends(stack), "TOKEN_FILE": tokens}
    files = ["single.yaml", "access/bearer.yaml"]
    with Collector("bearer", programs["otelcol"], files, tmp_path_factory.mktemp("bearer"), variables) as collector:
        yield collector


@pytest.mark.parametrize("token", ["the-first-token", "the-second-token"])
def test_each_token_of_the_file_is_right(stack: Stack, asking_for_tokens: Collector, token: str) -> None:
    headers = {"authorization": f"Bearer {token}"}
    arriving = [
        exported(HttpExporter(f"{asking_for_tokens.otlp_http}/v1/traces", headers=headers)),
        exported(GrpcExporter(asking_for_tokens.otlp_grpc, insecure=True, headers=headers)),
    ]
    assert all(arriving)
    until(lambda: all(stack.jaeger.trace(str(trace_id)) for trace_id in arriving), "a trace that was accepted")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer another-token"},
        {"authorization": "Bearer"},
        {"authorization": ""},
        {"authorization": "the-first-token"},
        {"authorization": "Basic the-first-token"},
        {"authorization": "Bearer the-first-token the-second-token"},
        {"x-authorization": "Bearer the-first-token"},
    ],
    ids=str,
)
def test_anything_else_is_refused_for_every_signal(asking_for_tokens: Collector, headers: dict[str, str]) -> None:
    readme = " ".join((FILES / "README.md").read_text().split())
    for signal, nothing in EMPTY.items():
        answer = otlp_json.post(asking_for_tokens.otlp_http, signal, nothing, headers=headers)
        assert answer.status_code == 401, signal
        assert f"`{answer.json()['message']}`" in readme
    assert grpc_status(asking_for_tokens.otlp_grpc, metadata=headers) is grpc.StatusCode.UNAUTHENTICATED


def test_a_blank_line_of_the_file_is_no_token(asking_for_tokens: Collector) -> None:
    # Over HTTP nobody can send this.
    assert (
        grpc_status(asking_for_tokens.otlp_grpc, metadata={"authorization": "Bearer "})
        is grpc.StatusCode.UNAUTHENTICATED
    )


def test_what_was_refused_reaches_no_backend(stack: Stack, asking_for_tokens: Collector) -> None:
    refused, right = otlp_json.trace_id(), otlp_json.trace_id()
    assert otlp_json.post(asking_for_tokens.otlp_http, "traces", message(refused)).status_code == 401
    headers = {"authorization": "Bearer wrong"}
    assert exported(HttpExporter(f"{asking_for_tokens.otlp_http}/v1/traces", headers=headers, timeout=2)) is None
    assert exported(GrpcExporter(asking_for_tokens.otlp_grpc, insecure=True, headers=headers, timeout=2)) is None
    headers = {"authorization": "Bearer the-first-token"}
    assert otlp_json.post(asking_for_tokens.otlp_http, "traces", message(right), headers=headers).status_code == 200
    until(lambda: stack.jaeger.trace(right), "the trace that was accepted afterwards")
    assert stack.jaeger.trace(refused) == []


def write_anew(file: Path, text: str) -> None:
    file.write_text(text)


def replace(file: Path, text: str) -> None:
    file.with_suffix(".new").write_text(text)
    file.with_suffix(".new").rename(file)


def mount_anew(file: Path, text: str) -> None:
    """As Kubernetes does with a secret: the file is a link to one in a folder behind a link, and this one changes."""
    link = file.with_name("..data")
    before = link.readlink() if link.is_symlink() else None
    after = Path(tempfile.mkdtemp(dir=file.parent))
    (after / file.name).write_text(text)
    link.with_suffix(".new").symlink_to(after)
    link.with_suffix(".new").rename(link)
    if before:
        shutil.rmtree(before)
    else:
        file.symlink_to(link / file.name)


@pytest.mark.parametrize("change", [write_anew, replace, mount_anew])
def test_a_token_that_was_taken_out_of_the_file_has_expired(
    programs: dict[str, Path], tmp_path: Path, change: Callable[[Path, str], None]
) -> None:
    tokens = tmp_path / "tokens"
    change(tokens, "token-0\n")
    files = ["single.yaml", "access/bearer.yaml"]
    with Collector("bearer", programs["otelcol"], files, tmp_path, {"TOKEN_FILE": tokens}) as collector:

        def status(token: str) -> int:
            headers = {"authorization": f"Bearer {token}"}
            return otlp_json.post(collector.otlp_http, "traces", EMPTY["traces"], headers=headers).status_code

        def accepted(token: str) -> bool:
            return status(token) == 200

        def renew(n: int) -> None:
            # The Collector's watch of a file that was replaced begins anew a moment after it has read it: what is
            # written in between it does not see, and has to be written again.
            for _ in range(6):
                change(tokens, f"token-{n}\n")
                with suppress(AssertionError):
                    until(partial(accepted, f"token-{n}"), "acceptance of the new token", 5)
                    return
            assert accepted(f"token-{n}")

        assert accepted("token-0")
        for n in (1, 2):
            renew(n)
            assert status(f"token-{n - 1}") == 401


def test_an_agent_that_asks_for_tokens_gets_through_with_a_certificate_and_once_its_own_token_is_right(
    stack: Stack, programs: dict[str, Path], certificates: Certificates, tmp_path: Path
) -> None:
    theirs, ours, its_senders = (tmp_path / name for name in ("gateways-tokens", "agents-token", "senders-token"))
    theirs.write_text("right\n")
    ours.write_text("wrong\n")
    its_senders.write_text("sender\n")
    headers = {"authorization": "Bearer sender"}
    otelcol = programs["otelcol"]
    at_once = {"DECISION_WAIT": "1s", "DECISION_WAIT_AFTER_ROOT": "1s"}
    gateway = Collector(
        "gateway",
        otelcol,
        ["gateway.yaml", "access/mtls.yaml", "access/bearer.yaml"],
        tmp_path / "gateway",
        {**backends(stack), **at_once, "TLS": certificates.server.folder, "TOKEN_FILE": theirs},
    )
    shown = {"GATEWAY_TLS": certificates.client.folder, "GATEWAY_TOKEN_FILE": ours}
    agent = Collector(
        "agent",
        otelcol,
        [
            "agent.yaml",
            "access/bearer.yaml",
            "access/mtls_to_gateways.yaml",
            "access/bearer_to_gateways.yaml",
            # As bearer_to_gateways.yaml says.
            "yaml:service::extensions: [health_check, file_storage, bearertokenauth, bearertokenauth/gateways]",
        ],
        tmp_path / "agent",
        {
            **NO_LOG_FILES,
            **shown,
            "TOKEN_FILE": its_senders,
            "GATEWAYS": f"[{gateway.otlp_grpc}]",
            "GATEWAY": gateway.otlp_grpc,
        },
    )
    refused, right = otlp_json.trace_id(), otlp_json.trace_id()
    record = {"timeUnixNano": str(time.time_ns()), "body": {"stringValue": "x"}, "attributes": []}

    def send(signal: str, what: dict[str, Any], **more: Any) -> int:
        return otlp_json.post(agent.otlp_http, signal, what, **more).status_code

    with ExitStack() as running:
        for server in (gateway, agent):
            running.enter_context(server)
        assert send("traces", message(refused)) == 401
        assert send("traces", message(refused), headers=headers) == 200
        until(lambda: "Unauthenticated" in agent.output, "word of the agent's that the gateway refuses it")
        ours.write_text("right\n")

        def arrived() -> bool:
            return send("traces", message(right), headers=headers) == 200 and bool(stack.jaeger.trace(right))

        until(arrived, "a trace, once the agent's token is right", 60)
        lines = otlp_json.logs([record], {semconv.SERVICE_NAME: "through-mtls"})
        assert send("logs", lines, headers=headers) == 200
        until(lambda: stack.loki.lines('{service_name="through-mtls"}'), "the line of an agent whose token is right")
        assert stack.jaeger.trace(refused) == []


def test_a_credential_that_nobody_gave_stops_the_collector_with_its_name(
    programs: dict[str, Path], certificates: Certificates, tmp_path: Path
) -> None:
    cases = [
        ("TOKEN_FILE", ["single.yaml", "access/bearer.yaml"]),
        ("TOKEN_FILE", ["gateway.yaml", "access/bearer.yaml"]),
        ("TLS", ["gateway.yaml", "access/mtls.yaml"]),
        ("GATEWAY_TLS", ["agent.yaml", "access/mtls_to_gateways.yaml"]),
        ("GATEWAY_TOKEN_FILE", ["agent.yaml", "access/mtls_to_gateways.yaml", "access/bearer_to_gateways.yaml"]),
    ]
    with ExitStack() as running:
        started: list[tuple[str, Collector]] = []
        for n, (missing, files) in enumerate(cases):
            given = dict.fromkeys({"TLS", "GATEWAY_TLS"} - {missing}, certificates.server.folder)
            collector = Collector(f"without-{n}", programs["otelcol"], files, tmp_path, given)
            running.push(collector)
            collector.start(wait=False)
            started.append((missing, collector))
        until(lambda: not any(c.is_running for _, c in started), "the end of a Collector that lacks a credential")
        for missing, collector in started:
            assert f"OTELEXT_COLLECTOR_{missing} is not set" in collector.output
