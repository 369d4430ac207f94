"""Why the receiver of OTLP did not take a canary."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otelext.doctor.causes.cause import Cause
from otelext.doctor.causes.sending import with_address, with_setting
from otelext.doctor.endpoint import address

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelext.doctor.endpoint import Endpoint, Signal
    from otelext.doctor.listener import Listener, Speech
    from otelext.doctor.sender import Answer
    from otelext.doctor.trouble import Trouble

START: Final = (
    "docker compose -f docker-compose.otel.yml up --detach   (or, without containers: sh collector/processes.sh)"
)
_PROTOCOL_NAMES: Final = {"http/protobuf": "OTLP over HTTP", "grpc": "OTLP over gRPC"}
_SPEAKS: Final[dict[str, Speech]] = {"http/protobuf": "http", "grpc": "http2"}
_NOT_LISTENING: Final[frozenset[Speech]] = frozenset({"nothing", "unresolved", "unreachable", "silence"})


@dataclass(frozen=True)
class Refusal:
    """What is known of one signal that was not accepted.

    Attributes:
        endpoint: Where it was sent.
        answer: What became of it.
        listener: What speaks at that port.
        tls: Why TLS fails there as the exporter speaks it; None where it does not, or isn't spoken.
        other_ports: What speaks at other ports of the host that receivers of OTLP use, of those where something does.
        identity: Which known server it is that answers, None where it is none of those.
        accepted: Signals that the same receiver took.
        bundle: A variable by which other authorities go before the exporter's own, None without one.
    """

    endpoint: Endpoint
    answer: Answer
    listener: Listener
    tls: Trouble | None = None
    other_ports: Mapping[int, Speech] = field(default_factory=dict)
    identity: str | None = None
    accepted: frozenset[Signal] = frozenset()
    bundle: str | None = None


def why_refused(facts: Refusal) -> Cause:
    """The most likely cause that a canary was not accepted."""
    endpoint, answer = facts.endpoint, facts.answer
    said = tuple(
        f"{endpoint.shown} answered: {' '.join(filter(None, (answer.status, answer.text)))}"
        for _ in "x"
        if answer.status
    )
    for found in (
        _no_connection(facts),
        _another_server(facts),
        _protocols_mixed_up(facts),
        _tls(facts),
        _credentials(facts),
        _no_pipeline(facts),
        _overload(facts),
    ):
        if found is not None:
            return found._replace(evidence=said)
    if answer.trouble is not None:
        return Cause(f"the connection failed: {answer.trouble.text}", f"curl -v {endpoint.shown}", said)
    return Cause("the receiver answers with an error of its own", "look into the receiver's log at this moment", said)


def _no_connection(facts: Refusal) -> Cause | None:
    endpoint, why = facts.endpoint, facts.answer.trouble
    place = f"{endpoint.host}:{endpoint.port}"
    if why is not None and why.kind == "file":
        return Cause(
            f"a certificate's file cannot be read: {why.text}",
            "env | grep OTEL_EXPORTER_OTLP   (and correct the path in ..._CERTIFICATE or ..._CLIENT_KEY)",
        )
    if why is not None and why.kind == "proxy":
        return Cause(
            f"the environment's proxy gives no way to {place}: {why.text}",
            f"export NO_PROXY={endpoint.host}   (if the receiver is to be reached without a proxy)",
        )
    speech = facts.listener.speech
    if speech == "unresolved":
        return Cause(
            f"the name {endpoint.host} has no address here ({facts.listener.text})",
            f"getent hosts {endpoint.host}   (and correct {endpoint.source})",
        )
    if speech == "nothing":
        right = _right_port(facts)
        if right is not None:
            return Cause(
                f"nothing listens at {place}, and {_PROTOCOL_NAMES[endpoint.protocol]} is spoken at port {right}: the"
                " port is wrong",
                with_address(endpoint, address(endpoint.scheme, endpoint.host, right)),
            )
        other = next(iter(facts.other_ports), None)
        if other is not None:
            return Cause(
                f"nothing listens at {place}; port {other} is open, and speaks another protocol",
                with_setting(endpoint, "PROTOCOL", _other_protocol(endpoint), address("http", endpoint.host, other)),
            )
        return Cause(f"nothing listens at {place}: the Collector is not running there, or the port is wrong", START)
    if speech == "unreachable":
        return Cause(
            f"there is no way to {place} ({facts.listener.text}): a firewall, a network policy or a wrong address",
            f"nc -vz {endpoint.host} {endpoint.port}",
        )
    if speech == "silence":
        return Cause(
            f"something listens at {place}, and says nothing: it hangs, or speaks another protocol",
            f"curl -v --max-time 5 {endpoint.base}",
        )
    return None


def _another_server(facts: Refusal) -> Cause | None:
    """Something else than a receiver answers: it is known by name, or by how it answers."""
    endpoint = facts.endpoint
    if facts.accepted or not (facts.identity or facts.answer.foreign or _not_found(facts)):
        return None
    if facts.listener.speech != _SPEAKS[endpoint.protocol] and not facts.identity:
        return None  # two protocols were mixed up
    right = _right_port(facts)
    who = f"{facts.identity} answers" if facts.identity else "a server that is no receiver of OTLP answers"
    lost = "; the exporters take its 200 for success, and all is lost" if facts.answer.foreign else ""
    if right is not None:
        return Cause(
            f"the port is wrong: {who} at {endpoint.port}, {_PROTOCOL_NAMES[endpoint.protocol]} is spoken at {right}{lost}",
            with_address(endpoint, address(endpoint.scheme, endpoint.host, right)),
        )
    usual = 4317 if endpoint.protocol == "grpc" else 4318
    return Cause(
        f"the port or the path is wrong: {who} at {endpoint.shown}{lost}",
        with_address(endpoint, address(endpoint.scheme, endpoint.host, usual)),
    )


def _protocols_mixed_up(facts: Refusal) -> Cause | None:
    endpoint, speech = facts.endpoint, facts.listener.speech
    if endpoint.secure or speech not in {"http", "http2"} or speech == _SPEAKS[endpoint.protocol]:
        return None
    spoken = "gRPC" if speech == "http2" else "HTTP"
    sent = "HTTP" if endpoint.protocol == "http/protobuf" else "gRPC"
    text = f"{sent} is sent to port {endpoint.port}, which speaks {spoken}"
    right = _right_port(facts)
    if right is not None:
        return Cause(
            f"{text}; port {right} speaks {sent}", with_address(endpoint, address("http", endpoint.host, right))
        )
    return Cause(text, with_setting(endpoint, "PROTOCOL", _other_protocol(endpoint)))


def _tls(facts: Refusal) -> Cause | None:
    endpoint, speech = facts.endpoint, facts.listener.speech
    place = f"{endpoint.host}:{endpoint.port}"
    if endpoint.secure and speech in {"http", "http2"}:
        plain = address("http", endpoint.host, endpoint.port)
        why = "the address begins with https://"
        if endpoint.protocol == "grpc" and "://" not in endpoint.url:
            why = "an address without http:// means TLS over gRPC, unless OTEL_EXPORTER_OTLP_INSECURE=true"
        return Cause(f"TLS is spoken to {place}, which speaks plain text: {why}", with_address(endpoint, plain))
    if not endpoint.secure and speech == "tls":
        return Cause(
            f"plain text is sent to {place}, which speaks TLS",
            with_address(endpoint, address("https", endpoint.host, endpoint.port))
            + "   (and OTEL_EXPORTER_OTLP_CERTIFICATE=ca.crt, where its authority is your own)",
        )
    if facts.tls is None or not endpoint.secure:
        return None
    text = facts.tls.text
    if facts.tls.kind == "file":
        return Cause(
            f"a certificate's file cannot be read: {text}",
            "env | grep OTEL_EXPORTER_OTLP   (and correct the path in ..._CERTIFICATE or ..._CLIENT_KEY)",
        )
    if facts.tls.kind == "untrusted" and "expired" in text:
        return Cause(
            f"the certificate of {place} is not valid at this time: {text}",
            f"openssl s_client -connect {place} </dev/null | openssl x509 -noout -dates",
        )
    if facts.tls.kind == "untrusted" and ("mismatch" in text or "match" in text):
        return Cause(
            f"the certificate of {place} names another host: {text}",
            f"openssl s_client -connect {place} </dev/null | openssl x509 -noout -ext subjectAltName",
        )
    if facts.tls.kind == "untrusted" and facts.bundle and endpoint.certificate:
        return Cause(
            f"the authority of {place}'s certificate is not trusted here: {text}; {facts.bundle} is set, and goes before"
            " OTEL_EXPORTER_OTLP_CERTIFICATE",
            f"unset {facts.bundle}",
        )
    if facts.tls.kind == "untrusted":
        return Cause(
            f"the authority of {place}'s certificate is not trusted here: {text}",
            "export OTEL_EXPORTER_OTLP_CERTIFICATE=ca.crt   (the file of the authority that signed it)",
        )
    return _client_certificate(endpoint, text)


def _client_certificate(endpoint: Endpoint, text: str) -> Cause:
    """The handshake failed after the server's own certificate was found right: it is about the client's."""
    variables = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=tls.crt OTEL_EXPORTER_OTLP_CLIENT_KEY=tls.key"
    if endpoint.client_certificate is None:
        also = ""
        if endpoint.protocol == "grpc" and endpoint.certificate is None:
            also = " OTEL_EXPORTER_OTLP_CERTIFICATE=ca.crt   (the exporter over gRPC reads them only together)"
        return Cause(
            f"the receiver asks for a client certificate, and none is shown: {text}", f"export {variables}{also}"
        )
    return Cause(
        f"the receiver refuses the client certificate {endpoint.client_certificate}: {text}",
        f"openssl x509 -noout -issuer -dates -in {endpoint.client_certificate}   (its authority and dates must suit the"
        " receiver's client_ca_file)",
    )


def _credentials(facts: Refusal) -> Cause | None:
    endpoint, status = facts.endpoint, facts.answer.status
    if status not in {"401", "403", "UNAUTHENTICATED", "PERMISSION_DENIED"}:
        return None
    if status in {"403", "PERMISSION_DENIED"} and endpoint.authorized:
        return Cause(
            "the receiver knows the credentials, and they may not write there",
            "export OTEL_EXPORTER_OTLP_HEADERS=Authorization=Bearer%20TOKEN   (with a token that may write)",
        )
    if not endpoint.authorized:
        return Cause(
            "credentials are missing: the receiver asks for them, and no Authorization header is sent",
            "export OTEL_EXPORTER_OTLP_HEADERS=Authorization=Bearer%20TOKEN",
        )
    scheme = dict(endpoint.headers)["authorization"].partition(" ")[0].lower()
    hint = "" if scheme in {"bearer", "basic"} else "; the header lacks its scheme, as in Bearer%20TOKEN"
    return Cause(
        f"the credentials are wrong: the receiver refuses the Authorization header that is sent{hint}",
        "export OTEL_EXPORTER_OTLP_HEADERS=Authorization=Bearer%20TOKEN   (with a token of the receiver's list)",
    )


def _no_pipeline(facts: Refusal) -> Cause | None:
    if not _not_found(facts):
        return None
    signal = facts.endpoint.signal
    others = " and ".join(sorted(facts.accepted))
    but = f", though it takes {others}" if others else ""
    return Cause(
        f"the receiver has no pipeline for {signal}{but}",
        f"otelcol print-config --config=FILE   (and add a pipeline `{signal}:` with the receiver `otlp` below"
        " service.pipelines)",
    )


def _overload(facts: Refusal) -> Cause | None:
    status, text = facts.answer.status, facts.answer.text
    if "memory" in text.lower() and status in {"503", "429", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "500"}:
        return Cause(
            "the Collector refuses for lack of memory: its memory_limiter is over its limit",
            "export OTELEXT_COLLECTOR_MEMORY_LIMIT_MIB=1024   (where the Collector is started, or start more of them;"
            " memory_limiter.limit_mib in files of your own)",
        )
    if "queue" in text.lower() and "full" in text.lower():
        return Cause(
            "the Collector refuses because an exporter's queue is full: the backend behind it takes too little, or is"
            " gone",
            f"otelext doctor --skip {facts.endpoint.signal}   (to see which backend answers)",
        )
    if status in {"503", "429", "502", "504", "UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}:
        return Cause(
            f"the receiver, or a proxy before it, can't take it now: {text or status}",
            "look into the receiver's log, and run otelext doctor again",
        )
    if facts.answer.trouble is not None and facts.answer.trouble.kind == "timeout":
        return Cause(
            f"the receiver gave no answer within {facts.endpoint.timeout:g} s",
            "look into the receiver's log; export OTEL_EXPORTER_OTLP_TIMEOUT=30 gives it more time",
        )
    if facts.answer.location is not None:
        return Cause(
            "the receiver redirects elsewhere, where exporters don't follow, and take it for success",
            f"curl -sI {facts.endpoint.shown}   (and correct {facts.endpoint.source})",
        )
    return None


def _not_found(facts: Refusal) -> bool:
    return facts.answer.status in {"404", "405", "UNIMPLEMENTED"}


def _right_port(facts: Refusal) -> int | None:
    """Another port of the host that speaks what the exporter does."""
    wanted: Speech = "tls" if facts.endpoint.secure else _SPEAKS[facts.endpoint.protocol]
    return next((port for port, speech in facts.other_ports.items() if speech == wanted), None)


def _other_protocol(endpoint: Endpoint) -> str:
    return "grpc" if endpoint.protocol == "http/protobuf" else "http/protobuf"
