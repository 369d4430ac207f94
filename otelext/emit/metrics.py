"""An inference's or a stage's facts as measurements of the catalogue's metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import Context

from otelext import semconv
from otelext.capture.span import Span
from otelext.emit.instruments import given
from otelext.semconv import Outcome

if TYPE_CHECKING:
    from opentelemetry import trace

    from otelext.capture.inference import Inference
    from otelext.capture.stage import RunningStage
    from otelext.capture.timing import Figures
    from otelext.emit.instruments import AttributeSet, Instruments, Key

    Kind = tuple[str | None, ...]
    """The values of `_KIND`'s attributes."""

_NO_SPAN = Context()
_KIND = (
    semconv.OPERATION,
    semconv.PROVIDER,
    semconv.REQUEST_MODEL,
    semconv.MODEL_VERSION,
    semconv.OUTCOME,
    semconv.ERROR_TYPE,
    semconv.TENANT_ID,
)


class _InferenceSeries:
    """The attribute sets of inferences that differ in no attribute of a metric; the values are within the limits."""

    __slots__ = ("_model", "_stages", "_to", "by_model", "common", "ended", "input", "output", "whole")

    def __init__(self, kind: Kind, to: Instruments) -> None:
        operation, provider, model, model_version, outcome, error_type, tenant = kind
        self._to = to
        self._model = _model_key(model, model_version, tenant)
        self._stages: dict[str, AttributeSet] = {}
        common = (*given(semconv.OPERATION, operation), *given(semconv.PROVIDER, provider), *self._model)
        ended = given(semconv.OUTCOME, outcome)
        self.by_model = to.attribute_set(self._model)
        self.common = to.attribute_set(common)
        self.ended = to.attribute_set((*self._model, *ended))
        self.input = to.attribute_set((*self._model, (semconv.TOKEN_TYPE, semconv.TOKEN_TYPE_INPUT), *ended))
        self.output = to.attribute_set((*self._model, (semconv.TOKEN_TYPE, semconv.TOKEN_TYPE_OUTPUT), *ended))
        self.whole = to.attribute_set((*common, *ended, *given(semconv.ERROR_TYPE, error_type)))

    def stage(self, name: str) -> AttributeSet:
        """The attribute set of a stage."""
        found = self._stages.get(name)
        if found is None:
            name = self._to.limits.admit(semconv.STAGE, name)
            found = self._stages.get(name)
            if found is None:
                found = self._stages[name] = self._to.attribute_set(((semconv.STAGE, name), *self._model))
        return found


def _series_of(inference: Inference, to: Instruments) -> _InferenceSeries:
    kind: Kind = (
        inference.operation,
        inference.provider,
        inference.model,
        inference.model_version if inference.model is not None else None,
        (inference.settled or Outcome.ABANDONED).value,
        inference.error_type,
        to.limits.tenant_in(inference.baggage) if to.limits.asked else None,
    )
    kept = to.kept
    found: _InferenceSeries | None = kept.get(kind)
    if found is None:
        admit = to.limits.admit
        kind = tuple(value and admit(name, value) for name, value in zip(_KIND, kind, strict=True))
        found = kept.get(kind)
        if found is None:
            # Never by a value beyond the limits, or memory would grow with it.
            found = kept[kind] = _InferenceSeries(kind, to)
    return found


def record_inference(inference: Inference, figures: Figures, stages: list[RunningStage], to: Instruments) -> None:
    """Record every metric of an ended inference.

    Args:
        inference: The inference.
        figures: Its figures.
        stages: Those of its stages whose durations are to be recorded with it.
        to: Where to.
    """
    series = _series_of(inference, to)
    context, sampled = _exemplar(inference.span, inference.context)
    end_ns = inference.end_ns or inference.start_ns
    for running in stages:
        _record_stage(running, series.stage(running.name), context, sampled=sampled)

    now = inference.wall(end_ns)
    duration = (end_ns - inference.start_ns) / 1e9
    series.whole.histogram(semconv.REQUEST_DURATION).record(duration, now, context, sampled=sampled)
    series.ended.counter(semconv.INFERENCES).add(1)
    if inference.settled is Outcome.COMPLETED:
        if figures.ttft is not None:
            series.common.histogram(semconv.TTFT).record(figures.ttft, now, context, sampled=sampled)
        for name, ns in (figures.breakdown_ns or {}).items():
            series.stage(name).counter(semconv.TTFT_STAGE_TIME).add(ns / 1e9)
        if figures.tpot is not None:
            series.common.histogram(semconv.TPOT).record(max(0.0, figures.tpot), now, context, sampled=sampled)
    by_model = series.by_model
    if figures.consumer_wait_ns is not None:
        wait = figures.consumer_wait_ns / 1e9
        by_model.histogram(semconv.CONSUMER_WAIT_TIME).record(wait, now, context, sampled=sampled)
    if inference.admission_ns is not None:
        admission = inference.admission_ns / 1e9
        by_model.histogram(semconv.ADMISSION_TIME).record(admission, now, context, sampled=sampled)

    if inference.input_tokens:
        series.input.counter(semconv.TOKENS).add(inference.input_tokens)
    if figures.output_tokens:
        series.output.counter(semconv.TOKENS).add(figures.output_tokens)
    for metric, amount in (
        (semconv.IMAGE_TOKENS, inference.image_tokens),
        (semconv.IMAGES, inference.images),
        (semconv.PAGES, inference.pages),
        (semconv.COST_TOTAL, inference.cost),
    ):
        if amount:
            by_model.counter(metric).add(amount)


def record_stage(running: RunningStage, to: Instruments) -> None:
    """Record the duration of an ended stage whose inference is recorded apart, or that has none."""
    inference = running.inference
    if inference is None:
        model: Key = ()
        context, sampled = _NO_SPAN, False
    else:
        model = _model_key(inference.model, inference.model_version, to.limits.tenant_in(inference.baggage))
        context, sampled = _exemplar(inference.span, inference.context)
    attributes = to.attribute_set(((semconv.STAGE, running.name), *model))
    _record_stage(running, attributes, context, sampled=sampled)


def _record_stage(running: RunningStage, attributes: AttributeSet, context: Context, *, sampled: bool) -> None:
    end_ns = running.end_ns
    if end_ns is None:
        return
    if running.span is not None:
        context, sampled = _exemplar(running.span, running.context)
    attributes.histogram(semconv.STAGE_DURATION).record(
        max(0, end_ns - running.start_ns - running.held_ns) / 1e9, running.wall(end_ns), context, sampled=sampled
    )


def _model_key(model: str | None, version: str | None, tenant: str | None) -> Key:
    return (
        *given(semconv.REQUEST_MODEL, model),
        *given(semconv.MODEL_VERSION, version if model is not None else None),
        *given(semconv.TENANT_ID, tenant),
    )


def _exemplar(span: trace.Span | Span | None, inside: Context) -> tuple[Context, bool]:
    """The context that an exemplar of `span` is taken from, and whether the span is sampled."""
    if span is None:
        return _NO_SPAN, False
    if type(span) is Span:
        return inside, span.sampled
    return inside, bool(span.get_span_context().trace_flags.sampled)
