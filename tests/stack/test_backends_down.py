"""Every backend is killed under load and comes back after a minute: one after the other, for some time all of them."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from tests.stack.reliability import BACKENDS_DOWN, everything_stored, fate, record
from tests.stack.sender import Sender, until_each
from tests.stack.servers import until
from tests.stack.signals import LOGS, METRICS, TRACES
from tests.stack.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

pytestmark = pytest.mark.timeout(500)

BACKENDS: Final = {"jaeger": TRACES, "prometheus": METRICS, "loki": LOGS}
SERVICE: Final = "backends-down"
DOWN_S: Final = 60.0
BETWEEN_S: Final = 20.0


def pass_on(stack: Stack, senders: Iterable[Sender]) -> None:
    """Wait until the backends have what is accepted now."""
    newest = {sender: max(sender.accepted) for sender in senders}
    until_each(
        newest,
        lambda sender: sender.signal.stored(stack, SERVICE)[newest[sender]] == sender.items,
        "what is sent while another backend is down",
        BETWEEN_S / 2,
    )


def wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def test_a_minute_without_each_backend_loses_nothing_and_holds_up_no_other(
    programs: dict[str, Path], tmp_path: Path
) -> None:
    with Stack(tmp_path / "stack", programs) as stack:
        stack.start("collector", *BACKENDS)
        with ExitStack() as running:
            senders = {
                backend: running.enter_context(Sender(signal, stack, SERVICE, interval=0.05))
                for backend, signal in BACKENDS.items()
            }
            until_each(senders.values(), lambda sender: len(sender.accepted) >= 20, "twenty accepted requests")
            killed: dict[str, float] = {}
            for backend in BACKENDS:
                stack.servers[backend].kill()
                killed[backend] = time.monotonic()
                pass_on(stack, [sender for other, sender in senders.items() if other not in killed])
                wait_until(killed[backend] + BETWEEN_S)
            for backend, moment in killed.items():
                wait_until(moment + DOWN_S)
                stack.start(backend)
            accepted = {sender: len(sender.accepted) for sender in senders.values()}
            until_each(accepted, lambda sender: len(sender.accepted) > accepted[sender], "one more accepted request")
        for sender in senders.values():
            assert sender.sent == len(sender.accepted), "the sender notices nothing"
        stored = everything_stored(stack, senders.values())
        for sender in senders.values():
            record(BACKENDS_DOWN, fate(sender, stored[sender]))
        spans = senders["jaeger"].items * len(senders["jaeger"].accepted)
        calls = f'traces_span_metrics_calls_total{{service_name="{SERVICE}"}}'
        until(lambda: stack.prometheus.value(calls) == spans, f"{spans} calls counted from the spans")
