"""Figures out of an inference's facts, as `docs/measurement.md` defines them; no state of its own."""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

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


class Figures:
    """What spans and metrics both tell of an ended inference, worked out once.

    Attributes:
        breakdown_ns: As `breakdown_ns`.
        consumer_wait_ns: As `consumer_wait_ns`.
        output_tokens: As `output_tokens`.
        tpot: As `tpot`, of a completed inference.
        ttft: Seconds, None without a first token.
    """

    __slots__ = ("breakdown_ns", "consumer_wait_ns", "output_tokens", "tpot", "ttft")

    def __init__(self, inference: Inference) -> None:
        completed = inference.settled is semconv.Outcome.COMPLETED
        self.breakdown_ns = breakdown_ns(inference)
        self.consumer_wait_ns = consumer_wait_ns(inference)
        self.output_tokens = output_tokens(inference)
        self.tpot = tpot(inference) if completed else None
        self.ttft = inference.ttft


_FACTS: Final = {
    semconv.PROVIDER: "provider",
    semconv.REQUEST_MODEL: "model",
    semconv.MODEL_VERSION: "model_version",
    semconv.RESPONSE_MODEL: "response_model",
    semconv.FINISH_REASONS: "finish_reasons",
    semconv.INPUT_TOKENS: "input_tokens",
    semconv.CACHED_INPUT_TOKENS: "cached_input_tokens",
    semconv.INPUT_IMAGES: "images",
    semconv.INPUT_PAGES: "pages",
    semconv.INPUT_PIXELS: "pixels",
    semconv.INPUT_IMAGE_TOKENS: "image_tokens",
    semconv.INPUT_TEXT_TOKENS: "text_tokens",
    semconv.INPUT_WIDTH: "width",
    semconv.INPUT_HEIGHT: "height",
    semconv.DOCUMENT_TYPE: "document_type",
    semconv.FIELD_COUNT: "fields",
    semconv.COST: "cost",
    semconv.ERROR_TYPE: "error_type",
}
"""The attributes of a span that are facts of its inference as they stand."""

_read_facts: Final = attrgetter(*_FACTS.values())


def span_attributes(inference: Inference, figures: Figures | None = None) -> dict[str, Any]:
    """The attributes of an ended inference's span."""
    if figures is None:
        figures = Figures(inference)
    facts = zip(_FACTS, _read_facts(inference), strict=True)
    # These first: a provider's limit on attributes keeps what came first.
    found: dict[str, Any] = {semconv.OPERATION: inference.operation, semconv.OUTCOME: str(inference.settled)}
    found.update((key, value) for key, value in facts if value is not None)
    if figures.output_tokens is not None:
        found[semconv.OUTPUT_TOKENS] = figures.output_tokens
        found[semconv.TOKEN_COUNT_SOURCE] = token_count_source(inference)
    if inference.chunks:
        found[semconv.OUTPUT_CHUNKS] = inference.chunks
    if figures.ttft is not None:
        found[semconv.TIME_TO_FIRST_TOKEN] = figures.ttft
    if figures.tpot is not None:
        found[semconv.TIME_PER_OUTPUT_TOKEN] = figures.tpot
    if figures.consumer_wait_ns is not None:
        found[semconv.CONSUMER_WAIT] = figures.consumer_wait_ns / 1e9
    if inference.admission_ns is not None:
        found[semconv.ADMISSION] = inference.admission_ns / 1e9
    if figures.breakdown_ns is not None:
        found[semconv.UNATTRIBUTED] = figures.breakdown_ns[semconv.UNATTRIBUTED_STAGE] / 1e9
    if inference.request is not None and inference.request.request_id is not None:
        found[semconv.REQUEST_ID] = inference.request.request_id
    return found
