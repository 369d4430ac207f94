"""What a token pays: otelext against the leanest hand-written generator that takes the same facts (1x).

Streams of 20,000 tokens, so that what a request pays once is lost in them; seconds of the thread's CPU a token. Four
ways: a generator and an async generator that are the inference, an engine's iterator given to `stream()`, and an
engine's callback. Of the first two, 1x runs each step in a context of its own, as otelext does; the other two have no
steps of the user's to isolate. `leanest by hand, no context` isolates nothing, which is what a service pays that does
without. `lower bound` is the leanest one that looks at what may be otherwise as well: whether a rule or a callback
tells output, whether a chunk is a `str`, whether somebody has ended the inference meanwhile; and whose `stream()` is an
object, which one may keep, drop, and use again after an exception. Each round has new processes: at this scale, how the
memory of one happens to lie makes a fifth.

    python benchmarks/per_token.py [--rounds 21] [--repetitions 3] [--only NAME ...] [--json FILE] [--profile]

`--profile` counts the bytecode instructions of a token too, of both kinds of generators.
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import TYPE_CHECKING

from lean import (
    Facts,
    LeanIterator,
    lean,
    lean_async,
    lean_checked,
    lean_checked_async,
    lean_isolated,
    lean_isolated_async,
)
from opcodes import instructions
from profiled import profiled
from providers import set_providers
from raw_stream import RawStream
from rounds import Benchmark, main

import otelext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from rounds import Figures, Measure

TOKENS = 20_000
CHUNKS = ["token"] * TOKENS
LEANEST, LOWER, OURS = "leanest by hand", "lower bound", "otelext"
GENERATOR, ASYNC_GENERATOR, STREAM, CALLBACK = "generator", "async generator", "stream()", "callback"


def engine() -> Iterator[str]:
    """An engine's answer."""
    yield from CHUNKS


async def engine_async() -> AsyncIterator[str]:
    """The same, which never waits: what is left is what a token pays."""
    for chunk in CHUNKS:
        yield chunk


def consume(stream: Iterable[str]) -> None:
    """Read all of it."""
    for _ in stream:
        pass


async def consume_async(stream: AsyncIterator[str], repeat: Callable[[], AsyncIterator[str]], times: int) -> None:
    """Read all of several."""
    async for _ in stream:
        pass
    for _ in range(times - 1):
        async for _ in repeat():
            pass


def measuring(
    generator: Callable[[], Iterable[str]],
    async_generator: Callable[[], AsyncIterator[str]],
    stream: Callable[[], None],
    callback: Callable[[], None],
    flush: Callable[[], object] = lambda: None,
) -> Measure:
    """CPU seconds a token, by the way it comes."""

    def measure(repetitions: int) -> Figures:
        def repeat(call: Callable[[], object]) -> None:
            for _ in range(repetitions):
                call()

        ways: dict[str, Callable[[], object]] = {
            GENERATOR: lambda: repeat(lambda: consume(generator())),
            ASYNC_GENERATOR: lambda: asyncio.run(consume_async(async_generator(), async_generator, repetitions)),
            STREAM: lambda: repeat(stream),
            CALLBACK: lambda: repeat(callback),
        }
        found = {}
        for way, run in ways.items():
            begin = time.thread_time_ns()
            run()
            found[way] = (time.thread_time_ns() - begin) / (repetitions * TOKENS) / 1e9
            flush()
        return found

    return measure


def count(counted: Callable[[int], object]) -> None:
    """An engine that calls back."""
    for _ in CHUNKS:
        counted(1)


def bare() -> Measure:
    """Iteration alone."""
    return measuring(engine, engine_async, lambda: consume(engine()), lambda: count(lambda _: None))


def leanest() -> Measure:
    """By hand, without a context of its own."""
    return measuring(
        lambda: lean(engine(), Facts()),
        lambda: lean_async(engine_async(), Facts()),
        lambda: consume(lean(engine(), Facts())),
        lambda: count(Facts().callback),
    )


def leanest_isolated() -> Measure:
    """By hand, with one where otelext has one."""
    return measuring(
        lambda: lean_isolated(engine(), Facts()),
        lambda: lean_isolated_async(engine_async(), Facts()),
        lambda: consume(lean(engine(), Facts())),
        lambda: count(Facts().callback),
    )


def leanest_checked() -> Measure:
    """By hand, with the tests that otelext can't do without, and an object for `stream()`."""
    return measuring(
        lambda: lean_checked(engine(), Facts()),
        lambda: lean_checked_async(engine_async(), Facts()),
        lambda: consume(LeanIterator(engine(), Facts())),
        lambda: count(Facts().callback),
    )


def raw() -> Measure:
    """By hand in raw OpenTelemetry: a span around the stream, an event, and metrics at its end."""
    tracers, meters, _ = set_providers()
    stream = RawStream(tracers, meters)

    def with_callback() -> None:
        with stream.counting() as counted:
            count(counted)

    return measuring(
        lambda: stream.measured(engine()),
        lambda: stream.measured_async(engine_async()),
        lambda: consume(stream.measured(engine())),
        with_callback,
    )


@otelext.inference("chat", model="m")
def answer() -> Iterator[str]:
    """A generator that is an inference."""
    yield from CHUNKS


@otelext.inference("chat", model="m")
async def answer_async() -> AsyncIterator[str]:
    """An async generator that is one."""
    for chunk in CHUNKS:
        yield chunk


@otelext.inference("chat", model="m")
def answer_streaming() -> None:
    """A function that reads an engine's answer."""
    consume(otelext.current_inference().stream(engine()))


@otelext.inference("chat", model="m")
def answer_by_callback() -> None:
    """A function that an engine calls back."""
    count(otelext.current_inference().add_tokens)


def ours() -> Measure:
    """With otelext."""
    set_providers()
    answer_by_callback()
    return measuring(answer, answer_async, answer_streaming, answer_by_callback, lambda: otelext.force_flush(60))


BENCHMARK = Benchmark(
    __file__,
    {
        "bare": bare,
        "leanest by hand, no context": leanest,
        LEANEST: leanest_isolated,
        "the same once more: the noise": leanest_isolated,
        LOWER: leanest_checked,
        "raw OpenTelemetry": raw,
        OURS: ours,
    },
    base=LEANEST,
    repetitions=3,
    rounds=21,
    fresh=True,
)


def profile(repetitions: int) -> None:
    """What a token is made of: instructions by hand and with otelext, and where otelext's time goes."""
    set_providers()
    for way, streams in (
        (GENERATOR, (lean_isolated(engine(), Facts()), lean_checked(engine(), Facts()), answer())),
        (
            ASYNC_GENERATOR,
            (lean_isolated_async(engine_async(), Facts()), lean_checked_async(engine_async(), Facts()), answer_async()),
        ),
    ):
        for name, stream in zip((LEANEST, LOWER, OURS), streams, strict=True):
            print(f"{instructions(stream):.0f} instructions a token of the {way}: {name}")
    profiled(lambda: consume(answer()), repetitions)
    print("== the same by async generator")
    profiled(lambda: asyncio.run(consume_async(answer_async(), answer_async, 1)), repetitions)


if __name__ == "__main__":
    sys.exit(main(BENCHMARK, __doc__, profile))
