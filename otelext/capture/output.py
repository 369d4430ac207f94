"""Which chunks hold output: the default rule behind "first token".

Empty strings, role-only and usage-only chunks are not output. The shapes are those of OpenAI's
chat completions, completions and responses streams (https://platform.openai.com/docs/api-reference),
which vLLM, SGLang, TGI and llama.cpp speak too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from otelext.capture.failure import report


def holds_output(chunk: object) -> bool:
    """Whether a streamed chunk carries text, reasoning or tool-call arguments.

    `str`, `bytes` and OpenAI-shaped chunks (objects or mappings) are looked into. Of other types None and
    empty containers hold nothing, and any other value (a token id, an object of an engine) is output.
    """
    kind = type(chunk)
    if kind is str or kind is bytes:
        return bool(chunk)
    if chunk is None:
        return False
    try:
        return _looked_into(chunk)
    except Exception:  # noqa: BLE001  # a chunk's own attributes may raise; the stream goes on
        report("otelext could not look into a chunk, which counts as output", exc_info=True)
        return True


def _looked_into(chunk: object) -> bool:
    if isinstance(chunk, (str, bytes, bytearray, memoryview)):
        return len(chunk) > 0
    choices = _get(chunk, "choices")
    if choices is not None:
        return any(_choice_holds_output(choice) for choice in _items(choices))
    delta = _get(chunk, "delta")
    if isinstance(delta, str):  # an event of the responses stream
        return bool(delta)
    event = _get(chunk, "type")
    if isinstance(event, str) and event.startswith("response."):
        return False
    if _get(chunk, "usage") is not None:
        return False
    if isinstance(chunk, (Mapping, list, tuple, set, frozenset)):
        return len(chunk) > 0
    return True


def _choice_holds_output(choice: object) -> bool:
    if _get(choice, "text"):
        return True
    delta = _get(choice, "delta")
    if delta is None:
        delta = _get(choice, "message")
    if delta is None:
        return False
    if any(_get(delta, key) for key in ("content", "reasoning_content", "reasoning", "refusal")):
        return True
    calls = [_get(call, "function") for call in _items(_get(delta, "tool_calls"))]
    calls.append(_get(delta, "function_call"))
    return any(_get(call, "arguments") for call in calls)


def _get(value: object, key: str) -> Any:  # a foreign shape can hold anything
    if isinstance(value, Mapping):
        return value.get(key)
    return getattr(value, key, None)


def _items(value: object) -> Iterable[object]:
    return value if isinstance(value, (list, tuple)) else ()
