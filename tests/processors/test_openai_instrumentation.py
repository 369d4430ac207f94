"""The official GenAI instrumentation of the real `openai` client, against a server over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import openai
import pytest
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

import otelext
from tests.processors.openai_server import (
    COMPLETION_TOKENS,
    DELAY_S,
    MODEL,
    PROMPT_TOKENS,
    openai_server,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from otelext.testing import Captured

TTFT = "gen_ai.server.time_to_first_token"
TPOT = "gen_ai.server.time_per_output_token"
DURATION = "gen_ai.server.request.duration"
MESSAGES: Any = [{"role": "user", "content": "What is the amount?"}]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with openai_server() as base:
        yield base


@pytest.fixture(autouse=True)
def instrumented(captured: Captured) -> Iterator[None]:
    instrumentor = OpenAIInstrumentor()
    instrumentor.instrument(tracer_provider=captured.tracer_provider, meter_provider=captured.meter_provider)
    yield
    instrumentor.uninstrument()


@pytest.fixture
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0) as opened:
        yield opened


def ask(client: openai.OpenAI, *, model: str = MODEL) -> str:
    answer = client.chat.completions.create(model=model, messages=MESSAGES)
    return answer.choices[0].message.content or ""


def stream(client: openai.OpenAI) -> Iterator[str]:
    chunks = client.chat.completions.create(
        model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    for chunk in chunks:
        if chunk.choices and chunk.choices[0].delta.content:
            yield chunk.choices[0].delta.content


def assert_one_request(captured: Captured, *, streamed: bool, outcome: str = "completed") -> None:
    """Exactly one inference, and each of its figures once."""
    assert captured.value("vlm.inferences") == captured.value("vlm.inferences", vlm_outcome=outcome) == 1
    assert captured.value(DURATION) == 1
    assert captured.value(TTFT) == (1 if streamed else 0)
    assert captured.value("vlm.tokens", gen_ai_token_type="input") == PROMPT_TOKENS
    assert captured.value("vlm.tokens", gen_ai_token_type="output") == COMPLETION_TOKENS


def test_a_call_that_nobody_decorated_counts_once(captured: Captured, client: openai.OpenAI) -> None:
    assert ask(client) == "the amount is 12.50"
    assert_one_request(captured, streamed=False)
    (point,) = captured.metrics()[DURATION]
    assert dict(point.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": MODEL,
        "vlm.outcome": "completed",
    }
    assert captured.value(TPOT) == 0


def test_a_stream_that_nobody_decorated_has_its_first_token_and_its_pace(
    captured: Captured, client: openai.OpenAI
) -> None:
    assert len(list(stream(client))) == COMPLETION_TOKENS
    assert_one_request(captured, streamed=True)
    (ttft,) = captured.metrics()[TTFT]
    assert DELAY_S <= ttft.sum < 10
    (tpot,) = captured.metrics()[TPOT]
    assert tpot.count == 1
    assert DELAY_S / 2 < tpot.sum < 10  # the network may bring two words closer together than they were sent
    (span,) = captured.spans(f"chat {MODEL}")
    assert span.attributes is not None
    assert ttft.sum == pytest.approx(span.attributes["gen_ai.response.time_to_first_chunk"])
    parts = captured.metrics()["vlm.time_to_first_token.stage_time"]
    assert sum(point.value for point in parts) == pytest.approx(ttft.sum)


async def test_an_asynchronous_stream_counts_once(captured: Captured, url: str) -> None:
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        chunks = await client.chat.completions.create(
            model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
        )
        assert len([chunk async for chunk in chunks]) == COMPLETION_TOKENS + 2
    assert_one_request(captured, streamed=True)


def test_a_call_inside_an_inference_adds_nothing(captured: Captured, client: openai.OpenAI) -> None:
    with otelext.inference("chat", model=MODEL, provider="openai") as inf:
        ask(client)
        inf.set_usage(input_tokens=PROMPT_TOKENS, output_tokens=COMPLETION_TOKENS)
    assert_one_request(captured, streamed=False)


def test_a_stream_inside_an_inference_adds_nothing(captured: Captured, client: openai.OpenAI) -> None:
    @otelext.inference("chat", model=MODEL, provider="openai")
    def answer() -> Iterator[str]:
        yield from stream(client)
        otelext.current_inference().set_usage(input_tokens=PROMPT_TOKENS, output_tokens=COMPLETION_TOKENS)

    assert len(list(answer())) == COMPLETION_TOKENS
    assert_one_request(captured, streamed=True)
    assert captured.value(TPOT) == 1
    foreign, ours = captured.spans()
    assert foreign.parent is not None
    assert foreign.parent.span_id == ours.context.span_id


async def test_an_asynchronous_stream_inside_an_inference_adds_nothing(captured: Captured, url: str) -> None:
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:

        @otelext.inference("chat", model=MODEL, provider="openai")
        async def answer() -> AsyncIterator[str]:
            inf = otelext.current_inference()
            chunks = await client.chat.completions.create(
                model=MODEL, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
            )
            async for chunk in chunks:
                if chunk.usage:
                    inf.set_usage(input_tokens=chunk.usage.prompt_tokens, output_tokens=chunk.usage.completion_tokens)
                elif chunk.choices[0].delta.content:
                    yield chunk.choices[0].delta.content

        assert len([piece async for piece in answer()]) == COMPLETION_TOKENS
    assert_one_request(captured, streamed=True)


def test_an_inference_that_runs_inside_a_foreign_span_is_the_one_that_counts(
    captured: Captured, client: openai.OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instrumentation around a client whose transport, in the same process, is what was decorated."""
    send = openai.OpenAI.post

    def decorated(self: openai.OpenAI, *args: Any, **kwargs: Any) -> Any:
        with otelext.inference("chat", model=MODEL, provider="openai") as inf, otelext.stage("prefill"):
            result = send(self, *args, **kwargs)
            inf.first_token()
            inf.set_usage(input_tokens=PROMPT_TOKENS, output_tokens=COMPLETION_TOKENS)
            return result

    monkeypatch.setattr(openai.OpenAI, "post", decorated)
    with openai.OpenAI(base_url=client.base_url, api_key="none", max_retries=0) as other:
        ask(other)
    foreign, ours = sorted(captured.spans(f"chat {MODEL}"), key=lambda span: span.parent is not None)
    assert ours.parent is not None
    assert ours.parent.span_id == foreign.context.span_id
    assert_one_request(captured, streamed=True)
    assert captured.value(TPOT) == 0


