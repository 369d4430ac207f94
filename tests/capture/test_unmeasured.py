"""Where an inference or a stage can't be started, the user's code runs as if it were not decorated."""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace

import otelext

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

    from otelext.testing import Captured


@pytest.fixture(params=[otelext.inference("chat"), otelext.stage("decode")], ids=["inference", "stage"])
def broken(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A decorator whose start fails."""

    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(importlib.import_module("otelext.capture.measure"), "Inference", fail)
    monkeypatch.setattr(importlib.import_module("otelext.capture.stage"), "RunningStage", fail)
    return request.param


def call(function: Callable[[], Any]) -> Any:
    return function()


def test_every_kind_runs(broken: Any, captured: Captured, caplog: pytest.LogCaptureFixture) -> None:
    def function() -> int:
        return 1

    async def coroutine() -> int:
        return 2

    def generator() -> Generator[int, int, int]:
        sent = yield 3
        try:
            yield sent
        except KeyError:
            yield 5
        return 6

    async def async_generator() -> AsyncGenerator[int, int]:
        sent = yield 3
        try:
            yield sent
        except KeyError:
            yield 5

    async def read() -> list[int]:
        running = broken(async_generator)()
        found = [await anext(running), await running.asend(4), await running.athrow(KeyError())]
        found.append(await anext(running, 6))
        await running.aclose()
        return found

    assert broken(function)() == 1
    assert asyncio.run(broken(coroutine)()) == 2
    running = broken(generator)()
    assert [next(running), running.send(4), running.throw(KeyError())] == [3, 4, 5]
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert stop.value.value == 6
    assert asyncio.run(read()) == [3, 4, 5, 6]
    with broken:
        assert not trace.get_current_span().get_span_context().is_valid
        otelext.current_inference().set_input(images=1)
    assert captured.spans() == []
    assert "could not start" in caplog.text


def test_exceptions_come_through(broken: Any) -> None:
    def function() -> None:
        raise ValueError("mine")

    async def coroutine() -> None:
        raise ValueError("mine")

    def generator() -> Generator[int, None, None]:
        yield 1
        raise ValueError("mine")

    async def async_generator() -> AsyncGenerator[int, None]:
        yield 1
        raise ValueError("mine")

    async def read() -> None:
        async for _ in broken(async_generator)():
            pass

    async def managed() -> None:
        async with broken:
            raise ValueError("mine")

    for run in (
        broken(function),
        lambda: asyncio.run(broken(coroutine)()),
        lambda: list(broken(generator)()),
        lambda: asyncio.run(read()),
        lambda: asyncio.run(managed()),
    ):
        with pytest.raises(ValueError, match="mine"):
            call(run)
