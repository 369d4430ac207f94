"""Every backend is killed under load and comes back after a minute."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from tests.stack.reliability import BACKENDS_DOWN, everything_stored, fate, record
from tests.stack.sender import Sender, until_each
from tests.stack.servers import until
from tests.stack.signals import SIGNALS, TRACES
from tests.stack.stack import Stack

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(400)

BACKENDS: Final = ("jaeger", "prometheus", "loki")
SERVICE: Final = "backends-down"


def test_a_minute_without_backends_loses_nothing(programs: dict[str, Path], tmp_path: Path) -> None:
    with Stack(tmp_path / "stack", programs) as stack:
        stack.start("collector", *BACKENDS)
        with ExitStack() as running:
            senders = [running.enter_context(Sender(signal, stack, SERVICE, interval=0.05)) for signal in SIGNALS]
            until_each(senders, lambda sender: len(sender.accepted) >= 20, "twenty accepted requests")
            for backend in BACKENDS:
                stack.servers[backend].kill()
            time.sleep(60)
            accepted = [len(sender.accepted) for sender in senders]
            stack.start(*BACKENDS)
            assert all(len(sender.accepted) > before for sender, before in zip(senders, accepted, strict=True))
        assert not any(sender.sent - len(sender.accepted) for sender in senders), "the sender notices nothing"
        stored = everything_stored(stack, senders)
        for sender in senders:
            record(BACKENDS_DOWN, fate(sender, stored[sender]))
        spans = sum(sender.items * len(sender.accepted) for sender in senders if sender.signal is TRACES)
        calls = f'traces_span_metrics_calls_total{{service_name="{SERVICE}"}}'
        until(lambda: stack.prometheus.value(calls) == spans, f"{spans} calls counted from the spans")
