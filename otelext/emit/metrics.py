"""An inference's or a stage's facts as measurements of the catalogue's metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.context import Context

from otelext import semconv
from otelext.capture.span import Span
from otelext.semconv import Outcome

if TYPE_CHECKING:
    from opentelemetry import trace

    from otelext.capture.inference import Inference
    from otelext.capture.stage import RunningStage
    from otelext.capture.timing import Figures
    from otelext.emit.instruments import AttributeSet, Instruments, Key

_NO_SPAN = Context()


class _InferenceSeries:
    """The attribute sets of inferences that differ in no attribute of a metric."""

    __slots__ = ("_model", "_stages", "_to", "by_model", "common", "ended", "input", "output", "whole")

    def __init__(self, inference: Inference, to: Instruments) -> None:
        model = _model_key(inference)
        common: Key = ((semconv.OPERATION, inference.operation), *model)
        if inference.provider is not None:
            common = (common[0], (semconv.PROVIDER, inference.provider), *model)
        ended = (semconv.OUTCOME, (inference.settled or Outcome.ABANDONED).value)
        whole: Key = (*common, ended)
        if inference.error_type is not None:
            whole = (*whole, (semconv.ERROR_TYPE, inference.error_type))
        self._to = to
        self._model = model
        self._stages: dict[str, AttributeSet] = {}
        self.by_model = to.attribute_set(model)
        self.common = to.attribute_set(common)
        self.ended = to.attribute_set((*model, ended))
        self.input = to.attribute_set((*model, (semconv.TOKEN_TYPE, semconv.TOKEN_TYPE_INPUT), ended))
        self.output = to.attribute_set((*model, (semconv.TOKEN_TYPE, semconv.TOKEN_TYPE_OUTPUT), ended))
        self.whole = to.attribute_set(whole)
        if self.whole.attributes == dict(whole):  # else some value is beyond the limit, and memory would grow with it
            to.kept[_kind(inference)] = self

    def stage(self, name: str) -> AttributeSet:
        """The attribute set of a stage."""
        found = self._stages.get(name)
        if found is None:
            found = self._to.attribute_set(((semconv.STAGE, name), *self._model))
            if found.attributes[semconv.STAGE] == name:
                self._stages[name] = found
        return found


def _kind(inference: Inference) -> tuple[object, ...]:
    return (
        inference.operation,
        inference.provider,
        inference.model,
        inference.model_version,
        inference.settled,
        inference.error_type,
    )


def record_inference(inference: Inference, figures: Figures, stages: list[RunningStage], to: Instruments) -> None:
    """Record every metric of an ended inference.

    Args:
        inference: The inference.
        figures: Its figures.
        stages: Those of its stages whose durations are to be recorded with it.
        to: Where to.
    """
    series: _InferenceSeries = to.kept.get(_kind(inference)) or _InferenceSeries(inference, to)
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
        model = _model_key(inference)
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


def _model_key(inference: Inference) -> Key:
    if inference.model is None:
        return ()
    if inference.model_version is None:
        return ((semconv.REQUEST_MODEL, inference.model),)
    return ((semconv.REQUEST_MODEL, inference.model), (semconv.MODEL_VERSION, inference.model_version))


def _exemplar(span: trace.Span | Span | None, inside: Context) -> tuple[Context, bool]:
    """The context that an exemplar of `span` is taken from, and whether the span is sampled."""
    if span is None:
        return _NO_SPAN, False
    if type(span) is Span:
        return inside, span.sampled
    return inside, bool(span.get_span_context().trace_flags.sampled)
