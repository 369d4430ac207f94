"""Generators and iterators, measured: each step runs in the context of its inference or stage, and only there.

A step swaps OpenTelemetry's context in before the inner code runs and out before a value is handed over, so that
nothing is left behind across a `yield`, whichever task or thread takes the next step or closes the generator.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.context import Context, attach, get_current

from otelext.capture.failure import report
from otelext.capture.inference import Inference

if TYPE_CHECKING:
    import weakref
    from collections.abc import Callable, Coroutine
    from types import TracebackType


class Run(Protocol):
    """What is being measured: an inference or a stage, from its start to its end."""

    context: Context

    def hand_over(self, chunk: object) -> None:
        """A chunk goes to the consumer."""

    def resume(self) -> None:
        """The consumer asks for more."""

    def succeed(self) -> None:
        """The inner code ended normally."""

    def fail(self, exc: BaseException, *, holding: bool = False, collected: bool = False) -> None:
        """`exc` ended the inner code, perhaps while the consumer held a chunk or by the garbage collector."""


class Reference:
    """A weak reference to a running generator that is put in once the generator exists.

    CPython clears weak references to an object before it finalises it: a `GeneratorExit` that comes when the
    reference is dead comes from the garbage collector, any other from `close()`.
    """

    __slots__ = ("generator",)

    def __init__(self) -> None:
        self.generator: weakref.ref[Any] | None = None

    @property
    def dead(self) -> bool:
        """Whether the generator is being finalised."""
        return self.generator is not None and self.generator() is None


def drive(
    inner: Generator[Any, Any, Any], begin: Callable[[], Run | None], reference: Reference
) -> Generator[Any, Any, Any]:
    """Step `inner` as if it were iterated directly, and measure it from the first `next` on."""
    run = begin()
    if run is None:
        return (yield from inner)
    mark_driven(run)
    context = run.context
    sent: Any = None
    thrown: BaseException | None = None
    while True:
        holding = thrown is not None
        outer = get_current()
        attach(context)
        try:
            chunk = inner.send(sent) if thrown is None else inner.throw(thrown)
        except StopIteration as stop:
            _finish(run, thrown, reference)
            return stop.value
        except BaseException as exc:
            run.fail(exc, holding=holding and exc is thrown, collected=holding and reference.dead)
            raise
        finally:
            context = get_current()
            attach(outer)
            thrown = None
        run.hand_over(chunk)
        try:
            sent = yield chunk
        except BaseException as exc:  # noqa: BLE001  # whatever the consumer throws is the inner generator's to handle
            thrown = exc
            if isinstance(exc, GeneratorExit):
                continue
        run.resume()


async def drive_async(
    inner: AsyncGenerator[Any, Any], begin: Callable[[], Run | None], reference: Reference
) -> AsyncGenerator[Any, Any]:
    """Step `inner` as if it were iterated directly, and measure it from the first step on."""
    run = begin()
    if run is None:
        run = Unmeasured()
    mark_driven(run)
    if isinstance(run, Inference):
        run.remember_task()
    context = run.context
    sent: Any = None
    thrown: BaseException | None = None
    while True:
        holding = thrown is not None
        outer = get_current()
        attach(context)
        try:
            chunk = await (inner.asend(sent) if thrown is None else inner.athrow(thrown))
        except StopAsyncIteration:
            _finish(run, thrown, reference)
            return
        except BaseException as exc:
            run.fail(exc, holding=holding and exc is thrown, collected=holding and reference.dead)
            raise
        finally:
            context = get_current()
            attach(outer)
            thrown = None
        run.hand_over(chunk)
        try:
            sent = yield chunk
        except BaseException as exc:  # noqa: BLE001  # whatever the consumer throws is the inner generator's to handle
            thrown = exc
            if isinstance(exc, GeneratorExit):
                continue
        run.resume()


def _finish(run: Run, thrown: BaseException | None, reference: Reference) -> None:
    """End normally, or by the `GeneratorExit` that the inner generator answered by returning."""
    if isinstance(thrown, GeneratorExit):
        run.fail(thrown, holding=True, collected=reference.dead)
    else:
        run.succeed()


class Unmeasured:
    """Stands for an inference or stage that could not be started."""

    def __init__(self) -> None:
        self.context = get_current()

    def hand_over(self, chunk: object) -> None:
        """Nothing is measured."""

    def resume(self) -> None:
        """Nothing is measured."""

    def succeed(self) -> None:
        """Nothing is measured."""

    def fail(self, exc: BaseException, *, holding: bool = False, collected: bool = False) -> None:
        """Nothing is measured."""


def mark_driven(run: Run) -> None:
    """Say that chunks leave the inference by way of a generator or a returned iterator."""
    if isinstance(run, Inference):
        run.driven = True


async def drive_coroutine(inner: Coroutine[Any, Any, Any], begin: Callable[[], Run | None]) -> Any:
    """Await `inner`, measured; an iterator or a streamed response that it returns goes on being measured."""
    run = begin()
    if run is None:
        return await inner
    if isinstance(run, Inference):
        run.remember_task()
    outer = get_current()
    attach(run.context)
    try:
        result = await inner
    except BaseException as exc:
        run.fail(exc)
        raise
    finally:
        attach(outer)
    return adopt(run, result)


def adopt(run: Run, result: Any) -> Any:  # whatever the user's function returned
    """Go on measuring an iterator, an async iterator or a response's `body_iterator`; else end the run.

    Returns:
        What to return in place of `result`.
    """
    try:
        if isinstance(result, PartIterator | PartAsyncIterator) and result.inference is run:
            result.ends_inference = True
            return result
        if isinstance(result, Iterator):
            return (MeasuredGenerator if isinstance(result, Generator) else MeasuredIterator)(run, result)
        if isinstance(result, AsyncIterator):
            kind = MeasuredAsyncGenerator if isinstance(result, AsyncGenerator) else MeasuredAsyncIterator
            return kind(run, result)
        body = getattr(result, "body_iterator", None)
        if isinstance(body, (Iterator, AsyncIterator)):
            result.body_iterator = adopt(run, body)
            return result
    except Exception:  # noqa: BLE001  # the user gets the result as it is
        report("otelext could not measure what a function returned", exc_info=True)
    run.succeed()
    return result


class _Measured:
    """What a function returned, as itself but measured. Attributes are those of the source."""

    def __init__(self, run: Run, source: Any) -> None:  # any iterator
        mark_driven(run)
        self._run = run
        self._source = source
        self._context = run.context
        self._held = False
        self._ended = False

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

    def _after(self, outer: Context) -> None:
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


class MeasuredIterator(_Measured, Iterator[Any]):
    """A returned iterator."""

    def __next__(self) -> Any:
        return self._step(self._source.__next__)

    def _step(self, call: Callable[..., Any], *args: Any) -> Any:
        outer = self._before()
        try:
            chunk = call(*args)
        except StopIteration:
            self._succeed()
            raise
        except BaseException as exc:
            self._fail(exc)
            raise
        finally:
            self._after(outer)
        return self._hand_over(chunk)

    def close(self) -> None:
        """Close the source, if it can be closed, and end the measurement."""
        outer = self._enter_close()
        try:
            close = getattr(self._source, "close", None)
            if close is not None:
                close()
        except BaseException as exc:
            self._fail(exc)
            raise
        finally:
            self._after(outer)
        self._fail(GeneratorExit(), holding=True)

    def _enter_close(self) -> Context:
        outer = get_current()
        attach(self._context)
        return outer

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
        outer = self._before()
        try:
            chunk = await call(*args)
        except StopAsyncIteration:
            self._succeed()
            raise
        except BaseException as exc:
            self._fail(exc)
            raise
        finally:
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
            self._fail(exc)
            raise
        finally:
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


class _Part:
    """The chunks of `Inference.stream()`.

    Attributes:
        inference: The inference that the chunks belong to.
        ends_inference: Set where the decorated function returned this very iterator: its end is the inference's.
    """

    def __init__(self, inference: Inference, source: Any, tokens: Callable[[Any], int] | None) -> None:
        self.inference = inference
        self.ends_inference = False
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

    def _end(self, exc: BaseException | None, *, holding: bool = False, collected: bool = False) -> None:
        if self._ended:
            return
        self._ended = True
        if not self.ends_inference:
            self._before()
        elif exc is None:
            self.inference.succeed()
        else:
            self.inference.fail(exc, holding=holding, collected=collected)

    def __del__(self) -> None:
        if "_ended" in self.__dict__:
            self._end(GeneratorExit(), holding=True, collected=True)


class PartIterator(_Part, Iterator[Any]):
    """The chunks of an iterable given to `Inference.stream()`."""

    def __next__(self) -> Any:
        self._before()
        try:
            chunk = self._source.__next__()
        except StopIteration:
            self._end(None)
            raise
        except BaseException as exc:
            self._end(exc)
            raise
        return self._hand_over(chunk)

    def close(self) -> None:
        """Close the source, if it can be closed."""
        close = getattr(self._source, "close", None)
        try:
            if close is not None:
                close()
        finally:
            self._end(GeneratorExit(), holding=True)


class PartAsyncIterator(_Part, AsyncIterator[Any]):
    """The chunks of an async iterable given to `Inference.stream()`."""

    async def __anext__(self) -> Any:
        self._before()
        try:
            chunk = await self._source.__anext__()
        except StopAsyncIteration:
            self._end(None)
            raise
        except BaseException as exc:
            self._end(exc)
            raise
        return self._hand_over(chunk)

    async def aclose(self) -> None:
        """Close the source, if it can be closed."""
        close = getattr(self._source, "aclose", None)
        try:
            if close is not None:
                await close()
        finally:
            self._end(GeneratorExit(), holding=True)


def stream_of(
    inference: Inference, iterable: Iterable[Any] | AsyncIterable[Any], tokens: Callable[[Any], int] | None
) -> Iterator[Any] | AsyncIterator[Any]:
    """The measured iterator behind `Inference.stream`."""
    if isinstance(iterable, AsyncIterable):
        return PartAsyncIterator(inference, aiter(iterable), tokens)
    return PartIterator(inference, iter(iterable), tokens)
