"""Streams that the garbage collector ends, wherever it comes: in the middle of anything that allocates."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

import otelext
from otelext.capture import binding

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from otelext.testing import Captured

PROGRAM = """
import contextvars, gc, random, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
import otelext

trace.set_tracer_provider(TracerProvider())

@otelext.inference("chat")
def answer():
    try:
        yield "a"
    finally:
        with otelext.stage("release"):
            done.append(1)

@otelext.inference("chat")
async def answer_async():
    try:
        yield "a"
    finally:
        with otelext.stage("release"):
            done.append(1)

def step_async(stream):
    # Without an event loop, whose hooks would take what is collected into a task.
    try:
        stream.__anext__().send(None)
    except StopIteration:
        pass

done = []
kind, seed = sys.argv[1], int(sys.argv[2])
choose = random.Random(seed)
variables = [contextvars.ContextVar(f"v{number}") for number in range(3)]
for turn in range(20_000):
    if turn % 100 == 0:
        gc.set_threshold(choose.randrange(2, 40), 2, 2)
    if kind == "async":
        stream = answer_async()
        step_async(stream)
    else:
        stream = answer()
        next(stream)
    cycle = [stream]
    cycle.append(cycle)
    del cycle, stream
    for variable in variables:
        variable.set([object()])
    kept = [[] for _ in range(choose.randrange(9))]
print("survived")
"""


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("kind", ["generator", "async"])
def test_a_stream_that_is_collected_leaves_the_collector_s_context_alone(kind: str, seed: int) -> None:
    """One that is set while another is being set can crash: https://github.com/python/cpython/issues/148891."""
    program = [sys.executable, "-c", textwrap.dedent(PROGRAM), kind, str(seed)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "survived"), done.stderr[-2000:]


def test_what_the_collector_closes_is_not_part_of_the_request_that_it_interrupts(captured: Captured) -> None:
    closed: list[otelext.Inference | None] = []
    with otelext.inference("first"):  # which imports much, and the collector would come then
        pass
    gc.collect()

    def pages() -> Iterator[str]:
        try:
            yield "a"
        finally:
            with otelext.stage("release"):
                closed.append(otelext.current_inference())

    reading = pages()
    next(reading)
    cycle: list[object] = [reading]
    cycle.append(cycle)
    gc.disable()
    try:
        del cycle, reading
        with otelext.inference("chat"), otelext.stage("prefill"):
            gc.collect()
            with otelext.stage("vision"):
                pass
    finally:
        gc.enable()
    assert len(closed) == 1
    spans = {span.name: span for span in captured.spans()}
    assert spans["release"].parent is None
    assert spans["vision"].parent is not None
    assert spans["vision"].parent.span_id == spans["prefill"].context.span_id


def test_the_collector_in_the_middle_of_attaching_does_not_attach_as_well(captured: Captured) -> None:
    """It may come while what attaches is still being imported."""
    binding.rebind()
    attach = binding._ATTACHMENT.attach
    assert attach is not None
    attached: list[object] = []

    def pages() -> Iterator[str]:
        try:
            yield "a"
        finally:
            with otelext.inference("late"):
                attached.append("by the collector")

    def attach_slowly(tracer_provider: Any, meter_provider: Any) -> binding.Binding:
        attached.append("attach")
        gc.collect()
        return attach(tracer_provider, meter_provider)

    reading = pages()
    next(reading)
    cycle: list[object] = [reading]
    cycle.append(cycle)
    gc.disable()
    binding.register_attach(attach_slowly)
    try:
        del cycle, reading
        with otelext.inference("chat"):
            pass
    finally:
        binding.register_attach(attach)
        gc.enable()
    assert attached == ["attach", "by the collector"]
    assert [inference.operation for inference in captured.inferences()] == ["chat"]


def reads() -> Iterator[str]:
    yield "a"
    yield "b"


def raises() -> Iterator[str]:
    yield "a"
    raise ValueError


def returns_when_closed() -> Iterator[str]:
    try:
        yield "a"
    except GeneratorExit:
        return


def goes_on() -> Iterator[str]:
    try:
        yield "a"
    except KeyError:
        yield "b"


def returns() -> Iterator[str]:
    try:
        yield "a"
    except KeyError:
        return


async def reads_async() -> AsyncIterator[str]:
    yield "a"
    yield "b"


async def raises_async() -> AsyncIterator[str]:
    yield "a"
    raise ValueError


async def returns_when_closed_async() -> AsyncIterator[str]:
    try:
        yield "a"
    except GeneratorExit:
        return


async def goes_on_async() -> AsyncIterator[str]:
    try:
        yield "a"
    except KeyError:
        yield "b"


async def returns_async() -> AsyncIterator[str]:
    try:
        yield "a"
    except KeyError:
        return


class Stepped:
    """An async generator that never waits, to be used as a generator."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def _step(self, step: Any) -> str:
        try:
            step.send(None)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]  # what the generator yielded
        except StopAsyncIteration:
            raise StopIteration from None
        finally:
            del step  # it holds what it throws, whose traceback holds this frame
        raise AssertionError

    def __iter__(self) -> Stepped:
        return self

    def __next__(self) -> str:
        return self._step(self._stream.__anext__())

    def throw(self, exc: BaseException) -> str:
        try:
            return self._step(self._stream.athrow(exc))
        finally:
            del exc

    def close(self) -> None:
        self._step(self._stream.aclose())


def throw(stream: Any) -> None:
    next(stream)
    with suppress(KeyError, StopIteration):
        stream.throw(KeyError())


def read(stream: Any) -> None:
    with suppress(ValueError):
        for _ in stream:
            pass


def close(stream: Any) -> None:
    next(stream)
    stream.close()


def drop(stream: Any) -> None:
    next(stream)


def lose(stream: Any) -> None:
    next(stream)
    cycle = [stream]
    cycle.append(cycle)


ENGINES = {
    reads: reads_async,
    raises: raises_async,
    returns_when_closed: returns_when_closed_async,
    goes_on: goes_on_async,
    returns: returns_async,
}


WAYS_OUT = [
    (reads, read),
    (reads, close),
    (reads, drop),
    (reads, lose),
    (reads, throw),
    (raises, read),
    (raises, throw),
    (returns_when_closed, close),
    (returns_when_closed, lose),
    (goes_on, throw),
    (returns, throw),
]
# CPython itself reports the StopAsyncIteration of a collected async generator, decorated or not.
REPORTED = ("async generator", returns_when_closed, lose)


@pytest.mark.parametrize(
    ("kind", "engine", "end"),
    [(kind, *way) for kind in ("generator", "async generator") for way in WAYS_OUT if (kind, *way) != REPORTED],
)
def test_no_way_out_leaves_an_exception_to_a_second_collection(
    captured: Captured, kind: str, engine: Callable[[], Iterator[str]], end: Callable[[Any], None]
) -> None:
    """One whose traceback holds a frame that holds the exception stays until the collector comes again."""
    decorated: Any = otelext.inference("chat")(engine if kind == "generator" else ENGINES[engine])

    def go() -> None:
        stream = decorated()
        end(stream if kind == "generator" else Stepped(stream))

    go()  # imports
    gc.collect()
    gc.collect()
    gc.disable()
    try:
        go()
        if end is lose:
            gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = Counter(type(found).__name__ for found in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert not left
    assert len(captured.inferences()) == 2
