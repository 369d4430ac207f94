"""What a decorated function returned, measured: iterators, async iterators and a response's `body_iterator`."""

from __future__ import annotations

import io
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterator
from typing import TYPE_CHECKING, Any

from otelext.capture.context import attach, get_current, restore
from otelext.capture.failure import report
from otelext.capture.run import Counted, Run, mark_driven
from otelext.capture.stream import PartAsyncIterator, PartIterator

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from opentelemetry.context import Context


def adopt(run: Run, result: Any) -> Any:  # whatever the user's function returned
    """Go on measuring an iterator, an async iterator or a response's `body_iterator`; else end the run.

    Returns:
        What to return in place of `result`.
    """
    try:
        if isinstance(result, PartIterator | PartAsyncIterator) and result.inference is run:
            run = Counted(run)
        if isinstance(result, io.IOBase):  # an open file iterates, but it is read, passed on and closed
            run.succeed()
            return result
        if isinstance(result, Iterator):
            return (MeasuredGenerator if isinstance(result, Generator) else MeasuredIterator)(run, result)
        if isinstance(result, AsyncIterator):
            kind = MeasuredAsyncGenerator if isinstance(result, AsyncGenerator) else MeasuredAsyncIterator
            return kind(run, result)
        body = getattr(result, "body_iterator", None)
        if isinstance(body, AsyncIterable) and not isinstance(body, AsyncIterator):
            body = aiter(body)
        if isinstance(body, (Iterator, AsyncIterator)):
            result.body_iterator = adopt(run, body)
            return result
    except Exception:  # noqa: BLE001  # the user gets the result as it is
        report("otelext could not measure what a function returned", exc_info=True)
    run.succeed()
    return result


class _Measured:
    """What a function returned, as itself but measured. Attributes are those of the source, and so is its type."""

    def __init__(self, run: Run, source: Any) -> None:  # any iterator
        mark_driven(run)
        self._run = run
        self._source = source
        self._context = run.context
        self._held = False
        self._ended = False

    @property  # type: ignore[misc]
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]  # what makes isinstance() take it for its source
        return type(self.__dict__.get("_source", self))

    def __getattr__(self, name: str) -> Any:  # the source's attribute
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._source, name)

    def __del__(self) -> None:
        if not self.__dict__.get("_ended", True):
            self._ended = True
            self._run.fail(GeneratorExit(), holding=True, collected=True)

    def _before(self) -> Context:
        if self._held:
            self._held = False
            self._run.resume()
        outer = get_current()
        attach(self._context)
        return outer

    def _after(self, outer: Context, *, foreign: bool = False) -> None:
        if foreign:
            restore(self._run, outer)
            return
        self._context = get_current()
        attach(outer)

    def _hand_over(self, chunk: Any) -> Any:  # any chunk
        if not self._ended:
            self._run.hand_over(chunk)
            self._held = True
        return chunk

    def _succeed(self) -> None:
        if not self._ended:
            self._ended = True
            self._run.succeed()

    def _fail(self, exc: BaseException, *, holding: bool = False) -> None:
        if not self._ended:
            self._ended = True
            self._run.fail(exc, holding=holding)


def _is_thrown(exc: BaseException, args: tuple[Any, ...]) -> bool:
    return bool(args) and exc is args[0]


class MeasuredIterator(_Measured, Iterator[Any]):
    """A returned iterator."""

    def __next__(self) -> Any:
        return self._step(self._source.__next__)

    def _step(self, call: Callable[..., Any], *args: Any) -> Any:
        held = self._held
        outer = self._before()
        try:
            chunk = call(*args)
        except StopIteration:
            self._succeed()
            raise
        except BaseException as exc:
            self._fail(exc, holding=held and _is_thrown(exc, args))
            raise
        finally:
            self._after(outer)
        return self._hand_over(chunk)

    def close(self) -> Any:  # from Python 3.13 on a generator's `close` returns its value
        """Close the source, if it can be closed, and end the measurement."""
        outer = get_current()
        attach(self._context)
        try:
            close = getattr(self._source, "close", None)
            value = None if close is None else close()
        except BaseException as exc:
            self._fail(exc)
            raise
        finally:
            self._after(outer)
        self._fail(GeneratorExit(), holding=True)
        return value

    def __enter__(self) -> Any:
        self._source.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool | None:
        try:
            return bool(self._source.__exit__(kind, exc, tb))
        finally:
            self._fail(exc if exc is not None else GeneratorExit(), holding=True)


class MeasuredGenerator(MeasuredIterator, Generator[Any, Any, Any]):
    """A returned generator."""

    def send(self, value: Any) -> Any:
        """Send a value into the source."""
        return self._step(self._source.send, value)

    def throw(self, *args: Any) -> Any:
        """Throw into the source."""
        return self._step(self._source.throw, *args)


class MeasuredAsyncIterator(_Measured, AsyncIterator[Any]):
    """A returned async iterator."""

    async def __anext__(self) -> Any:
        return await self._step(self._source.__anext__)

    async def _step(self, call: Callable[..., Any], *args: Any) -> Any:
        held = self._held
        outer = self._before()
        try:
            chunk = await call(*args)
        except StopAsyncIteration:
            self._after(outer)
            self._succeed()
            raise
        except BaseException as exc:
            thrown = _is_thrown(exc, args)
            self._after(outer, foreign=isinstance(exc, GeneratorExit) and not thrown)
            self._fail(exc, holding=held and thrown)
            raise
        self._after(outer)
        return self._hand_over(chunk)

    async def aclose(self) -> None:
        """Close the source, if it can be closed, and end the measurement."""
        outer = get_current()
        attach(self._context)
        try:
            close = getattr(self._source, "aclose", None)
            if close is not None:
                await close()
        except BaseException as exc:
            self._after(outer, foreign=isinstance(exc, GeneratorExit))
            self._fail(exc)
            raise
        self._after(outer)
        self._fail(GeneratorExit(), holding=True)

    async def __aenter__(self) -> Any:
        await self._source.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool | None:
        try:
            return bool(await self._source.__aexit__(kind, exc, tb))
        finally:
            self._fail(exc if exc is not None else GeneratorExit(), holding=True)


class MeasuredAsyncGenerator(MeasuredAsyncIterator, AsyncGenerator[Any, Any]):
    """A returned async generator."""

    async def asend(self, value: Any) -> Any:
        """Send a value into the source."""
        return await self._step(self._source.asend, value)

    async def athrow(self, *args: Any) -> Any:
        """Throw into the source."""
        return await self._step(self._source.athrow, *args)
