"""Figures out of an inference's facts, as `docs/measurement.md` defines them; no state of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otelext import semconv
from otelext.capture.breakdown import split

if TYPE_CHECKING:
    from otelext.capture.inference import Inference


def output_tokens(inference: Inference) -> int | None:
    """Reported output tokens, else counted ones, else output chunks; None where nothing was streamed."""
    if inference.output_tokens_reported is not None:
        return inference.output_tokens_reported
    if inference.last_ns is None:
        return None
    return inference.counted_tokens if inference.counted else inference.chunks


def token_count_source(inference: Inference) -> str | None:
    """Where `output_tokens` comes from: `usage`, `counted` or `chunks`."""
    if inference.output_tokens_reported is not None:
        return semconv.TOKEN_SOURCE_USAGE
    if inference.last_ns is None:
        return None
    return semconv.TOKEN_SOURCE_COUNTED if inference.counted else semconv.TOKEN_SOURCE_CHUNKS


def tpot(inference: Inference) -> float | None:
    """(L − F − consumer time between) ÷ (output tokens − tokens of the first chunk), in seconds.

    No consumer time is taken off where the engine goes on while its consumer holds a chunk (`stands_still`).
    """
    first, last = inference.first_ns, inference.last_ns
    tokens = output_tokens(inference)
    if first is None or last is None or tokens is None:
        return None
    divisor = tokens - inference.first_chunk_tokens
    if divisor <= 0:
        return None
    waited = inference.consumer_at_last_ns if inference.stands_still else 0
    return (last - first - waited) / divisor / 1e9


def breakdown_ns(inference: Inference) -> dict[str, int] | None:
    """Nanoseconds of the time to first token by stage; they sum to it exactly. None without a first token."""
    if inference.first_ns is None:
        return None
    stages = [(s.start_ns, s.end_ns, s.name) for s in tuple(inference.stages) if s.top_level]
    return split(inference.start_ns, inference.first_ns, stages, inference.holds or ())


def last_chunk_ns(inference: Inference) -> int | None:
    """The moment of the last output chunk, as counted or as handed to the consumer, whichever is later."""
    if inference.last_ns is None:
        return None
    return max(inference.last_ns, inference.delivered_ns or 0)


def consumer_wait_ns(inference: Inference) -> int | None:
    """Nanoseconds between first and last output chunk in which the consumer held one; None if nothing was handed over."""
    if inference.first_ns is None or not (inference.driven or inference.streamed):
        return None
    if inference.delivered_ns is not None:
        return inference.consumer_at_delivery_ns
    return inference.consumer_at_last_ns


def producer_ns(inference: Inference) -> int | None:
    """Nanoseconds between first and last output chunk that are not the consumer's."""
    last = last_chunk_ns(inference)
    if inference.first_ns is None or last is None:
        return None
    return last - inference.first_ns - (consumer_wait_ns(inference) or 0)


def span_attributes(inference: Inference) -> dict[str, Any]:
    """The attributes of an ended inference's span."""
    found: dict[str, Any] = {semconv.OPERATION: inference.operation, semconv.OUTCOME: str(inference.settled)}
    completed = inference.settled is semconv.Outcome.COMPLETED
    parts = breakdown_ns(inference)
    consumer = consumer_wait_ns(inference)
    optional = (
        (semconv.PROVIDER, inference.provider),
        (semconv.REQUEST_MODEL, inference.model),
        (semconv.MODEL_VERSION, inference.model_version),
        (semconv.RESPONSE_MODEL, inference.response_model),
        (semconv.FINISH_REASONS, inference.finish_reasons),
        (semconv.INPUT_TOKENS, inference.input_tokens),
        (semconv.OUTPUT_TOKENS, output_tokens(inference)),
        (semconv.CACHED_INPUT_TOKENS, inference.cached_input_tokens),
        (semconv.TOKEN_COUNT_SOURCE, token_count_source(inference)),
        (semconv.OUTPUT_CHUNKS, inference.chunks or None),
        (semconv.TIME_TO_FIRST_TOKEN, inference.ttft),
        (semconv.TIME_PER_OUTPUT_TOKEN, tpot(inference) if completed else None),
        (semconv.CONSUMER_WAIT, None if consumer is None else consumer / 1e9),
        (semconv.ADMISSION, None if inference.admission_ns is None else inference.admission_ns / 1e9),
        (semconv.UNATTRIBUTED, None if parts is None else parts[semconv.UNATTRIBUTED_STAGE] / 1e9),
        (semconv.INPUT_IMAGES, inference.images),
        (semconv.INPUT_PAGES, inference.pages),
        (semconv.INPUT_PIXELS, inference.pixels),
        (semconv.INPUT_IMAGE_TOKENS, inference.image_tokens),
        (semconv.INPUT_TEXT_TOKENS, inference.text_tokens),
        (semconv.INPUT_WIDTH, inference.width),
        (semconv.INPUT_HEIGHT, inference.height),
        (semconv.DOCUMENT_TYPE, inference.document_type),
        (semconv.FIELD_COUNT, inference.fields),
        (semconv.COST, inference.cost),
        (semconv.REQUEST_ID, None if inference.request is None else inference.request.request_id),
        (semconv.ERROR_TYPE, inference.error_type),
    )
    found.update({key: value for key, value in optional if value is not None})
    return found
