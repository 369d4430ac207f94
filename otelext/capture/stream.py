"""`Inference.stream()`: the chunks of an engine's answer that the function does not yield itself."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from otelext.capture.failure import report

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelext.capture.inference import Inference


class _Part:
    """The chunks of `Inference.stream()`.

    While nothing but `str` chunks of one such iterator come, its step keeps the facts itself, as `resume_part` and
    `hand_over_part` would: half the cost of calling them (benchmarks/per_token.py).

    Attributes:
        inference: The inference that the chunks belong to.
    """

    def __init__(self, inference: Inference, source: Any, step: Any, tokens: Callable[[Any], int] | None) -> None:
        self.inference = inference
        self._source = source
        self._step = step
        self._tokens = tokens
        self._held = False
        self._ended = False
        # Stands for it where the inference says who streams: the inference must not keep what `del` tells of.
        self._mark = object()

    def _before(self) -> None:
        if self._held:
            self._held = False
            self.inference.resume_part()

    def _hand_over(self, chunk: Any) -> Any:
        if not self._ended:
            self.inference.hand_over_part(chunk, self._tokens, self._mark)
            self._held = True
        return chunk

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._before()
            if self.inference.streaming is self._mark:
                self.inference.streaming = None

    def __del__(self) -> None:
        if self.__dict__.get("_held"):
            self._held = False
            self.inference.let_go_part()


class PartIterator(_Part, Iterator[Any]):
    """The chunks of an iterable given to `Inference.stream()`."""

    def __next__(self) -> Any:
        facts = self.inference
        if facts.streaming is self._mark and (first := facts.first_ns) and (since := facts.held_since) >= first:
            now = perf_counter_ns()
            self._held = False
            facts.hold_depth = facts.held_since = 0
            facts.consumer_ns += now - since
        else:
            self._before()
        try:
            chunk = self._step()
        except BaseException:
            self._end()
            raise
        if facts.streaming is not self._mark or facts.hold_depth or type(chunk) is not str:
            return self._hand_over(chunk)
        now = perf_counter_ns()
        if chunk:
            if facts.first_ns is None:
                facts.first_ns = now
            facts.last_ns = now
            facts.consumer_at_last_ns = facts.consumer_ns
            facts.chunks += 1
            facts.counted_tokens += 1
        facts.held_since = now
        facts.hold_depth = 1
        self._held = True
        return chunk

    def close(self) -> None:
        """Close the source, if it can be closed."""
        close = getattr(self._source, "close", None)
        try:
            if close is not None:
                close()
        finally:
            self._end()


class PartAsyncIterator(_Part, AsyncIterator[Any]):
    """The chunks of an async iterable given to `Inference.stream()`."""

    async def __anext__(self) -> Any:
        facts = self.inference
        if facts.streaming is self._mark and (first := facts.first_ns) and (since := facts.held_since) >= first:
            now = perf_counter_ns()
            self._held = False
            facts.hold_depth = facts.held_since = 0
            facts.consumer_ns += now - since
        else:
            self._before()
        try:
            chunk = await self._step()
        except BaseException:
            self._end()
            raise
        if facts.streaming is not self._mark or facts.hold_depth or type(chunk) is not str:
            return self._hand_over(chunk)
        now = perf_counter_ns()
        if chunk:
            if facts.first_ns is None:
                facts.first_ns = now
            facts.last_ns = now
            facts.consumer_at_last_ns = facts.consumer_ns
            facts.chunks += 1
            facts.counted_tokens += 1
        facts.held_since = now
        facts.hold_depth = 1
        self._held = True
        return chunk

    async def aclose(self) -> None:
        """Close the source, if it can be closed."""
        close = getattr(self._source, "aclose", None)
        try:
            if close is not None:
                await close()
        finally:
            self._end()


def stream_of(
    inference: Inference, iterable: Iterable[Any] | AsyncIterable[Any], tokens: Callable[[Any], int] | None
) -> Iterator[Any] | AsyncIterator[Any]:
    """The measured iterator behind `Inference.stream`."""
    try:
        if isinstance(iterable, AsyncIterable):
            source = aiter(iterable)
            return PartAsyncIterator(inference, source, source.__anext__, tokens)
        iterator = iter(iterable)
        return PartIterator(inference, iterator, iterator.__next__, tokens)
    except TypeError:
        report("otelext: stream() takes an iterable or an async iterable, not %r; it goes unmeasured", iterable)
        return iterable  # type: ignore[return-value]  # it fails where the caller iterates it
