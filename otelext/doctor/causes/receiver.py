"""Why the receiver of OTLP did not take a canary."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from otelext.doctor.causes.cause import Cause
from otelext.doctor.causes.commands import with_address, with_setting
from otelext.doctor.causes.tls import why_tls_fails
from otelext.doctor.endpoint import address
from otelext.doctor.listener import CLOSED
from otelext.doctor.otlp_variables import USUAL_PORTS, other_protocol

if TYPE_CHECKING:
    from otelext.doctor.causes.refusal import Refusal
    from otelext.doctor.listener import Speech

START: Final = (
    "docker compose -f docker-compose.otel.yml up --detach   (or, without containers: sh collector/processes.sh)"
)
_PROTOCOL_NAMES: Final = {"http/protobuf": "OTLP over HTTP", "grpc": "OTLP over gRPC"}
_SPEAKS: Final[dict[str, Speech]] = {"http/protobuf": "http", "grpc": "http2"}
# By OpenSSL, where a server of gRPC is asked for the older HTTP; by gRPC, where a web server answers.
_NO_HTTP: Final = re.compile(rf"no application protocol|{CLOSED}", re.IGNORECASE)
_NO_GRPC: Final = re.compile(r"http2 header with status|ALPN")
_UNREACHED_BY_GRPC: Final = "failed to connect to all addresses"
_SIGNAL_PATH: Final = re.compile(r"/v1/(?:traces|metrics|logs)/?$")


def why_refused(facts: Refusal) -> Cause:
    """The most likely cause that a canary was not accepted."""
    endpoint, answer = facts.endpoint, facts.answer
    words = " ".join(filter(None, (answer.status, answer.text)))
    said = (f"{endpoint.shown} answered: {words}",) if answer.status else ()
    for found in (
        _no_connection(facts),
        _wrong_path(facts),
        _another_server(facts),
        _protocols_mixed_up(facts),
        why_tls_fails(facts),
        _credentials(facts),
        _no_pipeline(facts),
        _overload(facts),
        _rejected(facts),
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
    # gRPC says nothing of a proxy; but what does not reach a port that can be reached goes elsewhere.
    astray = _UNREACHED_BY_GRPC in facts.answer.text and facts.tls is None and facts.listener.speech == _expected(facts)
    if astray or (why is not None and why.kind == "proxy"):
        text = f": {why.text}" if why is not None else " (grpc_proxy, https_proxy, http_proxy)"
        return Cause(
            f"the environment's proxy gives no way to {place}, which can be reached without it{text}",
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
                with_setting(
                    endpoint, "PROTOCOL", other_protocol(endpoint.protocol), address("http", endpoint.host, other)
                ),
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


def _wrong_path(facts: Refusal) -> Cause | None:
    """The path alone is wrong, in a way that the variables of exporters over HTTP make easy."""
    endpoint = facts.endpoint
    if (
        endpoint.protocol == "grpc"
        or facts.identity
        or not _not_found(facts)
        or facts.listener.speech != _expected(facts)
    ):
        return None
    path, right = endpoint.parts.path, f"/v1/{endpoint.signal}"
    if endpoint.source.endswith(f"_{endpoint.signal.upper()}_ENDPOINT"):
        if path.endswith(right):
            return None
        return Cause(
            f"the path is wrong: the exporters append none to {endpoint.source}, which has to end in {right}",
            f"export {endpoint.source}={endpoint.base}{_SIGNAL_PATH.sub('', path).rstrip('/')}{right}",
        )
    given = path.removesuffix(right)
    twice = _SIGNAL_PATH.search(given)
    if twice is None:
        return None
    return Cause(
        f"the path is wrong: the exporters append that of each signal, and the address ends in {twice[0]} already",
        with_address(endpoint, endpoint.base + _SIGNAL_PATH.sub("", given)),
    )


def _another_server(facts: Refusal) -> Cause | None:
    """Something else than a receiver answers: it is known by name, or by how it answers."""
    endpoint = facts.endpoint
    mixed_up = endpoint.secure and bool(_NO_GRPC.search(facts.answer.text))
    if facts.accepted or mixed_up or not (facts.identity or facts.answer.foreign or _not_found(facts)):
        return None
    if facts.listener.speech != _expected(facts) and not facts.identity:
        return None  # two protocols were mixed up
    right = _right_port(facts)
    who = f"{facts.identity} answers" if facts.identity else "a server that is no receiver of OTLP answers"
    lost = "; the exporters take its 200 for success, and all is lost" if facts.answer.foreign else ""
    if right is not None:
        return Cause(
            f"the port is wrong: {who} at {endpoint.port}, {_PROTOCOL_NAMES[endpoint.protocol]} is spoken at {right}{lost}",
            with_address(endpoint, address(endpoint.scheme, endpoint.host, right)),
        )
    return Cause(
        f"the port or the path is wrong: {who} at {endpoint.shown}{lost}",
        with_address(endpoint, address(endpoint.scheme, endpoint.host, USUAL_PORTS[endpoint.protocol])),
    )


def _protocols_mixed_up(facts: Refusal) -> Cause | None:
    endpoint, speech = facts.endpoint, facts.listener.speech
    if endpoint.secure:
        # Within TLS both ends name what they speak; a web server may speak the newer HTTP, and know no procedure.
        by_words = _NO_HTTP.search(facts.tls.text) if facts.tls is not None else _NO_GRPC.search(facts.answer.text)
        mixed_up = bool(by_words) and (facts.tls is not None) == (endpoint.protocol == "http/protobuf")
    else:
        mixed_up = speech in {"http", "http2"} and speech != _SPEAKS[endpoint.protocol]
    if not mixed_up:
        return None
    sent, spoken = ("HTTP", "gRPC") if endpoint.protocol == "http/protobuf" else ("gRPC", "HTTP")
    text = f"{sent} is sent to port {endpoint.port}, which speaks {spoken}"
    right = _right_port(facts)
    if right is not None:
        moved = address(endpoint.scheme, endpoint.host, right)
        return Cause(f"{text}; port {right} speaks {sent}", with_address(endpoint, moved))
    return Cause(text, with_setting(endpoint, "PROTOCOL", other_protocol(endpoint.protocol)))


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


def _rejected(facts: Refusal) -> Cause | None:
    """A partial success: https://opentelemetry.io/docs/specs/otlp/#partial-success."""
    if facts.answer.foreign or facts.answer.status not in {"200", "OK"}:
        return None
    text = facts.answer.text or "without a word"
    return Cause(
        f"the receiver took the request and rejected what is in it: {text}",
        "look into the receiver's log at this moment",
    )


def _not_found(facts: Refusal) -> bool:
    return facts.answer.status in {"404", "405", "UNIMPLEMENTED"}


def _right_port(facts: Refusal) -> int | None:
    """Another port of the host that speaks what the exporter does."""
    wanted = _expected(facts)
    return next((port for port, speech in facts.other_ports.items() if speech == wanted), None)


def _expected(facts: Refusal) -> Speech:
    """What the exporter speaks."""
    return "tls" if facts.endpoint.secure else _SPEAKS[facts.endpoint.protocol]