def test_a_refused_call_is_an_error_of_its_type(captured: Captured, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        ask(client, model="another")
    (point,) = captured.metrics()[DURATION]
    assert point.attributes["vlm.outcome"] == "error"
    assert point.attributes["error.type"] == "openai.NotFoundError"
    assert captured.value("vlm.inferences", vlm_outcome="error") == 1
    assert captured.value("vlm.tokens") == 0


def test_a_call_that_takes_too_long_is_a_timeout(captured: Captured, url: str) -> None:
    with (
        openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=DELAY_S / 10) as client,
        pytest.raises(openai.APITimeoutError),
    ):
        ask(client)
    assert captured.value("vlm.inferences") == captured.value("vlm.inferences", vlm_outcome="timeout") == 1


async def test_a_cancelled_call_is_cancelled(captured: Captured, url: str) -> None:
    async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
        call = asyncio.ensure_future(client.chat.completions.create(model=MODEL, messages=MESSAGES))
        await asyncio.sleep(0)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call
    assert captured.value("vlm.inferences") == captured.value("vlm.inferences", vlm_outcome="cancelled") == 1
    (point,) = captured.metrics()[DURATION]
    assert "error.type" not in point.attributes


def test_a_stream_that_is_left_is_abandoned(captured: Captured, client: openai.OpenAI) -> None:
    chunks = client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    next(iter(chunks))
    del chunks
    assert captured.value("vlm.inferences") == captured.value("vlm.inferences", vlm_outcome="abandoned") == 1
    assert captured.value(TTFT) == 0
