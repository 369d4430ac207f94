"""Many streams at once in one event loop: what `streams.py` and `streams_uvicorn.py` have in common.

An engine that waits before each token, the same stream measured in each way, and how late the loop meanwhile is.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from providers import set_providers
from raw_otel import MODEL
from raw_stream import RawStream

import otelext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from rounds import Figures, Measure

    Stream = Callable[[int, float], AsyncIterator[str]]
    """Starts a stream of so many tokens, with so many seconds before each."""

STREAMS = 200
TOKENS = 200
TOKEN = "token"
_PROBE_S = 0.005

# Within half a second, the same in every round. Evenly spaced ones would fall into step with the tokens.
_STARTS = random.Random(1)
STARTS_S = sorted(_STARTS.uniform(0, 0.5) for _ in range(STREAMS))


@dataclass(frozen=True)
class Way:
    """One way to measure a stream, or not to.

    Attributes:
        stream: Starts one.
        flush: Emits what is left.
    """

    stream: Stream
    flush: Callable[[], object] = lambda: None


async def engine(tokens: int, pace: float) -> AsyncIterator[str]:
    """An engine's answer."""
    for _ in range(tokens):
        await asyncio.sleep(pace)
        yield TOKEN


@otelext.inference("chat", model=MODEL, provider="vllm")
async def answer(tokens: int, pace: float) -> AsyncIterator[str]:
    """The same with otelext."""
    for _ in range(tokens):
        await asyncio.sleep(pace)
        yield TOKEN


def bare() -> Way:
    """Without telemetry."""
    return Way(engine)


def raw() -> Way:
    """By hand in raw OpenTelemetry: a span around the stream, an event, and metrics at its end."""
    tracers, meters, _ = set_providers()
    stream = RawStream(tracers, meters)

    def flush() -> None:
        assert tracers.force_flush(60_000)
        assert meters.force_flush(60_000)

    return Way(lambda tokens, pace: stream.measured_async(engine(tokens, pace)), flush)


def ours() -> Way:
    """With otelext."""
    set_providers()

    def flush() -> None:
        assert otelext.force_flush(60)

    return Way(answer, flush)


BARE, NOISE, RAW, OURS = "bare", "the same once more: the noise", "raw OpenTelemetry", "otelext"
WAYS: dict[str, Callable[[], Way]] = {BARE: bare, NOISE: bare, RAW: raw, OURS: ours}


async def watch_lag(late: list[float]) -> None:
    """Note the seconds by which the loop wakes a sleeper too late, again and again until it is cancelled."""
    while True:
        due = time.perf_counter() + _PROBE_S
        await asyncio.sleep(_PROBE_S)
        late.append(time.perf_counter() - due)


def measuring(streams: Callable[[int], list[float]], flush: Callable[[], object]) -> Measure:
    """Milliseconds a round.

    Args:
        streams: Has all streams read, so many tokens each, and gives the loop's lags meanwhile.
        flush: Emits what is left.
    """

    def measure(tokens: int) -> Figures:
        wall, cpu = time.perf_counter(), time.process_time()
        late = streams(tokens)
        wall = time.perf_counter() - wall
        flush()
        cpu = time.process_time() - cpu
        percentiles = statistics.quantiles(late, n=100, method="inclusive")
        seconds = {
            "wall": wall,
            "CPU": cpu,
            "lag p50": percentiles[49],
            "lag p99": percentiles[98],
            "lag max": max(late),
        }
        return {figure: value * 1e3 for figure, value in seconds.items()}

    return measure
