"""Concurrency: what 200 streams at once in one event loop cost, against the same streams without telemetry (1x).

Each stream has 200 tokens, 10 ms apart, so that the loop is busy but not full; the streams start within half a second.
In milliseconds a round: `wall`, until the last stream has ended; `CPU`, of the whole process until everything is
emitted, hence of otelext's worker and of the batch processor too; and the loop's lag, by which a task that sleeps for
5 ms again and again wakes too late: its median, its p99 and its maximum. asyncio itself rounds a wait up to the next
millisecond, which is most of the median.

The targets are a CPU of 1.4x at most and a lag of 2x at p99 at most.

    python benchmarks/streams.py [--rounds 15] [--repetitions 200] [--only NAME ...] [--json FILE] [--profile]

`--repetitions` are the tokens of each stream.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from profiled import profiled
from providers import set_providers
from rounds import Benchmark, main
from streaming import BARE, STARTS_S, STREAMS, TOKENS, WAYS, answer, measuring, watch_lag

if TYPE_CHECKING:
    from collections.abc import Callable

    from rounds import Measure, Prepare
    from streaming import Stream, Way

PACE_S = 0.010


async def at_once(stream: Stream, tokens: int) -> list[float]:
    """Read all streams, each to its end; the loop's lags meanwhile."""

    async def read(start: float) -> int:
        await asyncio.sleep(start)
        count = 0
        async for _ in stream(tokens, PACE_S):
            count += 1
        return count

    late: list[float] = []
    probe = asyncio.create_task(watch_lag(late))
    counts = await asyncio.gather(*(read(start) for start in STARTS_S))
    probe.cancel()
    assert counts == [tokens] * STREAMS
    return late


def contender(make: Callable[[], Way]) -> Prepare:
    """The streams measured in one way."""

    def prepare() -> Measure:
        way = make()
        return measuring(lambda tokens: asyncio.run(at_once(way.stream, tokens)), way.flush)

    return prepare


BENCHMARK = Benchmark(__file__, {name: contender(make) for name, make in WAYS.items()}, base=BARE, repetitions=TOKENS)


def profile(tokens: int) -> None:
    """Where otelext's time goes, and asyncio's."""
    set_providers()
    print(f"a request is here {STREAMS} streams at once, of {tokens} tokens each")
    profiled(lambda: asyncio.run(at_once(answer, tokens)), 1)


if __name__ == "__main__":
    sys.exit(main(BENCHMARK, __doc__, profile))
