"""Which chunks hold output: plain text, the real classes of the `openai` package, and what looks like them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import (
    ResponseCreatedEvent,
    ResponseFunctionCallArgumentsDeltaEvent,
    ResponseOutputItemAddedEvent,
    ResponseReasoningTextDeltaEvent,
    ResponseTextDeltaEvent,
    ResponseTextDoneEvent,
)

import otelext
from otelext.capture.output import holds_output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.testing import Captured


def chunk(*deltas: dict[str, Any] | None, usage: dict[str, int] | None = None) -> dict[str, Any]:
    return {
        "id": "1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": i, "delta": delta, "finish_reason": None} for i, delta in enumerate(deltas)],
        "usage": usage,
    }


USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}


def call(name: str | None, arguments: str | None) -> dict[str, Any]:
    return {
        "tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": name, "arguments": arguments}}]
    }


CHAT = [
    ("content", chunk({"content": "Hi"}), True),
    ("space", chunk({"content": " "}), True),
    ("role", chunk({"role": "assistant", "content": ""}), False),
    ("role alone", chunk({"role": "assistant"}), False),
    ("empty", chunk({"content": ""}), False),
    ("null", chunk({"content": None}), False),
    ("finish", chunk({}), False),
    ("usage", chunk(usage=USAGE), False),
    ("usage beside content", chunk({"content": "a"}, usage=USAGE), True),
    ("usage beside a role", chunk({"role": "assistant"}, usage=USAGE), False),
    ("reasoning content", chunk({"reasoning_content": "hm"}), True),
    ("empty reasoning content", chunk({"reasoning_content": "", "content": None}), False),
    ("reasoning", chunk({"reasoning": "hm"}), True),
    ("refusal", chunk({"refusal": "no"}), True),
    ("tool call's name", chunk(call("get", "")), False),
    ("tool call's arguments", chunk(call(None, '{"a"')), True),
    ("function call", chunk({"function_call": {"name": "f", "arguments": "{"}}), True),
    ("second choice", chunk({"content": ""}, {"content": "b"}), True),
    ("no choices", chunk(), False),
]


@pytest.mark.parametrize(("shape", "expected"), [(shape, e) for _, shape, e in CHAT], ids=[name for name, _, _ in CHAT])
def test_chat_completion_chunks(shape: dict[str, Any], expected: bool) -> None:
    assert holds_output(shape) is expected
    assert holds_output(ChatCompletionChunk.model_validate(shape)) is expected
    assert holds_output(as_objects(shape)) is expected


def as_objects(value: Any) -> Any:
    """Plain objects in the same shape, as other engines' clients make them."""
    if isinstance(value, dict):
        return SimpleNamespace(**{key: as_objects(item) for key, item in value.items()})
    return [as_objects(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize(("text", "expected"), [("a", True), ("", False)])
def test_completions(text: str, expected: bool) -> None:
    shape = {
        "id": "1",
        "object": "text_completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "text": text, "finish_reason": None, "logprobs": None}],
    }
    assert holds_output(shape) is expected
    completion: Any = Completion
    assert holds_output(completion.model_construct(**shape)) is expected


def test_a_whole_chat_completion_is_output() -> None:
    shape = {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
        "usage": USAGE,
    }
    assert holds_output(ChatCompletion.model_validate(shape))


@pytest.mark.parametrize(
    ("kind", "fields", "expected"),
    [
        (ResponseTextDeltaEvent, {"type": "response.output_text.delta", "delta": "Hi"}, True),
        (ResponseTextDeltaEvent, {"type": "response.output_text.delta", "delta": ""}, False),
        (ResponseReasoningTextDeltaEvent, {"type": "response.reasoning_text.delta", "delta": "hm"}, True),
        (
            ResponseFunctionCallArgumentsDeltaEvent,
            {"type": "response.function_call_arguments.delta", "delta": "{"},
            True,
        ),
        (ResponseCreatedEvent, {"type": "response.created", "response": None}, False),
        (ResponseOutputItemAddedEvent, {"type": "response.output_item.added", "item": None}, False),
        (ResponseTextDoneEvent, {"type": "response.output_text.done", "text": "Hi"}, False),
        (ResponseCreatedEvent, {"type": "error", "usage": {"a": 1}}, False),
    ],
)
def test_events_of_a_responses_stream(kind: Any, fields: dict[str, Any], expected: bool) -> None:
    assert holds_output(fields) is expected
    assert holds_output(kind.model_construct(**fields)) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", True),
        ("", False),
        (b"a", True),
        (b"", False),
        (bytearray(), False),
        (memoryview(b"a"), True),
        (None, False),
        ([], False),
        ({}, False),
        ((), False),
        ([1], True),
        ({"token": "a"}, True),
        (0, True),
        (7, True),
        (object(), True),
        (np.array([]), True),
        (np.array([1, 2]), True),
        (type("Text", (str,), {})("a"), True),
        (type("Text", (str,), {})(""), False),
    ],
    ids=repr,
)
def test_other_values(value: Any, expected: bool) -> None:
    assert holds_output(value) is expected


class Raising:
    """Nothing of it can be looked at."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


@pytest.mark.parametrize(
    "value",
    [
        Raising(),
        SimpleNamespace(choices=[Raising()]),
        SimpleNamespace(choices=[SimpleNamespace(text=np.array([1, 2]))]),
        {"choices": 5, "usage": Raising()},
        {"choices": [None, 5, "x"]},
        {"choices": [{"delta": 5}]},
        {"choices": [{"delta": {"tool_calls": 5}}]},
        {"choices": [{"delta": {"tool_calls": [None]}}]},
    ],
    ids=str,
)
def test_odd_shapes_never_raise(value: Any) -> None:
    assert holds_output(value) in {True, False}


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "content",
                    "usage",
                    "type",
                    "tool_calls",
                    "function",
                    "arguments",
                    "text",
                    "message",
                ]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_json_is_looked_into_alike_as_mapping_and_as_objects(value: Any) -> None:
    assert holds_output(value) in {True, False}
    if isinstance(value, dict) and value:
        assert holds_output(as_objects(value)) is holds_output(value)


def test_the_first_token_of_a_chat_stream_is_its_first_content(captured: Captured, clock: Any) -> None:
    @otelext.inference("chat")
    def answer() -> Iterator[ChatCompletionChunk]:
        for shape in (
            chunk({"role": "assistant", "content": ""}),
            chunk({"content": "Hel"}),
            chunk({"content": "lo"}),
            chunk({}),
            chunk(usage=USAGE),
        ):
            clock.tick(10)
            yield ChatCompletionChunk.model_validate(shape)

    assert len(list(answer())) == 5
    ended = captured.inferences()[0]
    assert ended.ttft == 20 / 1e9
    assert ended.output_tokens == 2
    assert ended.tpot == 10 / 1e9
