"""The leanest hand-written ways to take a stream's facts: the 1x of `per_token.py`.

The facts are otelext's: arrival of the first and of the last chunk that holds output, their number, and the time in
which the consumer held a chunk, all readable while the stream runs; of a callback, whether it came while a chunk was
held. Two clock reads and one test a token.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from opentelemetry import context as context_api
from opentelemetry.context import set_value

# Past the API's functions, as otelext goes: they would make the 1x slower.
_RUNTIME: Any = context_api._RUNTIME_CONTEXT
_VARIABLE: ContextVar[Context] = _RUNTIME._current_context
get_current, attach = _VARIABLE.get, _VARIABLE.set

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from contextvars import ContextVar

    from opentelemetry.context import Context


class Facts:
    """What is known of one stream, in nanoseconds on `perf_counter_ns`."""

    __slots__ = (
        "chunks",
        "consumer_at_last_ns",
        "consumer_ns",
        "first_ns",
        "flowing",
        "held_since",
        "last_ns",
        "runs_ahead",
    )

    def __init__(self) -> None:
        self.first_ns: int | None = None
        self.last_ns: int | None = None
        self.runs_ahead = False
        self.flowing = True
        self.chunks = self.consumer_ns = self.consumer_at_last_ns = self.held_since = 0

    def callback(self, n: int) -> None:
        """Count tokens that an engine brought."""
        now = perf_counter_ns()
        if self.held_since:
            self.runs_ahead = True
        if self.first_ns is None:
            self.first_ns = now
        self.last_ns = now
        self.consumer_at_last_ns = self.consumer_ns
        self.chunks += n


def lean(inner: Iterator[str], facts: Facts) -> Iterator[str]:
    """Take the facts."""
    for chunk in inner:
        now = perf_counter_ns()
        if chunk:
            if facts.first_ns is None:
                facts.first_ns = now
            facts.last_ns = now
            facts.consumer_at_last_ns = facts.consumer_ns
            facts.chunks += 1
        facts.held_since = now
        yield chunk
        facts.held_since = 0
        facts.consumer_ns += perf_counter_ns() - now


class LeanIterator:
    """As `lean`, as an object, which `stream()` gives: one may hold it, drop it, and go on after an exception."""

    def __init__(self, inner: Iterator[str], facts: Facts) -> None:
        self._inner = inner
        self._facts = facts

    def __iter__(self) -> LeanIterator:
        return self

    def __next__(self) -> str:
        facts = self._facts
        if facts.held_since:
            facts.consumer_ns += perf_counter_ns() - facts.held_since
            facts.held_since = 0
        chunk = self._inner.__next__()
        now = perf_counter_ns()
        if chunk:
            if facts.first_ns is None:
                facts.first_ns = now
            facts.last_ns = now
            facts.consumer_at_last_ns = facts.consumer_ns
            facts.chunks += 1
        facts.held_since = now
        return chunk


def lean_isolated(inner: Iterator[str], facts: Facts) -> Iterator[str]:
    """Take the facts, and run each step in a context that nobody outside sees."""
    context = set_value("lean", facts)
    while True:
        outer = get_current()
        attach(context)
        try:
            chunk = next(inner)
        except StopIteration:
            return
        finally:
            context = get_current()
            attach(outer)
        now = perf_counter_ns()
        if chunk:
            if facts.first_ns is None:
                facts.first_ns = now
            facts.last_ns = now
            facts.consumer_at_last_ns = facts.consumer_ns
            facts.chunks += 1
        facts.held_since = now
        yield chunk
        facts.held_since = 0
        facts.consumer_ns += perf_counter_ns() - now


def lean_checked(inner: Iterator[str], facts: Facts) -> Iterator[str]:
    """As `lean_isolated`, and test what may be otherwise: who tells output, what a chunk is, whether all has ended."""
    context = set_value("lean", facts)
    while True:
        outer = get_current()
        attach(context)
        try:
            chunk = next(inner)
        except StopIteration:
            return
        finally:
            context = get_current()
            attach(outer)
        if not facts.flowing or type(chunk) is not str:
            raise TypeError(chunk)
        now = perf_counter_ns()
        if chunk:
            if facts.first_ns is None:
                facts.first_ns = now
            facts.last_ns = now
            facts.consumer_at_last_ns = facts.consumer_ns
            facts.chunks += 1
        facts.held_since = now
        yield chunk
        now = perf_counter_ns()
        if facts.flowing and (since := facts.held_since):
            facts.held_since = 0
            facts.consumer_ns += now - since


async def lean_async(inner: AsyncIterator[str], facts: Facts) -> AsyncIterator[str]:
    """As `lean`, of an async iterator."""
    async for chunk in inner:
        now = perf_counter_ns()
        if chunk:
            if facts.first_ns is None:
                facts.first_ns = now
            facts.last_ns = now
            facts.consumer_at_last_ns = facts.consumer_ns
            facts.chunks += 1
        facts.held_since = now
        yield chunk
        facts.held_since = 0
        facts.consumer_ns += perf_counter_ns() - now


async def lean_isolated_async(inner: AsyncIterator[str], facts: Facts) -> AsyncIterator[str]:
    """As `lean_isolated`, of an async iterator."""
    context = set_value("lean", facts)
    while True:
        outer = get_current()
        attach(context)
        try:
            chunk = await anext(inner)
        except StopAsyncIteration:
            return
        finally:
            context = get_current()
            attach(outer)
        now = perf_counter_ns()
        if chunk:
            if facts.first_ns is None:
                facts.first_ns = now
            facts.last_ns = now
            facts.consumer_at_last_ns = facts.consumer_ns
            facts.chunks += 1
        facts.held_since = now
        yield chunk
        facts.held_since = 0
        facts.consumer_ns += perf_counter_ns() - now


async def lean_checked_async(inner: AsyncIterator[str], facts: Facts) -> AsyncIterator[str]:
    """As `lean_checked`, of an async iterator."""
    context = set_value("lean", facts)
    while True:
        outer = get_current()
        attach(context)
        try:
            chunk = await anext(inner)
        except StopAsyncIteration:
            return
        finally:
            context = get_current()
            attach(outer)
        if not facts.flowing or type(chunk) is not str:
            raise TypeError(chunk)
        now = perf_counter_ns()
        if chunk:
            if facts.first_ns is None:
                facts.first_ns = now
            facts.last_ns = now
            facts.consumer_at_last_ns = facts.consumer_ns
            facts.chunks += 1
        facts.held_since = now
        yield chunk
        now = perf_counter_ns()
        if facts.flowing and (since := facts.held_since):
            facts.held_since = 0
            facts.consumer_ns += now - since
