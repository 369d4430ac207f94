"""The faults that are tested, what each may lose, and the table of docs/reliability.md.

    FAULT_FIGURES=figures.jsonl python -m pytest tests/stack
    python -m tests.stack.reliability figures.jsonl

The first command writes what the tests counted, the second puts it into the page.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.compose.composition import ROOT
from tests.stack.sender import until_each

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable, Sequence

    from tests.stack.sender import Sender
    from tests.stack.stack import Stack

PAGE: Final = ROOT / "docs" / "reliability.md"
BEGIN: Final = "<!-- figures: begin -->\n"
END: Final = "<!-- figures: end -->"
_FIGURES: Final = "FAULT_FIGURES"
# Between two tries of the Collector: max_interval and what it adds by chance, and some seconds for a busy machine.
LONGEST_PAUSE_S: Final = 15 * 1.5 + 5
_HEAD: Final = (
    "| fault | signal | sent | stored | refused | lost | twice |\n| --- | --- | ---: | ---: | ---: | ---: | ---: |\n"
)


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and which of the page's losses by design it may have."""

    name: str
    losses: tuple[str, ...] = ()


BACKENDS_DOWN: Final = Fault("each backend killed under load for a minute, for a third of it all")
COLLECTOR_KILLED: Final = Fault("Collector killed with a full queue, and again while it empties")
DISK_FULL: Final = Fault("disk of the queue full")
RESTARTED_ON_FULL_DISK: Final = Fault("disk of the queue full, Collector killed and started again", ("full disk",))
RATE: Final = Fault("10,000 spans/s for a minute")
FLOOD: Final = Fault("20 senders of 4 MB each at once")
COLLECTOR_AWAY: Final = Fault("Collector away while a service starts, runs and ends", ("no Collector",))
SERVICE_KILLED: Final = Fault("service killed", ("killed service",))
GATEWAY_KILLED: Final = Fault("gateway killed before it decided", ("undecided traces",))
FAULTS: Final = (
    BACKENDS_DOWN,
    COLLECTOR_KILLED,
    DISK_FULL,
    RESTARTED_ON_FULL_DISK,
    RATE,
    FLOOD,
    COLLECTOR_AWAY,
    SERVICE_KILLED,
    GATEWAY_KILLED,
)


@dataclass(frozen=True)
class Figures:
    """What became of one signal's items.

    Attributes:
        sent: Offered to the Collector.
        stored: Found in the backend, each once.
        refused: Told so to the sender, or never answered and not stored.
        lost: Accepted, and not found.
        twice: Found more often than once.
    """

    signal: str
    sent: int
    stored: int
    refused: int
    lost: int
    twice: int


def fate(sender: Sender, stored: Counter[int]) -> Figures:
    """What became of everything that a sender sent; what was refused must not be stored."""
    assert not (stored.keys() & (sender.refused.keys() | sender.unreachable)), "refused, and stored all the same"
    items = sender.items
    lost = sum(max(0, items - stored[n]) for n in sender.accepted)
    return Figures(
        signal=sender.signal.name,
        sent=items * sender.sent,
        stored=sum(min(items, found) for found in stored.values()),
        refused=items * (sender.sent - len(sender.accepted) - len(sender.unanswered & stored.keys())),
        lost=lost,
        twice=sum(max(0, found - items) for found in stored.values()),
    )


def everything_stored(stack: Stack, senders: Iterable[Sender], seconds: float = 90) -> dict[Sender, Counter[int]]:
    """What the backends have, as soon as they have all that was accepted; fails if they never do."""
    found: dict[Sender, Counter[int]] = {}

    def missing(sender: Sender) -> int:
        found[sender] = sender.signal.stored(stack, sender.service)
        return sum(found[sender][n] < sender.items for n in sender.accepted)

    until_each(
        senders,
        lambda sender: not missing(sender),
        lambda sender: f"{missing(sender)} of {len(sender.accepted)} accepted requests of {sender.signal.name}",
        seconds,
    )
    return found


def stored_in_the_end(stack: Stack, senders: Sequence[Sender]) -> dict[Sender, Counter[int]]:
    """What the backends have when they have all that was accepted, or when nothing more has come for a long time."""
    changed = time.monotonic()
    before: dict[Sender, Counter[int]] = {}
    while True:
        found = {sender: sender.signal.stored(stack, sender.service) for sender in senders}
        if all(found[sender][n] >= sender.items for sender in senders for n in sender.accepted):
            return found
        if found != before:
            before, changed = found, time.monotonic()
        elif time.monotonic() - changed > LONGEST_PAUSE_S:
            return found
        time.sleep(0.5)


def record(fault: Fault, figures: Figures) -> None:
    """Check that nothing is lost beyond what the page names, and write down what was counted."""
    print(f"{fault.name}: {figures}")  # noqa: T201 the figures of a run belong into its output
    assert fault in FAULTS
    assert figures.sent == figures.stored + figures.refused + figures.lost, figures
    assert fault.losses or not figures.lost, f"{fault.name} lost {figures}"
    if file := os.environ.get(_FIGURES):
        with Path(file).open("a") as out:
            out.write(json.dumps({"fault": fault.name, **asdict(figures)}) + "\n")


def table(lines: Iterable[str]) -> str:
    """The table of what the tests wrote, the last run of each; fails if a fault is missing."""
    rows: dict[tuple[str, str], str] = {}
    for line in lines:
        row = json.loads(line)
        numbers = " | ".join(f"{row[column]:,}" for column in ("sent", "stored", "refused", "lost", "twice"))
        rows[row["fault"], row["signal"]] = f"| {row['fault']} | {row['signal']} | {numbers} |\n"
    found = {fault for fault, _ in rows}
    assert found == {fault.name for fault in FAULTS}, f"not all faults, or unknown ones: {sorted(found)}"
    order = [fault.name for fault in FAULTS]
    return _HEAD + "".join(rows[key] for key in sorted(rows, key=lambda key: order.index(key[0])))


def render(page: str, figures: str) -> str:
    """The page with another table."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{figures}{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(render(PAGE.read_text(), table(Path(sys.argv[1]).read_text().splitlines())))
