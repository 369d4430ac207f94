"""Causes by the receiver's answer, from facts alone; tests/stack builds most of them for real."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext.doctor.causes.receiver import why_refused
from otelext.doctor.causes.refusal import Refusal
from otelext.doctor.endpoint import SIGNALS, endpoints
from otelext.doctor.listener import Listener
from otelext.doctor.otlp_variables import USUAL_PORTS
from otelext.doctor.sender import Answer
from otelext.doctor.trouble import Trouble

if TYPE_CHECKING:
    from otelext.doctor.causes.cause import Cause

HTTP, GRPC = "http/protobuf", "grpc"


def cause(
    answer: Answer,
    speech: Any = "http",
    url: str = "http://collector:4318",
    protocol: Any = HTTP,
    environ: dict[str, str] | None = None,
    **facts: Any,
) -> Cause:
    endpoint = endpoints({"OTEL_EXPORTER_OTLP_ENDPOINT": url, **(environ or {})}, protocol=protocol)["logs"]
    return why_refused(Refusal(endpoint, answer, Listener(speech, facts.pop("text", "")), **facts))


def failed(kind: Any, text: str = "words") -> Answer:
    return Answer(False, trouble=Trouble(kind, text))


@pytest.mark.parametrize(
    ("answer", "facts", "text", "step"),
    [
        (failed("refused"), {"speech": "nothing"}, "nothing listens at collector:4318", "up --detach"),
        (failed("refused"), {"speech": "nothing", "other_ports": {4317: "http2", 14318: "http"}}, "port 14318", "ENDPOINT=http://collector:14318"),
        (failed("refused"), {"speech": "nothing", "other_ports": {4317: "http2"}}, "4317 is open", "ENDPOINT=http://collector:4317 OTEL_EXPORTER_OTLP_PROTOCOL=grpc"),
        (failed("unresolved"), {"speech": "unresolved", "text": "unknown"}, "collector has no address", "getent hosts collector"),
        (failed("timeout"), {"speech": "unreachable", "text": "timed out"}, "no way to collector:4318 (timed out)", "nc -vz collector 4318"),
        (failed("protocol"), {"speech": "silence"}, "says nothing", "curl -v --max-time 5 http://collector:4318"),
        (failed("timeout"), {}, "no answer within 10 s", "OTEL_EXPORTER_OTLP_TIMEOUT=30"),
        (failed("file", "/ca.crt is missing"), {}, "/ca.crt is missing", "_CERTIFICATE"),
        (failed("proxy", "refused"), {}, "proxy gives no way", "NO_PROXY=collector"),
        (failed("other", "strange"), {}, "strange", "curl -v http://collector:4318/v1/logs"),
        (Answer(False, "404", "404 page not found"), {"accepted": frozenset({"traces"})}, "no pipeline for logs, though it takes traces", "service.pipelines"),
        (Answer(False, "404", "404 page not found"), {}, "no receiver of OTLP answers", "ENDPOINT=http://collector:4318"),
        (Answer(False, "405"), {"identity": "Prometheus"}, "Prometheus answers", "ENDPOINT=http://collector:4318"),
        (Answer(False, "200", "text/html", foreign=True), {"identity": "Jaeger's page and API"}, "take its 200 for success", "4318"),
        (Answer(False, "200", "too old"), {}, "rejected what is in it: too old", "log"),
        (Answer(False, "503", "sending queue is full"), {}, "queue is full", "otelext doctor --skip logs"),
        (Answer(False, "503", "data refused due to high memory usage"), {}, "memory_limiter", "MEMORY_LIMIT_MIB"),
        (Answer(False, "502", "bad gateway"), {}, "bad gateway", "again"),
        (Answer(False, "307", location="https://x"), {}, "redirects", "curl -sI"),
        (Answer(False, "500", "boom"), {}, "error of its own", "log"),
        (Answer(False, "403"), {"environ": {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x"}}, "may not write", "TOKEN"),
        (Answer(False, "403"), {}, "credentials are missing", "TOKEN"),
    ],
)  # fmt: skip
def test_over_http(answer: Answer, facts: dict[str, Any], text: str, step: str) -> None:
    found = cause(answer, **facts)
    assert text in found.text
    assert step in found.next_step


@pytest.mark.parametrize(
    ("answer", "facts", "text", "step"),
    [
        (Answer(False, "UNIMPLEMENTED", "unknown service"), {"accepted": frozenset({"metrics", "traces"})}, "no pipeline for logs, though it takes metrics and traces", "pipelines"),
        (Answer(False, "UNIMPLEMENTED", "unknown service"), {}, "no receiver of OTLP", "ENDPOINT=http://collector:4317"),
        (Answer(False, "UNAVAILABLE", "failed to connect to all addresses; refused"), {}, "proxy gives no way to collector:4317", "NO_PROXY"),
        (Answer(False, "UNAVAILABLE", "data refused due to high memory usage"), {}, "memory_limiter", "MEMORY_LIMIT_MIB"),
        (Answer(False, "RESOURCE_EXHAUSTED", "too much"), {}, "too much", "again"),
        (Answer(False, "PERMISSION_DENIED"), {}, "credentials are missing", "TOKEN"),
    ],
)  # fmt: skip
def test_over_grpc(answer: Answer, facts: dict[str, Any], text: str, step: str) -> None:
    found = cause(answer, "http2", "http://collector:4317", GRPC, **facts)
    assert text in found.text
    assert step in found.next_step


@pytest.mark.parametrize(
    ("tls", "environ", "facts", "text", "step"),
    [
        (Trouble("untrusted", "certificate has expired"), {}, {}, "not valid at this time", "-dates"),
        (Trouble("untrusted", "Hostname mismatch, certificate is not valid for 'x'"), {}, {}, "names another host", "subjectAltName"),
        (Trouble("untrusted", "self-signed certificate"), {}, {}, "not trusted here", "OTEL_EXPORTER_OTLP_CERTIFICATE=ca.crt"),
        (Trouble("untrusted", "unable to get issuer"), {"OTEL_EXPORTER_OTLP_CERTIFICATE": "x"}, {"bundle": "REQUESTS_CA_BUNDLE"}, "goes before", "unset REQUESTS_CA_BUNDLE"),
        (Trouble("file", "no such file"), {}, {}, "cannot be read", "env | grep"),
        (Trouble("tls", "tlsv13 alert certificate required"), {}, {}, "none is shown", "CLIENT_CERTIFICATE=tls.crt"),
        (Trouble("tls", "unknown ca"), {"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "a.crt"}, {}, "refuses the client certificate a.crt", "-in a.crt"),
    ],
)  # fmt: skip
def test_tls(tls: Trouble, environ: dict[str, str], facts: dict[str, Any], text: str, step: str) -> None:
    found = cause(failed("tls"), "tls", "https://collector:4318", environ=environ, tls=tls, **facts)
    assert text in found.text
    assert step in found.next_step


def test_over_grpc_a_client_certificate_needs_the_authorities_too() -> None:
    tls = Trouble("tls", "certificate required")
    found = cause(Answer(False, "UNAVAILABLE"), "tls", "https://collector:4317", GRPC, tls=tls)
    assert "OTEL_EXPORTER_OTLP_CERTIFICATE=ca.crt" in found.next_step


def test_the_variable_that_holds_the_address_is_the_one_to_change() -> None:
    environ = {"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://collector:4317/v1/logs"}
    found = cause(failed("protocol"), "http2", environ=environ, other_ports={4318: "http"})
    assert found.next_step == "export OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=http://collector:4318/v1/logs"


@pytest.mark.parametrize(
    ("environ", "text", "step"),
    [
        ({"ENDPOINT": "http://c:4999/v1/logs"}, "ends in /v1/logs already", "ENDPOINT=http://c:4999"),
        ({"ENDPOINT": "http://c:4999/otlp/v1/traces/"}, "ends in /v1/traces already", "ENDPOINT=http://c:4999/otlp"),
        (
            {"LOGS_ENDPOINT": "http://c:4999"},
            "append none to OTEL_EXPORTER_OTLP_LOGS_ENDPOINT, which has to end in /v1/logs",
            "LOGS_ENDPOINT=http://c:4999/v1/logs",
        ),
        (
            {"LOGS_ENDPOINT": "http://c:4999/otlp/v1/traces"},
            "append none to OTEL_EXPORTER_OTLP_LOGS_ENDPOINT, which has to end in /v1/logs",
            "LOGS_ENDPOINT=http://c:4999/otlp/v1/logs",
        ),
    ],
)
@pytest.mark.parametrize("accepted", [frozenset(), frozenset({"traces"})])
def test_a_path_that_is_wrong_keeps_the_port(environ: dict[str, str], text: str, step: str, accepted: Any) -> None:
    of = {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in environ.items()}
    answer = Answer(False, "404", "404 page not found")
    found = cause(answer, environ=of, accepted=accepted)
    assert "the path is wrong" in found.text
    assert text in found.text
    assert found.next_step == f"export OTEL_EXPORTER_OTLP_{step}"
    assert "Prometheus answers" in cause(answer, environ=of, identity="Prometheus").text


@pytest.mark.parametrize(
    ("url", "environ", "text", "step"),
    [
        ("https://collector:4317", {}, "the address begins with https://", "ENDPOINT=http://collector:4317"),
        ("collector:4317", {}, "an address without http://", "ENDPOINT=http://collector:4317"),
        ("http://collector:4317", {"OTEL_EXPORTER_OTLP_INSECURE": "false"}, "goes before", "INSECURE=true"),
    ],
)
def test_why_tls_is_spoken_over_grpc(url: str, environ: dict[str, str], text: str, step: str) -> None:
    found = cause(Answer(False, "UNAVAILABLE"), "http2", url, GRPC, environ)
    assert "TLS is spoken to collector:4317, which speaks plain text" in found.text
    assert text in found.text
    assert step in found.next_step


@given(
    st.builds(
        Answer,
        accepted=st.just(False),
        status=st.sampled_from([None, "200", "301", "400", "401", "403", "404", "413", "429", "500", "503", "UNAVAILABLE", "UNKNOWN"]),
        text=st.sampled_from(["", "some words"]),
        trouble=st.one_of(st.none(), st.builds(Trouble, st.sampled_from(["unresolved", "refused", "timeout", "untrusted", "tls", "file", "proxy", "protocol", "other"]), st.text())),
        foreign=st.booleans(),
    ),
    st.sampled_from(["nothing", "unresolved", "unreachable", "silence", "http", "http2", "tls"]),
    st.sampled_from(["http://h:1", "https://h:1"]),
    st.sampled_from(list(USUAL_PORTS)),
    st.frozensets(st.sampled_from(SIGNALS)),
    st.dictionaries(st.sampled_from([4317, 4318]), st.sampled_from(["http", "http2", "tls"])),
    st.one_of(st.none(), st.builds(Trouble, st.sampled_from(["untrusted", "tls"]), st.text())),
)  # fmt: skip
def test_whatever_is_known_there_is_a_cause_and_a_next_step(
    answer: Answer, speech: Any, url: str, protocol: Any, accepted: Any, ports: Any, tls: Any
) -> None:
    secret = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20secret"}
    found = cause(answer, speech, url, protocol, secret, accepted=accepted, other_ports=ports, tls=tls)
    assert found.text
    assert found.next_step
    # What the other end quotes is taken out where all findings are.
    if "secret" not in f"{answer.trouble} {tls}":
        assert "secret" not in str(found)
