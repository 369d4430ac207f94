"""Every way into an inference and out of it: what `long_run.py` goes again and again."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import attach, detach
from opentelemetry.trace import NonRecordingSpan, SpanContext

import otelext
from otelext import Outcome
from otelext.asgi import OtelextMiddleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping

CHUNKS = ("", "a", "b", "c")
UNSAMPLED = trace.set_span_in_context(NonRecordingSpan(SpanContext(trace_id=1, span_id=1, is_remote=True)))
ENGINE = ThreadPoolExecutor(1)


@otelext.inference("chat", model="m", provider="vllm")
def answer() -> Iterator[str]:
    """A generator with stages and a chunk without output."""
    inf = otelext.current_inference()
    inf.set_input(images=1, pages=1, image_tokens=1176)
    with otelext.stage("vision_encode"), otelext.stage("resize"):
        pass
    with otelext.stage("prefill"):
        yield CHUNKS[0]
    yield from CHUNKS[1:]
    inf.set_usage(input_tokens=1218, output_tokens=3)


@otelext.inference("chat", model="m", provider="vllm")
async def answer_async() -> AsyncIterator[str]:
    """An async generator."""
    with otelext.stage("prefill"):
        await asyncio.sleep(0)
    for chunk in CHUNKS:
        yield chunk


@otelext.inference("chat", model="m")
def failing(exc: Exception) -> Iterator[str]:
    """A generator that fails after its first token."""
    yield "a"
    with otelext.stage("decode"):
        raise exc


@otelext.inference("chat", model="m")
async def waiting() -> None:
    """A coroutine that waits until it is cancelled."""
    with otelext.stage("queue"):
        await asyncio.get_running_loop().create_future()


@otelext.inference("text_completion", model="m")
def whole() -> str:
    """A function without a stream, with facts."""
    inf = otelext.current_inference()
    inf.set_document(type="receipt")
    inf.set_cost(0.0004)
    otelext.facts.critical_field("amount", correct=True)
    otelext.facts.accuracy(0.97)
    return "abc"


@otelext.inference("chat", model="m")
def iterator() -> Iterator[str]:
    """A function that returns an iterator."""
    return iter(CHUNKS)


@otelext.inference("chat", model=lambda name: name)
def of_model(_: str) -> Iterator[str]:
    """A generator of a model that comes with the request."""
    yield "a"


async def read() -> None:
    """Read a generator to its end."""
    for _ in answer():
        pass


async def read_async() -> None:
    """Read an async generator to its end."""
    async for _ in answer_async():
        pass


async def close() -> None:
    """Close a generator early."""
    stream = answer()
    next(stream)
    next(stream)
    stream.close()  # type: ignore[attr-defined]  # a generator, as it was before


async def close_async() -> None:
    """Close an async generator early."""
    stream: Any = answer_async()
    await anext(stream)
    await stream.aclose()


async def drop() -> None:
    """Drop a generator."""
    next(answer())


async def drop_cycle() -> None:
    """Drop one that only the garbage collector finds."""
    stream = answer()
    next(stream)
    held: list[object] = [stream]
    held.append(held)


async def drop_async() -> None:
    """Drop an async generator, which the event loop closes."""
    await anext(answer_async())


async def hang_up() -> None:
    """A client that hangs up on an ASGI application."""

    async def application(_: MutableMapping[str, Any], receive: Callable[[], Awaitable[object]], __: object) -> None:
        stream: Any = answer_async()
        async for chunk in stream:
            if chunk:
                break
        await receive()
        await stream.aclose()

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    async def send(_: MutableMapping[str, Any]) -> None:
        """Nobody listens."""

    await OtelextMiddleware(application)({"type": "http", "headers": []}, receive, send)


async def fail() -> None:
    """An exception of the user's."""
    with suppress(ValueError):
        list(failing(ValueError("no such page")))


async def time_out() -> None:
    """A time-out of the engine's."""
    with suppress(TimeoutError):
        list(failing(TimeoutError()))


async def cancel() -> None:
    """Cancel a task."""
    task = asyncio.create_task(waiting())
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def function() -> None:
    """A function without a stream."""
    whole()


async def read_iterator() -> None:
    """A returned iterator, read."""
    list(iterator())


async def drop_iterator() -> None:
    """A returned iterator, never iterated."""
    iterator()


async def callback() -> None:
    """An engine that calls back."""
    async with otelext.inference("chat", model="m") as inf:
        for _ in CHUNKS:
            inf.add_tokens(2)


async def callback_of_thread() -> None:
    """An engine that calls back from its own thread."""
    async with otelext.inference("chat", model="m") as inf:
        with inf.stage("decode"):
            await asyncio.get_running_loop().run_in_executor(ENGINE, inf.add_tokens, 2)


async def stream() -> None:
    """An engine's answer by `stream()`."""
    with otelext.inference("chat", model="m") as inf:
        for _ in inf.stream(CHUNKS):
            pass


async def nest() -> None:
    """An inference inside another one."""
    with otelext.inference("text_completion", model="m"):
        await read()


async def unsampled() -> None:
    """One of a trace that is not sampled."""
    token = attach(UNSAMPLED)
    await read()
    detach(token)


_names = count()


async def new_model() -> None:
    """One of a model that nobody named before."""
    list(of_model(f"m-{next(_names)}"))


@dataclass(frozen=True)
class Way:
    """A way in and out.

    Attributes:
        run: Goes it.
        outcome: How its inferences end.
        inferences: How many they are.
    """

    run: Callable[[], Awaitable[None]]
    outcome: Outcome
    inferences: int = 1


WAYS = (
    *(Way(run, Outcome.COMPLETED) for run in (read, read_async, function, read_iterator, stream)),
    *(Way(run, Outcome.COMPLETED) for run in (callback, callback_of_thread, unsampled, new_model)),
    Way(nest, Outcome.COMPLETED, 2),
    *(Way(run, Outcome.ABANDONED) for run in (close, close_async, drop, drop_cycle, drop_async, drop_iterator)),
    Way(hang_up, Outcome.CLIENT_DISCONNECTED),
    Way(fail, Outcome.ERROR),
    Way(time_out, Outcome.TIMEOUT),
    Way(cancel, Outcome.CANCELLED),
)
