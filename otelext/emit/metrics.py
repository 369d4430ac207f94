"""An inference's or a stage's facts as measurements of the catalogue's metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import Context

from otelext import semconv
from otelext.capture import timing
from otelext.capture.context import SPAN_KEY
from otelext.semconv import Outcome

if TYPE_CHECKING:
    from opentelemetry import trace

    from otelext.capture.inference import Inference
    from otelext.capture.span import Span
    from otelext.capture.stage import RunningStage
    from otelext.emit.instruments import Instruments, Key

_EMPTY = Context()


def record_inference(inference: Inference, to: Instruments) -> None:
    """Record every metric of an ended inference, its stages' durations included."""
    span = inference.span
    context, sampled = exemplar(span)
    end_ns = inference.end_ns or inference.start_ns
    now = inference.wall(end_ns)
    outcome = inference.settled or Outcome.ABANDONED
    completed = outcome is Outcome.COMPLETED
    model = model_key(inference)
    common: Key = ((semconv.OPERATION, inference.operation), *model)
    if inference.provider is not None:
        common = (common[0], (semconv.PROVIDER, inference.provider), *model)
    ended = (semconv.OUTCOME, outcome.value)
    duration_key: Key = (*common, ended)
    if inference.error_type is not None:
        duration_key = (*duration_key, (semconv.ERROR_TYPE, inference.error_type))

    to.record(
        semconv.REQUEST_DURATION, (end_ns - inference.start_ns) / 1e9, duration_key, now, context, sampled=sampled
    )
    to.add(semconv.INFERENCES, 1, (*model, ended))
    if completed:
        ttft = inference.ttft
        if ttft is not None:
            to.record(semconv.TTFT, ttft, common, now, context, sampled=sampled)
        for name, ns in (timing.breakdown_ns(inference) or {}).items():
            to.add(semconv.TTFT_STAGE_TIME, ns / 1e9, ((semconv.STAGE, name), *model))
        tpot = timing.tpot(inference)
        if tpot is not None:
            to.record(semconv.TPOT, max(0.0, tpot), common, now, context, sampled=sampled)
    consumer_wait = timing.consumer_wait_ns(inference)
    if consumer_wait is not None:
        to.record(semconv.CONSUMER_WAIT_TIME, consumer_wait / 1e9, model, now, context, sampled=sampled)
    if inference.admission_ns is not None:
        to.record(semconv.ADMISSION_TIME, inference.admission_ns / 1e9, model, now, context, sampled=sampled)

    for token_type, tokens in (
        (semconv.TOKEN_TYPE_INPUT, inference.input_tokens),
        (semconv.TOKEN_TYPE_OUTPUT, timing.output_tokens(inference)),
    ):
        if tokens:
            to.add(semconv.TOKENS, tokens, (*model, (semconv.TOKEN_TYPE, token_type), ended))
    for metric, amount in (
        (semconv.IMAGE_TOKENS, inference.image_tokens),
        (semconv.IMAGES, inference.images),
        (semconv.PAGES, inference.pages),
        (semconv.COST_TOTAL, inference.cost),
    ):
        if amount:
            to.add(metric, amount, model)


def record_stage(running: RunningStage, to: Instruments) -> None:
    """Record the duration of an ended stage."""
    end_ns = running.end_ns
    if end_ns is None:
        return
    inference = running.inference
    model = () if inference is None else model_key(inference)
    span = running.span if running.span is not None or inference is None else inference.span
    context, sampled = exemplar(span)
    to.record(
        semconv.STAGE_DURATION,
        max(0, end_ns - running.start_ns - running.held_ns) / 1e9,
        ((semconv.STAGE, running.name), *model),
        running.wall(end_ns),
        context,
        sampled=sampled,
    )


def model_key(inference: Inference) -> Key:
    """The attributes that name the model."""
    if inference.model is None:
        return ()
    if inference.model_version is None:
        return ((semconv.REQUEST_MODEL, inference.model),)
    return ((semconv.REQUEST_MODEL, inference.model), (semconv.MODEL_VERSION, inference.model_version))


def exemplar(span: trace.Span | Span | None) -> tuple[Context, bool]:
    """The context that an exemplar of `span` is taken from, and whether the span is sampled."""
    if span is None:
        return _EMPTY, False
    return Context({SPAN_KEY: span}), bool(span.get_span_context().trace_flags.sampled)
