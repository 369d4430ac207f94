"""Generators and iterators, measured: each step runs in the context of its inference or stage, and only there.

A step swaps OpenTelemetry's context in before the inner code runs and out before a value is handed over, so that
nothing is left behind across a `yield`, whichever task or thread takes the next step or closes the generator.
"""

from __future__ import annotations

import io
import sys
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
)
from typing import TYPE_CHECKING, Any, Protocol

from opentelemetry.context import Context, attach, get_current

from otelext.capture.context import restore
from otelext.capture.failure import report
from otelext.capture.inference import Inference

if TYPE_CHECKING:
    import weakref
    from collections.abc import Awaitable, Callable
    from types import TracebackType


class Run(Protocol):
    """What is being measured: an inference or a stage, from its start to its end."""

    @property
    def context(self) -> Context:
        """The context inside it."""
        ...

    @property
    def outer(self) -> Context:
        """The context around it."""
        ...

    @property
    def end_ns(self) -> int | None:
        """Its end, None while it runs."""
        ...

    @property
    def owner(self) -> Inference | None:
        """The inference that this is, or belongs to."""
        ...

    def hand_over(self, chunk: object) -> None:
        """A chunk goes to the consumer."""

    def resume(self) -> None:
        """The consumer asks for more."""

    def succeed(self) -> None:
        """The inner code ended normally."""

    def fail(self, exc: BaseException, *, holding: bool = False, collected: bool = False) -> None:
        """`exc` ended the inner code, perhaps while the consumer held a chunk or by the garbage collector."""


class Reference:
    """What a running generator's frame holds: a weak reference to the generator, and the end of its run if all else fails.

    CPython clears weak references to an object before it finalises it: a `GeneratorExit` that comes when the
    reference is dead comes from the garbage collector, any other from `close()`. A frame that is dropped without any
    exception, as that of an async generator is once its event loop has closed, takes this object with it.
    """

    __slots__ = ("generator", "run")

    def __init__(self) -> None:
        self.generator: weakref.ref[Any] | None = None
        self.run: Run | None = None

    @property
    def dead(self) -> bool:
        """Whether the generator is being finalised."""
        return self.generator is not None and self.generator() is None

    def __del__(self) -> None:
        run = self.run
        if run is not None and run.end_ns is None:
            run.fail(GeneratorExit(), holding=True, collected=True)


class Awaited:
    """The inner coroutine of a call, and what measures it, until the call is awaited for the first time.

    A call that never is, or that is cancelled before its first step, drops this object: then the inner coroutine is
    closed, since Python's "never awaited" is already said of the decorated one, and a started run is abandoned.
    """

    __slots__ = ("inner", "run")

    def __init__(self, inner: Coroutine[Any, Any, Any], run: Run | None = None) -> None:
        self.inner: Coroutine[Any, Any, Any] | None = inner
        self.run = run

    def take(self) -> Coroutine[Any, Any, Any]:
        """The inner coroutine, for its first step."""
        inner = self.inner
        assert inner is not None  # a coroutine starts once
        self.inner = self.run = None
        return inner

    def __del__(self) -> None:
        if self.inner is not None and isinstance(self.inner, Coroutine):
            self.inner.close()
        if self.run is not None:
            self.run.fail(GeneratorExit(), holding=True, collected=True)


def drive(
    inner: Generator[Any, Any, Any], begin: Callable[[], Run | None], reference: Reference
) -> Generator[Any, Any, Any]:
    """Step `inner` as if it were iterated directly, and measure it from the first `next` on."""
    run = begin()
    if run is None:
        return (yield from inner)
    reference.run = run
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
    reference.run = run
    mark_driven(run)
    if isinstance(run, Inference):
        run.remember_task()
    context = run.context
    step = _first_step(inner)
    thrown: BaseException | None = None
    while True:
        outer = get_current()
        attach(context)
        try:
            chunk = await step
        except StopAsyncIteration:
            attach(outer)
            _finish(run, thrown, reference)
            return
        except BaseException as exc:
            if isinstance(exc, GeneratorExit) and exc is not thrown:
                restore(run, outer)
            else:
                attach(outer)
            held = thrown is not None
            run.fail(exc, holding=held and exc is thrown, collected=held and reference.dead)
            thrown = None
            raise
        context = get_current()
        attach(outer)
        thrown = None
        run.hand_over(chunk)
        try:
            sent = yield chunk
        except BaseException as exc:  # noqa: BLE001  # whatever the consumer throws is the inner generator's to handle
            thrown = exc
            step = inner.athrow(exc)
            if isinstance(exc, GeneratorExit):
                continue
        else:
            step = inner.asend(sent)
        run.resume()


def _first_step(inner: AsyncGenerator[Any, Any]) -> Awaitable[Any]:
    """The first step of an inner async generator, of which the event loop does not learn.

    A loop closes the async generators that it knows in tasks of their own: all at once when it shuts down, and those
    that were collected as garbage. Knowing the inner one too, it would close it while the decorated one does.
    """
    firstiter, finalizer = sys.get_asyncgen_hooks()
    if firstiter is None and finalizer is None:
        return inner.asend(None)
    sys.set_asyncgen_hooks(None, _left_to_the_outer)
    try:
        return inner.asend(None)
    finally:
        sys.set_asyncgen_hooks(firstiter, finalizer)


def _left_to_the_outer(inner: AsyncGenerator[Any, Any]) -> None:
    """Finalise an inner async generator: the decorated one, collected with it, closes it."""


def _finish(run: Run, thrown: BaseException | None, reference: Reference) -> None:
    """End normally, or by the `GeneratorExit` that the inner generator answered by returning."""
    if isinstance(thrown, GeneratorExit):
        run.fail(thrown, holding=True, collected=reference.dead)
    else:
        run.succeed()


class Unmeasured:
    """Stands for an inference or stage that could not be started."""

    def __init__(self) -> None:
        self.context = self.outer = get_current()
        self.end_ns: int | None = None

    @property
    def owner(self) -> Inference | None:
        """None."""
        return None

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


async def drive_coroutine(call: Awaited, begin: Callable[[], Run | None]) -> Any:
    """Await a call, measured; an iterator or a streamed response that it returns goes on being measured."""
    run = begin()
    inner = call.take()
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
        if isinstance(exc, GeneratorExit):
            restore(run, outer)
        else:
            attach(outer)
        raise
    attach(outer)
    return adopt(run, result)


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


class Counted:
    """An inference whose function returned its own `stream()`, which counts the chunks already."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.context = run.context
        self.outer = run.outer

    @property
    def end_ns(self) -> int | None:
        """As of the inference."""
        return self._run.end_ns

    @property
    def owner(self) -> Inference | None:
        """The inference."""
        return self._run.owner

    def hand_over(self, chunk: object) -> None:
        """Counted by `stream()`."""

    def resume(self) -> None:
        """Known to `stream()`."""

    def succeed(self) -> None:
        """End normally."""
        self._run.succeed()

    def fail(self, exc: BaseException, *, holding: bool = False, collected: bool = False) -> None:
        """End by what was raised."""
        self._run.fail(exc, holding=holding, collected=collected)


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
