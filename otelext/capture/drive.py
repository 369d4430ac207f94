"""Generators and iterators, measured: each step runs in the context of its inference or stage, and only there.

A step swaps OpenTelemetry's context in before the inner code runs and out before a value is handed over, so that
nothing is left behind across a `yield`, whichever task or thread takes the next step or closes the generator.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Coroutine, Generator
from functools import partial
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final

from otelext.capture.collector import collecting, run_apart
from otelext.capture.context import accessors, restore
from otelext.capture.delivery import Delivery
from otelext.capture.inference import Inference
from otelext.capture.iterators import adopt
from otelext.capture.run import Run, Unmeasured, mark_driven

if TYPE_CHECKING:
    import weakref
    from collections.abc import Awaitable, Callable

    from opentelemetry.context import Context

_NO_FACTS: Final = Delivery(len)
"""Stands for those of a run that is no inference: never flowing."""


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
    get_current, attach = accessors()
    steady: Delivery = run if isinstance(run, Inference) else _NO_FACTS
    facts = steady  # those of no run while an exception is thrown in: what is rare costs a plain token nothing
    context = run.context
    send, throw = inner.send, inner.throw
    step: Callable[[Any], Any] = send
    sent: Any = None
    while True:
        outer = get_current()
        attach(context)
        try:
            chunk = step(sent)
        except StopIteration as stop:
            _finish(run, sent if step is throw else None, reference)
            sent = None  # its traceback keeps this frame
            return stop.value
        except BaseException as exc:
            thrown = step is throw
            run.fail(exc, holding=thrown and exc is sent, collected=thrown and reference.dead)
            sent = None
            raise
        finally:
            context = get_current()
            attach(outer)
        if not facts.flowing or type(chunk) is not str:
            step, sent, facts = send, None, steady
            run.hand_over(chunk)
        else:
            now = perf_counter_ns()
            if chunk:
                facts.last_ns = now
                facts.consumer_at_last_ns = facts.consumer_ns
                facts.chunks += 1
            facts.held_since = now
        try:
            sent = yield chunk
        except BaseException as exc:  # noqa: BLE001  # whatever the consumer throws is the inner generator's to handle
            step, sent, facts = throw, exc, _NO_FACTS
            if isinstance(exc, GeneratorExit):
                if reference.dead and collecting():
                    sent = None
                    return _close_collected(run, context, exc, partial(throw, exc))
                continue
        now = perf_counter_ns()
        if not facts.flowing or not (since := facts.held_since):
            run.resume()
        else:
            facts.held_since = 0
            facts.consumer_ns += now - since


async def drive_async(
    inner: AsyncGenerator[Any, Any], begin: Callable[[], Run | None], reference: Reference
) -> AsyncGenerator[Any, Any]:
    """Step `inner` as if it were iterated directly, and measure it from the first step on."""
    run = begin()
    if run is None:
        run = Unmeasured()
    reference.run = run
    mark_driven(run)
    get_current, attach = accessors()
    steady: Delivery = _NO_FACTS
    if isinstance(run, Inference):
        steady = run
        run.remember_task()
    facts = steady  # as above
    context = run.context
    # An event loop's hooks finalise in a task of the loop; without them the garbage collector does it where it stands.
    unhooked = sys.get_asyncgen_hooks().finalizer is None
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
            thrown = step = None  # type: ignore[assignment]  # as above; a step keeps what it throws
            return
        except BaseException as exc:
            if isinstance(exc, GeneratorExit) and exc is not thrown:
                restore(run, outer)
            else:
                attach(outer)
            run.fail(exc, holding=exc is thrown, collected=thrown is not None and reference.dead)
            thrown = step = None  # type: ignore[assignment]
            raise
        context = get_current()
        attach(outer)
        if not facts.flowing or type(chunk) is not str:
            facts, thrown = steady, None
            run.hand_over(chunk)
        else:
            now = perf_counter_ns()
            if chunk:
                facts.last_ns = now
                facts.consumer_at_last_ns = facts.consumer_ns
                facts.chunks += 1
            facts.held_since = now
        try:
            step = inner.asend((yield chunk))
        except BaseException as exc:  # whatever the consumer throws is the inner generator's to handle
            if unhooked and isinstance(exc, GeneratorExit) and reference.dead and collecting():
                _close_collected(run, context, exc, inner.athrow(exc).__await__().__next__)
                raise
            thrown, facts = exc, _NO_FACTS
            step = inner.athrow(exc)
            if isinstance(exc, GeneratorExit):
                continue
        now = perf_counter_ns()
        if not facts.flowing or not (since := facts.held_since):
            run.resume()
        else:
            facts.held_since = 0
            facts.consumer_ns += now - since


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


def _close_collected(run: Run, context: Context, thrown: GeneratorExit, step: Callable[[], object]) -> None:
    """Close what the garbage collector finalises, apart from the context that is current.

    Not what the last reference's end finalises: that happens where the user's code says so, and what a `finally` resets
    there belongs to the context that is current.

    Raises:
        RuntimeError: If the inner generator yields again.
    """
    _, attach = accessors()

    def close() -> None:
        attach(context)
        step()  # noqa: F821  # deleted when all is done

    try:
        run_apart(close)
    except (StopIteration, StopAsyncIteration):
        run.fail(thrown, holding=True, collected=True)
    except BaseException as exc:
        run.fail(exc, holding=exc is thrown, collected=True)
        raise
    else:
        run.fail(thrown, holding=True, collected=True)
        raise RuntimeError("generator ignored GeneratorExit")
    finally:
        del thrown, step  # its traceback keeps this frame


async def drive_coroutine(call: Awaited, begin: Callable[[], Run | None]) -> Any:
    """Await a call, measured; an iterator or a streamed response that it returns goes on being measured."""
    run = begin()
    inner = call.take()
    if run is None:
        return await inner
    if isinstance(run, Inference):
        run.remember_task()
    get_current, attach = accessors()
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
