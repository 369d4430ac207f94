"""What a GenAI span of another library says of its request: the catalogue's figures out of its attributes.

Names: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ and what instrumentations sent before it; vLLM's
and SGLang's `gen_ai.latency.*`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry.trace import StatusCode

from otelext import semconv
from otelext.semconv import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.sdk.trace import ReadableSpan

_T = TypeVar("_T")


@dataclass(frozen=True)
class Figures:
    """The figures of one request, None where the span does not tell.

    Attributes:
        operation: `gen_ai.operation.name`.
        provider: `gen_ai.provider.name`, or what older instrumentations call `gen_ai.system`.
        model: The model asked for, else the one that answered.
        outcome: How it ended.
        error_type: `error.type`, for time-outs and errors alone.
        duration: Seconds.
        ttft: Seconds to the first token or, where only that is known, to the first chunk.
        tpot: Seconds per output token after the first.
        stages: Seconds of the engine's own stages, by stage name.
        input_tokens: All input tokens.
        output_tokens: Generated tokens.
        image_tokens: Input tokens that carry images.
    """

    operation: str | None
    provider: str | None
    model: str | None
    outcome: Outcome
    error_type: str | None
    duration: float
    ttft: float | None
    tpot: float | None
    stages: Mapping[str, float]
    input_tokens: int | None
    output_tokens: int | None
    image_tokens: int | None


def figures_of(span: ReadableSpan) -> Figures:
    """The figures of an ended span; a value that can't be one counts as not told."""
    attributes: Mapping[str, Any] = span.attributes or {}
    outcome, error_type = _end(span, attributes)
    duration = _seconds(attributes.get(semconv.LATENCY_E2E))
    if duration is None:
        duration = max(0, (span.end_time or 0) - (span.start_time or 0)) / 1e9
    output = _first(_tokens, attributes, semconv.OUTPUT_TOKENS, semconv.USAGE_COMPLETION_TOKENS)
    ttft = tpot = None
    if output != 0:
        ttft, after_first = _token_times(span, attributes, duration)
        if after_first is not None and output is not None and output > 1:
            tpot = after_first / (output - 1)
    return Figures(
        operation=_text(attributes.get(semconv.OPERATION)),
        provider=_provider(span, attributes),
        model=_first(_text, attributes, semconv.REQUEST_MODEL, semconv.RESPONSE_MODEL),
        outcome=outcome,
        error_type=error_type,
        duration=duration,
        ttft=ttft,
        tpot=tpot,
        stages=_stages(attributes),
        input_tokens=_first(_tokens, attributes, semconv.INPUT_TOKENS, semconv.USAGE_PROMPT_TOKENS),
        output_tokens=output,
        image_tokens=_tokens(attributes.get(semconv.USAGE_IMAGE_INPUT_TOKENS)),
    )


def _token_times(
    span: ReadableSpan, attributes: Mapping[str, Any], duration: float
) -> tuple[float | None, float | None]:
    """Seconds to the first token, and from there to the last: the engine's word before the client's."""
    ttft = _seconds(attributes.get(semconv.LATENCY_TIME_TO_FIRST_TOKEN))
    decode = _seconds(attributes.get(semconv.LATENCY_TIME_IN_MODEL_DECODE))
    if ttft is None:
        ttft = _seconds(attributes.get(semconv.RESPONSE_TIME_TO_FIRST_CHUNK))
    if ttft is None and not span.dropped_events:  # of too many events the first ones are dropped
        times = [event.timestamp for event in span.events if event.name in semconv.STREAMED_CHUNK_EVENTS]
        if times and span.start_time is not None:
            ttft = max(0, min(times) - span.start_time) / 1e9
            decode = (max(times) - min(times)) / 1e9
    if decode is None and ttft is not None:
        decode = max(0.0, duration - ttft)
    return ttft, decode


def _stages(attributes: Mapping[str, Any]) -> dict[str, float]:
    found = {
        semconv.STAGE_QUEUE: _seconds(attributes.get(semconv.LATENCY_TIME_IN_QUEUE)),
        semconv.STAGE_PREFILL: _seconds(attributes.get(semconv.LATENCY_TIME_IN_MODEL_PREFILL)),
        semconv.STAGE_DECODE: _seconds(attributes.get(semconv.LATENCY_TIME_IN_MODEL_DECODE)),
    }
    return {stage: seconds for stage, seconds in found.items() if seconds is not None}


def _end(span: ReadableSpan, attributes: Mapping[str, Any]) -> tuple[Outcome, str | None]:
    """The outcome, decided by name as `otelext.capture.outcome` decides by class."""
    kind = _text(attributes.get(semconv.ERROR_TYPE))
    failed = span.status.status_code is StatusCode.ERROR
    if kind is None and not failed:
        return Outcome.COMPLETED, None
    if kind in {None, semconv.ERROR_TYPE_OTHER} and span.status.description == semconv.ABANDONED_STREAM:
        return Outcome.ABANDONED, None
    if kind is None:
        kind = (
            next(
                (
                    _text((event.attributes or {}).get(semconv.EXCEPTION_TYPE))
                    for event in reversed(span.events)
                    if event.name == semconv.EXCEPTION_EVENT
                ),
                None,
            )
            or semconv.ERROR_TYPE_OTHER
        )
    name = kind.rpartition(".")[2]
    if name in {"CancelledError", "Cancelled", "KeyboardInterrupt", "SystemExit"}:
        return Outcome.CANCELLED, None
    if name == "GeneratorExit":
        return Outcome.ABANDONED, None
    if name.endswith(("Timeout", "TimeoutError")):
        return Outcome.TIMEOUT, kind
    return Outcome.ERROR, kind


def _provider(span: ReadableSpan, attributes: Mapping[str, Any]) -> str | None:
    named = _first(_text, attributes, semconv.PROVIDER, semconv.SYSTEM)
    if named is not None:
        return named
    scope = span.instrumentation_scope
    if scope is not None and scope.name.partition(".")[0] == semconv.VLLM:
        return semconv.VLLM
    return None


def _first(read: Callable[[object], _T | None], attributes: Mapping[str, Any], *keys: str) -> _T | None:
    return next((found for key in keys if (found := read(attributes.get(key))) is not None), None)


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
        return None
    return float(value)


def _tokens(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
