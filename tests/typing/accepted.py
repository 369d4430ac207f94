"""What the type checkers must understand. Checked, never run."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from typing import Any

from typing_extensions import assert_type

import otelext
from otelext import Inference, Outcome


@otelext.inference("chat", model="m", provider="vllm", model_version="r1", tokens=len)
def function(prompt: str, *, pages: int = 1) -> int:
    return len(prompt) * pages


def choose(prompt: str) -> str | None:
    return prompt or None


@otelext.inference("chat", model=choose)
async def coroutine(prompt: str) -> int:
    return len(prompt)


@otelext.stage("decode")
def generator(prompt: str) -> Generator[str, int, bool]:
    sent = yield prompt
    return sent > 1


@otelext.inference("chat")
async def async_generator(prompt: str) -> AsyncGenerator[str, int]:
    yield prompt


@otelext.inference("chat")
@otelext.stage("decode")
async def async_iterator(prompt: str) -> AsyncIterator[str]:
    yield prompt


@otelext.inference("chat")
def returned(prompt: str) -> Iterator[str]:
    return iter([prompt])


class Service:
    @otelext.inference("chat")
    def method(self, prompt: str) -> Iterator[str]:
        yield prompt

    @classmethod
    @otelext.inference("chat")
    def class_method(cls, prompt: str) -> int:
        return len(prompt)

    @staticmethod
    @otelext.stage("fetch")
    async def static_method(prompt: str) -> bytes:
        return prompt.encode()

    @property
    @otelext.stage("fetch")
    def prop(self) -> float:
        return 1.0


@contextlib.contextmanager
@otelext.stage("fetch")
def session() -> Generator[int, None, None]:
    yield 1


async def check() -> None:
    assert_type(function("a", pages=2), int)
    pending: Coroutine[Any, Any, int] = coroutine("a")
    assert_type(await pending, int)
    assert_type(generator("a"), Generator[str, int, bool])
    assert_type(async_generator("a"), AsyncGenerator[str, int])
    assert_type(async_iterator("a"), AsyncIterator[str])
    assert_type(returned("a"), Iterator[str])
    assert_type(Service().method("a"), Iterator[str])
    assert_type(Service.class_method("a"), int)
    assert_type(await Service.static_method("a"), bytes)
    assert_type(Service().prop, float)
    with session() as number:
        assert_type(number, int)
    partial: Callable[[], int] = functools.partial(function, "a")
    awaitable: Callable[[str], Awaitable[int]] = coroutine
    del partial, awaitable

    with otelext.inference("chat") as inf:
        assert_type(inf, Inference)
    async with otelext.inference("chat") as inf:
        assert_type(inf, Inference)
    with otelext.stage("decode", inference=inf), inf.stage("fetch"):
        pass
    async with otelext.stage("decode"):
        pass
    await readings(otelext.current_inference())


def returns() -> int:
    """A `with` swallows nothing, so that this returns on every path."""
    with otelext.inference("chat"), otelext.stage("decode"):
        return 1


async def readings(inf: Inference) -> None:
    assert_type(inf.ttft, "float | None")
    assert_type(inf.tpot, "float | None")
    assert_type(inf.breakdown, "dict[str, float] | None")
    assert_type(inf.outcome, "Outcome | None")
    assert_type(inf.output_tokens, "int | None")
    inf.set_model("m", "r")
    inf.set_input(images=1, pages=1, pixels=1, image_tokens=1, text_tokens=1)
    inf.set_usage(input_tokens=1, output_tokens=1, cached_input_tokens=1)
    inf.set_response(model="m", finish_reasons=["stop"])
    inf.set_document(type="receipt", width=1, height=1, fields=1)
    inf.set_attribute("key", ["a", "b"])
    inf.set_outcome(Outcome.TIMEOUT)
    inf.set_cost(0.5)
    inf.first_token()
    inf.add_tokens(1)
    assert_type(inf.stream(["a"]), Iterator[str])
    assert_type(inf.stream(["a"], tokens=len), Iterator[str])
    assert_type(inf.stream(async_iterator("a")), AsyncIterator[str])
    assert_type(inf.stream(async_iterator("a"), tokens=len), AsyncIterator[str])
    for chunk in inf.stream({1: 2}):
        assert_type(chunk, int)
    async for text in inf.stream(async_iterator("a")):
        assert_type(text, str)
    assert_type(otelext.force_flush(timeout=1.0), bool)
    assert_type(otelext.__version__, str)
