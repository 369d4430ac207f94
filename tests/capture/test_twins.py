"""Whatever sequence of steps is taken, a decorated generator and its undecorated twin give the same observations."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace

import otelext
from otelext.capture.inference import OPEN
from otelext.testing import capture

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator


class OwnError(Exception):
    """Compared by identity: the very object thrown in comes out."""


class OwnBase(BaseException):
    """Not an `Exception`."""


def script(program: list[str], log: list[Any]) -> Generator[Any, Any, Any]:
    """A generator that yields, catches, raises and returns as its program says."""
    for number, instruction in enumerate(program):
        try:
            if instruction == "yield":
                log.append((yield number))
            elif instruction == "empty":
                log.append((yield ""))
            elif instruction == "raise":
                raise OwnError(number)
            elif instruction == "return":
                return number
            elif instruction == "stop":
                raise StopIteration(number)  # noqa: PLR1708  # that it is turned into a RuntimeError is compared
            elif instruction == "delegate":
                yield from ["x", "y"]
            elif instruction == "catch":
                try:
                    log.append((yield "in"))
                except (OwnError, OwnBase) as error:
                    log.append(("caught", type(error)))
            elif instruction == "swallow":
                with contextlib.suppress(GeneratorExit):
                    log.append((yield "swallow"))
            elif instruction == "other":
                try:
                    yield "other"
                except BaseException as error:
                    log.append(type(error))
                    raise OwnError("from") from error
        finally:
            log.append(("left", number))
    return "end"


async def async_script(program: list[str], log: list[Any]) -> AsyncGenerator[Any, Any]:
    """The same, as an async generator."""
    for number, instruction in enumerate(program):
        try:
            await asyncio.sleep(0)
            if instruction == "yield":
                log.append((yield number))
            elif instruction == "empty":
                log.append((yield ""))
            elif instruction == "raise":
                raise OwnError(number)
            elif instruction == "return":
                return
            elif instruction == "stop":
                raise StopAsyncIteration(number)
            elif instruction == "delegate":
                yield "x"
            elif instruction == "catch":
                try:
                    log.append((yield "in"))
                except (OwnError, OwnBase) as error:
                    log.append(("caught", type(error)))
            elif instruction == "swallow":
                try:
                    log.append((yield "swallow"))
                except GeneratorExit:
                    return  # one that goes on to yield can never be closed, and is complained about when collected
            elif instruction == "other":
                try:
                    yield "other"
                except BaseException as error:
                    log.append(type(error))
                    raise OwnError("from") from error
        finally:
            log.append(("left", number))


PROGRAMS = st.lists(
    st.sampled_from(["yield", "yield", "empty", "catch", "delegate", "raise", "return", "stop", "swallow", "other"]),
    max_size=5,
)
THROWN = st.sampled_from(
    [OwnError, OwnBase, ValueError, GeneratorExit, StopIteration, StopAsyncIteration, KeyboardInterrupt]
)
STEPS = st.lists(
    st.one_of(
        st.just(("next",)),
        st.just(("next",)),
        st.tuples(st.just("send"), st.sampled_from([None, 1, "text"])),
        st.tuples(st.just("throw"), THROWN),
        st.just(("close",)),
    ),
    max_size=8,
)


def shape(error: BaseException, depth: int = 3) -> Any:
    """What of an exception a caller can rely on."""
    if depth == 0:
        return None
    return (
        type(error),
        str(error),
        getattr(error, "value", None),
        None if error.__cause__ is None else shape(error.__cause__, depth - 1),
    )


def observe(make: Callable[[list[str], list[Any]], Any], program: list[str], steps: list[tuple[Any, ...]]) -> list[Any]:
    log: list[Any] = []
    seen: list[Any] = []
    running = make(program, log)
    for step, *args in steps:
        thrown = args[0]("thrown") if step == "throw" else None
        call: functools.partial[Any] = {
            "next": functools.partial(next, running),
            "send": functools.partial(running.send, *args),
            "throw": functools.partial(running.throw, thrown),
            "close": functools.partial(running.close),
        }[step]
        try:
            seen.append(call())
        except BaseException as error:  # noqa: BLE001  # whatever comes is what is compared
            seen.append((shape(error), error is thrown))
        assert not trace.get_current_span().get_span_context().is_valid
    for _ in range(8):  # often enough that no generator is left to the garbage collector
        with contextlib.suppress(BaseException):
            running.close()
    return [seen, log]


def returned(function: Any) -> Any:
    """As what a decorated function returns."""

    @otelext.inference("chat")
    def call(*args: Any) -> Any:
        return function(*args)

    return call


DECORATORS: dict[str, Callable[[Any], Any]] = {
    "inference": otelext.inference("chat"),
    "stage": otelext.stage("decode"),
    "both": lambda function: otelext.inference("chat")(otelext.stage("decode")(function)),
    "returned": returned,
}


@pytest.mark.parametrize("name", DECORATORS)
@given(program=PROGRAMS, steps=STEPS)
def test_generators_are_twins(name: str, program: list[str], steps: list[tuple[Any, ...]]) -> None:
    with capture() as captured:
        expected = observe(script, program, steps)
        assert observe(DECORATORS[name](script), program, steps) == expected
        if OPEN:
            gc.collect()
        assert not OPEN
        assert len(captured.inferences()) <= 1


async def observe_async(
    make: Callable[[list[str], list[Any]], Any], program: list[str], steps: list[tuple[Any, ...]]
) -> list[Any]:
    log: list[Any] = []
    seen: list[Any] = []
    running = make(program, log)
    for step, *args in steps:
        thrown = args[0]("thrown") if step == "throw" else None
        call: functools.partial[Any] = {
            "next": functools.partial(anext, running),
            "send": functools.partial(running.asend, *args),
            "throw": functools.partial(running.athrow, thrown),
            "close": functools.partial(running.aclose),
        }[step]
        try:
            seen.append(await call())
        except BaseException as error:  # noqa: BLE001  # whatever comes is what is compared
            seen.append((shape(error), error is thrown))
        assert not trace.get_current_span().get_span_context().is_valid
    for _ in range(8):
        with contextlib.suppress(BaseException):
            await running.aclose()
    return [seen, log]


@pytest.mark.parametrize("name", DECORATORS)
@given(program=PROGRAMS, steps=STEPS)
def test_async_generators_are_twins(name: str, program: list[str], steps: list[tuple[Any, ...]]) -> None:
    with capture() as captured:
        expected = asyncio.run(observe_async(async_script, program, steps))
        assert asyncio.run(observe_async(DECORATORS[name](async_script), program, steps)) == expected
        if OPEN:
            gc.collect()
        assert not OPEN
        assert len(captured.inferences()) <= 1


@given(program=PROGRAMS, returned=st.integers())
def test_coroutines_are_twins(program: list[str], returned: int) -> None:
    async def work(log: list[Any]) -> int:
        log.extend([value async for value in async_script(program, log)])
        return returned

    def result(function: Callable[[list[Any]], Any]) -> Any:
        log: list[Any] = []
        try:
            return asyncio.run(function(log)), log
        except BaseException as error:  # noqa: BLE001  # compared
            return shape(error), log

    expected = result(work)
    for decorate in (DECORATORS["inference"], DECORATORS["stage"], DECORATORS["both"], DECORATORS["returned"]):
        assert result(decorate(work)) == expected
    assert not OPEN
