"""The disk of the Collector's queue is full."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

import pytest

from tests.stack.reliability import (
    DISK_FULL,
    RESTARTED_ON_FULL_DISK,
    everything_stored,
    fate,
    record,
    stored_in_the_end,
)
from tests.stack.sender import Sender, until_each
from tests.stack.signals import SIGNALS, TRACES
from tests.stack.small_disk import SmallDisk
from tests.stack.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.stack.signals import Signal

pytestmark = pytest.mark.timeout(300)

MIB: Final = 2**20
ITEMS: Final = 50
PADDING: Final = 500


@pytest.fixture
def stack(programs: dict[str, Path], tmp_path: Path) -> Stack:
    return Stack(tmp_path / "stack", programs)


@pytest.fixture
def disk(stack: Stack) -> Iterator[SmallDisk]:
    with SmallDisk(stack.composition.path("collector", "/var/lib/otelcol"), 40 * MIB) as disk, stack:
        stack.collector.command = disk.command(stack.collector.command)
        disk.occupy(24 * MIB)
        yield disk


def filled(stack: Stack, service: str, signals: Iterable[Signal], *, kill: bool = False) -> list[Sender]:
    """Senders that have sent until the disk was full; with `kill` the Collector dies in the midst of it."""
    with ExitStack() as running:
        senders = [
            running.enter_context(Sender(signal, stack, service, items=ITEMS, padding=PADDING)) for signal in signals
        ]
        until_each(senders, lambda sender: len(sender.refused) >= 10, "refusals, as the disk is full")
        if kill:
            stack.collector.kill()
    assert all(set(sender.refused.values()) == {503} for sender in senders), "which means: try again"
    return senders


def test_a_full_disk_refuses_and_recovers(stack: Stack, disk: SmallDisk) -> None:
    stack.start("collector")
    senders = filled(stack, "disk-full", SIGNALS)
    assert all(sender.accepted for sender in senders)
    assert disk.free < ITEMS * PADDING
    # It empties without being given any space.
    stack.start("jaeger", "prometheus", "loki")
    stored = stored_in_the_end(stack, senders)
    for sender in senders:
        record(DISK_FULL, fate(sender, stored[sender]))
    disk.occupy(0)
    takes_everything_again(stack, SIGNALS)


def test_a_collector_starts_on_a_full_disk(stack: Stack, disk: SmallDisk) -> None:
    stack.start("collector")
    (sender,) = senders = filled(stack, "full-start", [TRACES], kill=True)
    assert disk.free < ITEMS * PADDING
    stack.collector.start()
    stack.start("jaeger")
    record(RESTARTED_ON_FULL_DISK, fate(sender, stored_in_the_end(stack, senders)[sender]))
    disk.occupy(0)
    takes_everything_again(stack, [TRACES])


def takes_everything_again(stack: Stack, signals: Iterable[Signal]) -> None:
    with ExitStack() as running:
        senders = [running.enter_context(Sender(signal, stack, "has-space")) for signal in signals]
        until_each(senders, lambda sender: len(sender.accepted) >= 50, "accepted requests, as there is space")
    assert not any(sender.refused for sender in senders)
    everything_stored(stack, senders)
