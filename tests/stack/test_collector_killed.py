"""The Collector dies of SIGKILL while its queue is full, and again while it empties."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from tests.stack.reliability import COLLECTOR_KILLED, everything_stored, fate, record
from tests.stack.sender import Sender, until_each
from tests.stack.servers import until
from tests.stack.signals import SIGNALS, TRACES
from tests.stack.stack import Stack

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)

SERVICE: Final = "killed"
# Small, so that it is full within seconds, and more than what is on its way at once.
QUEUE_BYTES: Final = 20_000_000


def test_a_killed_collector_loses_nothing_that_it_accepted(programs: dict[str, Path], tmp_path: Path) -> None:
    environment = {"collector": {"OTELEXT_COLLECTOR_QUEUE_BYTES": str(QUEUE_BYTES)}}
    with Stack(tmp_path / "stack", programs, environment=environment) as stack:
        stack.start("collector")
        with ExitStack() as running:
            senders = [
                running.enter_context(Sender(signal, stack, SERVICE, items=50, padding=500)) for signal in SIGNALS
            ]
            until_each(senders, lambda sender: len(sender.refused) >= 10, "refusals, as the queue is full")
            stack.collector.kill()
        # The rule of docs/reliability.md for the size of the queues' disk.
        files = stack.composition.path("collector", "/var/lib/otelcol").iterdir()
        assert sum(file.stat().st_blocks * 512 for file in files) < 1.5 * QUEUE_BYTES * len(senders)
        assert all(set(sender.refused.values()) == {503} for sender in senders), "which means: try again"
        stack.collector.start()
        stack.start("jaeger")
        until(lambda: TRACES.stored(stack, SERVICE), "the first spans in Jaeger", 60)
        stack.collector.kill()
        stack.collector.start()
        stack.start("prometheus", "loki")
        stored = everything_stored(stack, senders)
        for sender in senders:
            record(COLLECTOR_KILLED, fate(sender, stored[sender]))
