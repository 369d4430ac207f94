"""Every way out of asynchronous code ends an inference exactly once, on asyncio and trio."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import gc
import sys
import threading
import warnings
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

import otelext
from otelext import Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator

    from otelext.testing import Captured

    Engine = Callable[[], AsyncGenerator[str, None]]
    Start = Callable[[], Awaitable[Any]]

BOTH = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])


class PlainAsyncIterator(AsyncIterator[str]):
    """An async iterator that is no generator and has an `aclose`."""

    def __init__(self, source: AsyncGenerator[str, None]) -> None:
        self.source = source

    async def __anext__(self) -> str:
        return await anext(self.source)

    async def aclose(self) -> None:
        await self.source.aclose()


def generator(engine: Engine) -> Start:
    answer = otelext.inference("chat")(engine)

    async def start() -> Any:
        return answer()

    return start


def returned_generator(engine: Engine) -> Start:
    @otelext.inference("chat")
    def answer() -> AsyncGenerator[str, None]:
        return engine()

    async def start() -> Any:
        return answer()

    return start


def returned_iterator(engine: Engine) -> Start:
    @otelext.inference("chat")
    def answer() -> AsyncIterator[str]:
        return PlainAsyncIterator(engine())

    async def start() -> Any:
        return answer()

    return start


def awaited_iterator(engine: Engine) -> Start:
    @otelext.inference("chat")
    async def answer() -> AsyncIterator[str]:
        return PlainAsyncIterator(engine())

    return answer


def awaited_stream(engine: Engine) -> Start:
    @otelext.inference("chat")
    async def answer() -> AsyncIterator[str]:
        return otelext.current_inference().stream(engine())  # type: ignore[no-any-return, unused-ignore]

    return answer


def awaited_response(engine: Engine) -> Start:
    @otelext.inference("chat")
    async def answer() -> Any:
        return SimpleNamespace(body_iterator=engine())

    async def start() -> Any:
        return (await answer()).body_iterator

    return start


STREAMS = (generator, returned_generator, returned_iterator, awaited_iterator, awaited_stream, awaited_response)


@pytest.fixture(params=STREAMS, ids=lambda make: make.__name__)
def make(request: pytest.FixtureRequest) -> Callable[[Engine], Start]:
    """Each way in which a decorated function streams."""
    found: Callable[[Engine], Start] = request.param
    return found


async def three() -> AsyncGenerator[str, None]:
    with otelext.stage("prefill"):
        await anyio.lowlevel.checkpoint()
    async with otelext.stage("decode"):  # held open across each yield
        for chunk in ("a", "b", "c"):
            await anyio.lowlevel.checkpoint()
            yield chunk


async def stuck() -> AsyncGenerator[str, None]:
    with otelext.stage("decode"):
        yield "a"
        await anyio.sleep_forever()


def assert_outside() -> None:
    assert otelext.current_inference().outcome is None
    assert not trace.get_current_span().get_span_context().is_valid


def assert_ended_once(captured: Captured, outcome: Outcome, *spans: str) -> None:
    assert [inference.outcome for inference in captured.inferences()] == [outcome]
    assert sorted(span.name for span in captured.spans()) == sorted(("chat", *spans))
    span = captured.spans("chat")[0]
    failed = outcome in {Outcome.ERROR, Outcome.TIMEOUT}
    assert (span.status.status_code is StatusCode.ERROR) is failed
    assert ("error.type" in (span.attributes or {})) is failed
    assert {s.parent.span_id for s in captured.spans() if s.parent} <= {span.context.span_id if span.context else 0}


async def collect() -> None:
    """Collect garbage, and let the event loop close what it found."""
    gc.collect()
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


@BOTH
async def test_read_to_its_end_it_is_completed(captured: Captured, make: Callable[[Engine], Start]) -> None:
    seen = []
    async for chunk in await make(three)():
        assert_outside()
        await anyio.lowlevel.checkpoint()
        assert_outside()
        seen.append(chunk)
    assert seen == ["a", "b", "c"]
    assert_outside()
    assert_ended_once(captured, Outcome.COMPLETED, "prefill", "decode")


@BOTH
@pytest.mark.parametrize("chunks", [0, 2])
@pytest.mark.parametrize(
    ("error", "outcome"),
    [(ValueError("x"), Outcome.ERROR), (asyncio.TimeoutError("x"), Outcome.TIMEOUT), (SystemExit(), Outcome.CANCELLED)],
    ids=["error", "timeout", "exit"],
)
async def test_an_exception_of_the_engine_decides_the_outcome(
    captured: Captured, make: Callable[[Engine], Start], error: BaseException, outcome: Outcome, chunks: int
) -> None:
    async def engine() -> AsyncGenerator[str, None]:
        for _ in range(chunks):
            yield "a"
        await anyio.lowlevel.checkpoint()
        raise error

    async def read() -> None:
        async for _ in await make(engine)():
            assert_outside()

    with pytest.raises(type(error)) as raised:
        await read()
    assert raised.value is error
    assert_outside()
    assert_ended_once(captured, outcome)


@BOTH
async def test_aclose_abandons_it(captured: Captured, make: Callable[[Engine], Start]) -> None:
    running = await make(three)()
    await anext(running)
    await running.aclose()
    assert_outside()
    await running.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(running)
    del running
    await collect()
    assert_ended_once(captured, Outcome.ABANDONED, "prefill", "decode")


@BOTH
async def test_aclose_from_another_task_abandons_it(captured: Captured, make: Callable[[Engine], Start]) -> None:
    running = await make(three)()
    await anext(running)

    async def close() -> None:
        await running.aclose()
        assert_outside()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(close)
    assert_outside()
    assert_ended_once(captured, Outcome.ABANDONED, "prefill", "decode")


@BOTH
async def test_each_step_may_be_taken_by_another_task(captured: Captured, make: Callable[[Engine], Start]) -> None:
    running = await make(three)()
    seen: list[str] = []

    async def step() -> None:
        seen.append(await anext(running))
        assert_outside()

    for _ in range(3):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(step)
    assert await anext(running, "end") == "end"
    assert seen == ["a", "b", "c"]
    assert_outside()
    assert_ended_once(captured, Outcome.COMPLETED, "prefill", "decode")


async def test_break_abandons_it_once_the_loop_closes_it(captured: Captured, make: Callable[[Engine], Start]) -> None:
    async for _ in await make(three)():
        break
    await collect()
    assert_outside()
    assert_ended_once(captured, Outcome.ABANDONED, "prefill", "decode")


async def test_collected_as_garbage_it_ended_at_its_last_hand_over(
    captured: Captured, make: Callable[[Engine], Start], clock: Any
) -> None:
    async def engine() -> AsyncGenerator[str, None]:
        clock.tick(5)
        yield "a"
        clock.tick(7)
        yield "b"

    running = await make(engine)()
    await anext(running)
    clock.tick(100)
    await anext(running)
    clock.tick(1000)
    del running
    await collect()
    assert_ended_once(captured, Outcome.ABANDONED)
    ended = captured.inferences()[0]
    assert ended.end_ns is not None
    assert ended.end_ns - ended.start_ns == 112


async def test_collected_in_a_cycle_it_is_closed_once(captured: Captured, make: Callable[[Engine], Start]) -> None:
    said: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: said.append(context))
    for _ in range(5):
        running = await make(three)()
        await anext(running)
        cycle: list[Any] = [running]
        cycle.append(cycle)
        del running, cycle
        await collect()
    loop.set_exception_handler(None)
    assert said == []
    assert_outside()
    assert [inference.outcome for inference in captured.inferences()] == [Outcome.ABANDONED] * 5
    assert len(captured.spans("decode")) == 5


@BOTH
async def test_cancelled_while_it_waits_for_the_engine(captured: Captured, make: Callable[[Engine], Start]) -> None:
    running = await make(stuck)()
    with anyio.CancelScope() as scope:
        assert await anext(running) == "a"
        scope.cancel()
        await anext(running)
    assert scope.cancelled_caught
    assert_outside()
    assert_ended_once(captured, Outcome.CANCELLED, "decode")


@BOTH
async def test_cancelled_while_the_consumer_holds_a_chunk(captured: Captured, make: Callable[[Engine], Start]) -> None:
    with anyio.CancelScope() as scope:
        async with contextlib.aclosing(await make(stuck)()) as running:
            async for _ in running:
                scope.cancel()
                await anyio.sleep_forever()
    assert_outside()
    assert_ended_once(captured, Outcome.ABANDONED, "decode")


@pytest.mark.parametrize("make_generator", [generator, returned_generator], ids=lambda make: make.__name__)
async def test_a_cancellation_thrown_in_while_the_consumer_holds_a_chunk(
    captured: Captured, make_generator: Callable[[Engine], Start]
) -> None:
    running = await make_generator(three)()
    await anext(running)
    with pytest.raises(asyncio.CancelledError):
        await running.athrow(asyncio.CancelledError())
    assert_ended_once(captured, Outcome.ABANDONED, "prefill", "decode")


@pytest.mark.parametrize("way", ["wait_for", "fail_after"])
async def test_a_time_out_from_outside_is_a_cancellation(
    captured: Captured, make: Callable[[Engine], Start], way: str
) -> None:
    async def read() -> None:
        async for _ in await make(stuck)():
            pass

    async def within() -> None:
        with anyio.fail_after(0.01):
            await read()

    with pytest.raises((asyncio.TimeoutError, TimeoutError)):
        await (asyncio.wait_for(read(), 0.01) if way == "wait_for" else within())
    assert_outside()
    assert_ended_once(captured, Outcome.CANCELLED, "decode")


@BOTH
async def test_a_time_out_that_the_function_sets_itself_is_a_timeout(captured: Captured) -> None:
    @otelext.inference("chat")
    async def answer() -> AsyncGenerator[str, None]:
        yield "a"
        with anyio.fail_after(0.01):
            await anyio.sleep_forever()

    with pytest.raises(TimeoutError):
        async for _ in answer():
            pass
    assert_ended_once(captured, Outcome.TIMEOUT)


@BOTH
async def test_two_streams_interleaved_in_one_task(captured: Captured, make: Callable[[Engine], Start]) -> None:
    one, two = await make(three)(), await make(three)()
    seen = [await anext(one), await anext(two), await anext(two), await anext(one), await anext(one), await anext(two)]
    assert seen == ["a", "a", "b", "b", "c", "c"]
    assert await anext(two, None) is None
    assert_outside()
    assert await anext(one, None) is None
    assert_outside()
    assert [inference.outcome for inference in captured.inferences()] == [Outcome.COMPLETED] * 2
    roots = {span.context.span_id for span in captured.spans("chat") if span.context}
    for name in ("decode", "prefill"):
        assert {span.parent.span_id for span in captured.spans(name) if span.parent} == roots


async def test_many_streams_at_once(captured: Captured, make: Callable[[Engine], Start]) -> None:
    async def read() -> None:
        async for _ in await make(three)():
            assert_outside()

    await asyncio.gather(*(read() for _ in range(20)))
    assert [inference.outcome for inference in captured.inferences()] == [Outcome.COMPLETED] * 20
    parents = {span.context.span_id: span for span in captured.spans("chat") if span.context}
    assert len(parents) == 20
    assert sorted(s.parent.span_id for s in captured.spans("decode") if s.parent) == sorted(parents)


@BOTH
async def test_an_async_generator_that_is_never_started_is_no_inference(captured: Captured) -> None:
    running = await generator(three)()
    await running.aclose()
    await generator(three)()
    await collect()
    assert captured.inferences() == []


@pytest.mark.parametrize("make_returned", STREAMS[1:], ids=lambda make: make.__name__)
async def test_a_returned_iterator_that_is_never_iterated_is_abandoned(
    captured: Captured, make_returned: Callable[[Engine], Start]
) -> None:
    await make_returned(three)()
    await collect()
    assert_ended_once(captured, Outcome.ABANDONED)


# --- coroutines and context managers -----------------------------------------------------------------------------------


def coroutine(work: Callable[[], Awaitable[int]]) -> Callable[[], Coroutine[Any, Any, int]]:
    @otelext.inference("chat")
    async def answer() -> int:
        return await work()

    return answer


def function_returning_a_coroutine(work: Callable[[], Awaitable[int]]) -> Callable[[], Coroutine[Any, Any, int]]:
    async def answer() -> int:
        return await work()

    @otelext.inference("chat")
    def call() -> Coroutine[Any, Any, int]:
        return answer()

    return call


def managed(work: Callable[[], Awaitable[int]]) -> Callable[[], Coroutine[Any, Any, int]]:
    async def answer() -> int:
        async with otelext.inference("chat"):
            return await work()

    return answer


@pytest.fixture(params=[coroutine, function_returning_a_coroutine, managed], ids=lambda make: make.__name__)
def make_call(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[int]]], Any]:
    """Each way in which awaited code is measured."""
    found: Callable[[Callable[[], Awaitable[int]]], Any] = request.param
    return found


@BOTH
async def test_an_awaited_call_is_completed(captured: Captured, make_call: Any) -> None:
    async def work() -> int:
        async with otelext.stage("prefill"):
            await anyio.lowlevel.checkpoint()
        assert otelext.current_inference().span_name == "chat"
        return 7

    assert await make_call(work)() == 7
    assert_outside()
    assert_ended_once(captured, Outcome.COMPLETED, "prefill")


@BOTH
async def test_an_awaited_call_that_is_cancelled(captured: Captured, make_call: Any) -> None:
    async def work() -> int:
        async with otelext.stage("decode"):
            await anyio.sleep_forever()
        return 0

    with anyio.move_on_after(0.01):
        await make_call(work)()
    assert_outside()
    assert_ended_once(captured, Outcome.CANCELLED, "decode")


@BOTH
async def test_an_awaited_call_that_raises(captured: Captured, make_call: Any) -> None:
    async def work() -> int:
        await anyio.lowlevel.checkpoint()
        raise LookupError

    with pytest.raises(LookupError):
        await make_call(work)()
    assert_outside()
    assert_ended_once(captured, Outcome.ERROR)


async def test_a_cancellation_while_the_functions_own_code_holds_a_chunk_abandons(captured: Captured) -> None:
    @otelext.inference("chat")
    async def answer() -> None:
        async for _ in otelext.current_inference().stream(stuck()):
            await anyio.sleep_forever()  # a client that reads no more

    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(answer(), 0.01)
    await collect()
    assert_ended_once(captured, Outcome.ABANDONED, "decode")


def test_a_call_that_is_never_awaited_is_complained_about_once(captured: Captured) -> None:
    async def plain() -> int:
        return 1

    for function in (plain, otelext.inference("chat")(plain), otelext.stage("decode")(plain)):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            _ = function()
            del _
            gc.collect()
        assert [str(w.message).split("'")[1].rpartition(".")[2] for w in said] == ["plain"]
    assert captured.inferences() == []


def test_a_returned_coroutine_that_is_never_awaited_is_abandoned(captured: Captured) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _ = function_returning_a_coroutine(lambda: asyncio.sleep(0, 1))()
        del _
        gc.collect()
    assert_ended_once(captured, Outcome.ABANDONED)


async def test_a_task_cancelled_before_its_first_step_says_nothing(captured: Captured, recwarn: Any) -> None:
    async def work() -> int:
        return 1

    task = asyncio.ensure_future(coroutine(work)())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    coroutine(work)().close()
    gc.collect()
    assert [str(warning.message) for warning in recwarn] == []
    assert captured.inferences() == []


# --- the event loop's own end ------------------------------------------------------------------------------------------


def test_break_as_the_loop_closes(captured: Captured, make: Callable[[Engine], Start]) -> None:
    """The loop is closed without closing its generators: their frames are dropped without any exception."""
    keep = []

    async def main() -> None:
        running = await make(three)()
        keep.append(running)
        async for _ in running:
            break

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    keep.clear()
    gc.collect()
    assert_outside()
    assert_ended_once(captured, Outcome.ABANDONED, "prefill", "decode")


def test_what_is_still_open_when_the_loop_shuts_down_is_closed_once(
    captured: Captured, make: Callable[[Engine], Start], caplog: pytest.LogCaptureFixture
) -> None:
    keep = []
    cleaned = []

    async def engine() -> AsyncGenerator[str, None]:
        try:
            yield "a"
            yield "b"
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            cleaned.append(True)

    async def main() -> None:
        running = await make(engine)()
        keep.append(running)
        await anext(running)

    asyncio.run(main())
    keep.clear()
    gc.collect()
    assert cleaned == [True]
    assert_outside()
    assert_ended_once(captured, Outcome.ABANDONED)
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []


@pytest.mark.parametrize("kind", ["coroutine", "function_returning_a_coroutine", "managed", "generator", "iterator"])
def test_a_suspended_call_that_is_collected_leaves_the_collectors_context_alone(captured: Captured, kind: str) -> None:
    async def work() -> int:
        async with otelext.stage("decode"):
            await asyncio.get_running_loop().create_future()
        return 0

    async def engine() -> AsyncGenerator[str, None]:
        await work()
        yield "a"

    async def main() -> None:
        calls: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
            "coroutine": coroutine(work),
            "function_returning_a_coroutine": function_returning_a_coroutine(work),
            "managed": managed(work),
            "generator": functools.partial(read, generator),
            "iterator": functools.partial(read, returned_iterator),
        }
        task = asyncio.ensure_future(calls[kind]())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # that it is destroyed is the point

    async def read(make: Callable[[Engine], Start]) -> None:
        await anext(await make(engine)())

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
    del loop
    tracer = captured.tracer_provider.get_tracer("another")
    with tracer.start_as_current_span("another") as another:
        gc.collect()
        assert trace.get_current_span() is another
    assert_outside()
    assert [inference.outcome for inference in captured.inferences()] == [Outcome.ABANDONED]
    assert sorted(span.name for span in captured.spans()) == ["another", "chat", "decode"]


class Suspend:
    """Awaited, it suspends once for each time that it is stepped."""

    def __await__(self) -> Generator[None, None, None]:
        yield
        yield


@pytest.mark.parametrize(
    "kind", ["coroutine", "managed", "generator", "iterator", "closing a generator", "closing an iterator"]
)
def test_a_suspended_call_that_is_closed_leaves_the_closers_context_alone(captured: Captured, kind: str) -> None:
    async def work() -> int:
        async with otelext.stage("decode"):
            await Suspend()
        return 0

    async def engine() -> AsyncGenerator[str, None]:
        try:
            if "closing" not in kind:
                await work()
            yield "a"
        finally:
            if "closing" in kind:
                await work()

    async def read(make: Callable[[Engine], Start]) -> None:
        running = await make(engine)()
        await anext(running)
        await running.aclose()

    calls: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
        "coroutine": coroutine(work),
        "managed": managed(work),
        "generator": functools.partial(read, generator),
        "iterator": functools.partial(read, returned_iterator),
        "closing a generator": functools.partial(read, generator),
        "closing an iterator": functools.partial(read, returned_iterator),
    }
    call = calls[kind]()
    contextvars.copy_context().run(call.send, None)
    tracer = captured.tracer_provider.get_tracer("another")
    with tracer.start_as_current_span("another") as another:
        call.close()
        assert trace.get_current_span() is another
    assert_outside()
    gc.collect()
    assert [inference.outcome for inference in captured.inferences()] == [Outcome.ABANDONED]
    assert sorted(span.name for span in captured.spans()) == ["another", "chat", "decode"]


def test_close_from_another_thread_and_loop(captured: Captured, make: Callable[[Engine], Start]) -> None:
    keep = []

    async def first() -> None:
        keep.append(await make(three)())
        await anext(keep[0])

    def close() -> None:
        asyncio.run(keep[0].aclose())

    loop = asyncio.new_event_loop()
    loop.run_until_complete(first())
    thread = threading.Thread(target=close)
    thread.start()
    thread.join()
    loop.close()
    assert_outside()
    assert_ended_once(captured, Outcome.ABANDONED, "prefill", "decode")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="asyncio.timeout is new in Python 3.11")
async def test_asyncio_timeout_around_the_consumer(captured: Captured, make: Callable[[Engine], Start]) -> None:
    async def read() -> None:
        async with asyncio.timeout(0.01):  # type: ignore[attr-defined, unused-ignore]
            async for _ in await make(stuck)():
                pass

    with pytest.raises(TimeoutError):
        await read()
    assert_outside()
    assert_ended_once(captured, Outcome.CANCELLED, "decode")
