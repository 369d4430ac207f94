"""A host in one process: a clock, a GPU that draws power, and processes whose pollers pass when they are told to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelext.gpu.energy.account import EnergyAccount
from otelext.gpu.snapshot import EnergySample

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

SECOND = 10**9
GPU = "GPU-0"


class Host:
    def __init__(self, folder: Path | None, watts: Callable[[float], float] = lambda _: 100.0) -> None:
        self.folder = folder
        self.now_ns = 1000 * SECOND
        self.start_ns = self.now_ns
        self.watts = watts

    @property
    def seconds(self) -> float:
        return (self.now_ns - self.start_ns) / SECOND

    def clock(self) -> int:
        return self.now_ns

    def joules(self, to: float) -> float:
        """By the millisecond, of power that changes at whole milliseconds."""
        return sum(self.watts(place / 1000) for place in range(round(to * 1000))) / 1000

    def process(self, uses: Collection[str] = (GPU,), interval: float = 1.0) -> Process:
        return Process(self, uses, interval)

    def sample(self, source: str = "counter", epoch: str = "", base: float = 5000.0) -> dict[str, EnergySample]:
        return {GPU: EnergySample(self.now_ns, base + self.joules(self.seconds), source, epoch)}


class Process:
    def __init__(self, host: Host, uses: Collection[str], interval: float) -> None:
        self.host = host
        self.uses = uses
        self.account = EnergyAccount(host.folder, interval, host.clock)
        self.inferences: list[tuple[str | None, float, float]] = []
        self.last_ns = 0

    def infers(self, model: str | None, start: float, end: float) -> None:
        self.inferences.append((model, start, end))

    def settles(self, samples: dict[str, EnergySample] | None = None, held: bool = False) -> None:
        now_ns, given = self.host.now_ns, []
        for model, start, end in self.inferences:
            start_ns, end_ns = (self.host.start_ns + round(second * SECOND) for second in (start, end))
            if start_ns >= now_ns or end_ns <= self.last_ns:
                continue
            given.append((model, start_ns, end_ns if end_ns <= now_ns else None))
        self.last_ns = now_ns
        self.account.settle(now_ns, given, self.uses, samples or {}, held)

    def joules(self, state: str | None = None, model: str | None = "any") -> float:
        return sum(
            joules
            for (of, kind, _), joules in self.account.totals().items()
            if state in {None, kind} and model in {"any", of}
        )


def passes(host: Host, holder: Process, others: Collection[Process] = (), count: int = 1, step: float = 1.0) -> None:
    """The pollers' next passes, the holder's last."""
    for _ in range(count):
        host.now_ns += round(step * SECOND)
        for process in others:
            process.settles()
        holder.settles(host.sample(), held=True)
