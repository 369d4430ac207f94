"""Hands the canary to the receiver, and finds out what is there where it is not taken."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from otelext.doctor.causes.receiver import why_refused
from otelext.doctor.causes.refusal import Refusal
from otelext.doctor.endpoint import SIGNALS
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
    skip: frozenset[str],
    timeout: float,
    known_ports: Iterable[int],
    environ: Mapping[str, str],
) -> Delivery:
    """Send each signal once, all at the same time.

    Args:
        canary: What is sent.
        endpoints: Where each signal goes.
        skip: Signals that are not sent.
        timeout: Seconds that it may take, if the environment has no shorter time.
        known_ports: Ports to look at where the right one does not answer.
        environ: The service's environment.
    """
    chosen = [signal for signal in SIGNALS if signal not in skip]
    bounded = {signal: replace(endpoints[signal], timeout=min(timeout, endpoints[signal].timeout)) for signal in chosen}
    with ThreadPoolExecutor(max_workers=len(SIGNALS)) as threads:
        answers = dict(
            zip(
                chosen,
                threads.map(lambda signal: send(bounded[signal], canary.request(signal), environ), chosen),
                strict=True,
            )
        )
    refused = [signal for signal in chosen if not answers[signal].accepted]
    listeners = {_place(bounded[signal]): Listener("silence") for signal in refused}
    for place in listeners:
        listeners[place] = listener(*place)
    findings: list[Finding] = []
    for signal in SIGNALS:
        if signal not in chosen:
            findings.append(Finding(f"{CHECK}.{signal}", "skipped", f"{signal} are not sent"))
            continue
        endpoint, answer = bounded[signal], answers[signal]
        if answer.accepted:
            findings.append(
                Hop(f"{CHECK}.{signal}", "ok", f"{signal} accepted by {endpoint.shown}", seconds=answer.seconds)
            )
            continue
        accepted = frozenset(
            other for other in chosen if answers[other].accepted and _place(bounded[other]) == _place(endpoint)
        )
        findings.append(_refused(endpoint, answer, listeners[_place(endpoint)], accepted, known_ports, environ))
    return Delivery(tuple(findings), answers)


def _refused(
    endpoint: Endpoint,
    answer: Answer,
    found: Listener,
    accepted: frozenset[Signal],
    known_ports: Iterable[int],
    environ: Mapping[str, str],
) -> Finding:
    speaks = found.speech not in _QUIET
    facts = Refusal(
        endpoint=endpoint,
        answer=answer,
        listener=found,
        tls=tls_trouble(endpoint, environ) if endpoint.secure and found.speech == "tls" else None,
        # What takes other signals is a receiver; there is nothing else to look for.
        other_ports={} if accepted else _other_ports(endpoint, known_ports),
        identity=identity(endpoint) if speaks and not accepted else None,
        accepted=accepted,
        bundle=bundle(endpoint, environ),
    )
    cause = why_refused(facts)
    rejected = (
        "a part of them was rejected" if answer.status in {"200", "OK"} and not answer.foreign else "not accepted"
    )
    return Hop(
        f"{CHECK}.{endpoint.signal}",
        "error",
        f"{endpoint.signal} {rejected} by {endpoint.shown} ({endpoint.protocol}, from {endpoint.source})",
        cause.text,
        cause.next_step,
        cause.evidence,
    )


def _place(endpoint: Endpoint) -> tuple[str, int]:
    return endpoint.host, endpoint.port


def _other_ports(endpoint: Endpoint, known: Iterable[int]) -> dict[int, Speech]:
    """What speaks at the ports that receivers of OTLP use, and beside the one that was tried."""
    # A name without an address has no other port either.
    ports = dict.fromkeys((*known, endpoint.port - 1, endpoint.port + 1))
    candidates = [port for port in ports if 0 < port < 2**16 and port != endpoint.port]
    with ThreadPoolExecutor(max_workers=len(candidates)) as threads:
        found = dict(zip(candidates, threads.map(lambda port: listener(endpoint.host, port), candidates), strict=True))
    return {port: one.speech for port, one in found.items() if one.speech not in _QUIET}
