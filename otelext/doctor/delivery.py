"""Hands the canary to the receiver, and finds out what is there where it is not taken."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from otelext.doctor.causes.receiver import why_refused
from otelext.doctor.causes.refusal import Refusal
from otelext.doctor.endpoint import SIGNALS, address
from otelext.doctor.finding import Finding, Hop
from otelext.doctor.identity import identity
from otelext.doctor.listener import Listener, bundle, listener, tls_trouble
from otelext.doctor.sender import send

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from otelext.doctor.canary import Canary
    from otelext.doctor.endpoint import Endpoint, Signal
    from otelext.doctor.listener import Speech
    from otelext.doctor.sender import Answer

CHECK: Final = "send"
_QUIET: Final[frozenset[Speech]] = frozenset({"nothing", "unresolved", "unreachable", "silence"})


@dataclass(frozen=True)
class Delivery:
    """What became of one canary at the receiver.

    Attributes:
        findings: One a signal.
        answers: Of the signals that were sent.
    """

    findings: tuple[Finding, ...]
    answers: Mapping[Signal, Answer]

    @property
    def accepted(self) -> frozenset[Signal]:
        """Signals that the receiver took."""
        return frozenset(signal for signal, answer in self.answers.items() if answer.accepted)


def deliver(
    canary: Canary,
    endpoints: Mapping[Signal, Endpoint],
    skip: Mapping[Signal, str],
    timeout: float,
    known_ports: Iterable[int],
    environ: Mapping[str, str],
) -> Delivery:
    """Send each signal once, all at the same time.

    Args:
        canary: What is sent.
        endpoints: Where each signal goes.
        skip: Signals that are not sent, and why.
        timeout: Seconds that it may take, if the environment has no shorter time.
        known_ports: Ports to look at where the right one does not answer.
        environ: The service's environment.
    """
    chosen: list[Signal] = [signal for signal in SIGNALS if signal not in skip]
    bounded: dict[Signal, Endpoint] = {
        signal: replace(endpoints[signal], timeout=min(timeout, endpoints[signal].timeout)) for signal in chosen
    }
    with ThreadPoolExecutor(max_workers=len(SIGNALS)) as threads:
        answers: dict[Signal, Answer] = dict(
            zip(
                chosen,
                threads.map(lambda signal: send(bounded[signal], canary.request(signal), environ), chosen),
                strict=True,
            )
        )
    refused = {_place(bounded[signal]): bounded[signal] for signal in chosen if not answers[signal].accepted}
    surroundings = {
        place: _surroundings(endpoint, bool(_accepted_at(place, bounded, answers)), known_ports)
        for place, endpoint in refused.items()
    }
    findings: list[Finding] = []
    for signal in SIGNALS:
        if signal not in chosen:
            findings.append(Finding(f"{CHECK}.{signal}", "skipped", skip[signal]))
            continue
        endpoint, answer = bounded[signal], answers[signal]
        if answer.accepted:
            summary = f"{signal} accepted by {endpoint.shown}"
            findings.append(Hop(f"{CHECK}.{signal}", "ok", summary, seconds=answer.seconds))
            continue
        place = _place(endpoint)
        around = surroundings[place]
        facts = Refusal(
            endpoint=endpoint,
            answer=answer,
            listener=around.listener,
            tls=tls_trouble(endpoint, environ) if endpoint.secure and around.listener.speech == "tls" else None,
            other_ports=around.other_ports,
            identity=around.identity,
            accepted=_accepted_at(place, bounded, answers),
            bundle=bundle(endpoint, environ),
        )
        findings.append(_refused(facts))
    return Delivery(tuple(findings), answers)


@dataclass(frozen=True)
class _Surroundings:
    """What is found out of a place where something was not accepted, once for all signals."""

    listener: Listener
    other_ports: Mapping[int, Speech]
    identity: str | None


def _surroundings(endpoint: Endpoint, takes_others: bool, known_ports: Iterable[int]) -> _Surroundings:
    found = listener(endpoint.host, endpoint.port)
    # What takes other signals is a receiver, and a name without an address has no other port: nothing else is looked for.
    if takes_others or found.speech == "unresolved":
        return _Surroundings(found, {}, None)
    speaks = found.speech not in _QUIET
    return _Surroundings(found, _other_ports(endpoint, known_ports), identity(endpoint) if speaks else None)


def _accepted_at(
    place: tuple[str, int], endpoints: Mapping[Signal, Endpoint], answers: Mapping[Signal, Answer]
) -> frozenset[Signal]:
    """Signals that the receiver at a place took."""
    return frozenset(signal for signal, one in answers.items() if one.accepted and _place(endpoints[signal]) == place)


def _refused(facts: Refusal) -> Finding:
    endpoint, answer = facts.endpoint, facts.answer
    cause = why_refused(facts)
    is_partial = answer.status in {"200", "OK"} and not answer.foreign
    return Hop(
        f"{CHECK}.{endpoint.signal}",
        "error",
        f"{endpoint.signal} {'rejected' if is_partial else 'not accepted'} by {endpoint.shown} ({endpoint.protocol}, from"
        f" {endpoint.source})",
        cause.text,
        cause.next_step,
        cause.evidence,
    )


def _place(endpoint: Endpoint) -> tuple[str, int]:
    return endpoint.host, endpoint.port


def _other_ports(endpoint: Endpoint, known: Iterable[int]) -> dict[int, Speech]:
    """What speaks at the ports that receivers of OTLP use, and beside the one that was tried."""
    ports = dict.fromkeys((*known, endpoint.port - 1, endpoint.port + 1))
    candidates = [port for port in ports if 0 < port < 2**16 and port != endpoint.port]
    with ThreadPoolExecutor(max_workers=len(candidates)) as threads:
        found = dict(zip(candidates, threads.map(lambda port: listener(endpoint.host, port), candidates), strict=True))
    return {
        port: one.speech
        for port, one in found.items()
        if one.speech not in _QUIET and not (one.speech == "http" and _is_another(endpoint, port))
    }


def _is_another(endpoint: Endpoint, port: int) -> bool:
    """Whether a server that is known, and no receiver, answers at a port: to that nobody is to be sent."""
    return (
        identity(replace(endpoint, protocol="http/protobuf", url=address("http", endpoint.host, port), secure=False))
        is not None
    )
