"""What is known of a signal that the receiver did not take."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelext.doctor.endpoint import Endpoint, Signal
    from otelext.doctor.listener import Listener, Speech
    from otelext.doctor.sender import Answer
    from otelext.doctor.trouble import Trouble


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
