"""`Inference.stream()`: the chunks of an engine's answer that the function does not yield itself."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from otelext.capture.failure import report

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelext.capture.inference import Inference


class _Part:
    """The chunks of `Inference.stream()`.

    Attributes:
        inference: The inference that the chunks belong to.
    """

    def __init__(self, inference: Inference, source: Any, tokens: Callable[[Any], int] | None) -> None:
        self.inference = inference
        self._source = source
        self._tokens = tokens
        self._held = False
        self._ended = False

    def _before(self) -> None:
        if self._held:
            self._held = False
            self.inference.resume_part()

    def _hand_over(self, chunk: Any) -> Any:
        if not self._ended:
            self.inference.hand_over_part(chunk, self._tokens)
            self._held = True
        return chunk

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._before()

    def __del__(self) -> None:
        if self.__dict__.get("_held"):
            self._held = False
            self.inference.let_go_part()


class PartIterator(_Part, Iterator[Any]):
    """The chunks of an iterable given to `Inference.stream()`."""

    def __next__(self) -> Any:
        self._before()
        try:
            chunk = self._source.__next__()
        except BaseException:
            self._end()
            raise
        return self._hand_over(chunk)

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
        self._before()
        try:
            chunk = await self._source.__anext__()
        except BaseException:
            self._end()
            raise
        return self._hand_over(chunk)

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
            return PartAsyncIterator(inference, aiter(iterable), tokens)
        return PartIterator(inference, iter(iterable), tokens)
    except TypeError:
        report("otelext: stream() takes an iterable or an async iterable, not %r; it goes unmeasured", iterable)
        return iterable  # type: ignore[return-value]  # it fails where the caller iterates it
