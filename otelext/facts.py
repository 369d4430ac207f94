"""Producers for the catalogue rows that an inference does not fill by itself.

Comes in: a fact, given anywhere in the user's code. Goes out: a small record to the worker, or a value that an
observable instrument reads. May import: `otelext.capture`, `otelext.semconv`.

Nothing here raises or blocks: a bad argument is logged once a minute and left out. Where `model` is None it is the
model of the current inference.
"""

from __future__ import annotations

from functools import wraps
from numbers import Real
from time import time_ns
from typing import TYPE_CHECKING, Any, ParamSpec

from opentelemetry.context import Context, get_current

from otelext import semconv
from otelext.capture.arguments import cost_of
from otelext.capture.binding import Binding, current_binding
from otelext.capture.context import SPAN_KEY, open_inference
from otelext.capture.failure import report
from otelext.capture.gauges import LOADED_MODELS, QUEUES, is_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelext.semconv import Metric

_P = ParamSpec("_P")
_MAX_QUEUES = semconv.MAX_VALUES


class Fact:
    """A value for one metric, on its way to the worker."""

    __slots__ = ("attributes", "binding", "context", "metric", "time_unix_nano", "value")

    def __init__(self, metric: Metric, value: float, attributes: tuple[tuple[str, str], ...], binding: Binding) -> None:
        self.metric = metric
        self.value = value
        self.attributes = attributes
        self.binding = binding
        self.time_unix_nano = time_ns()
        # The span alone: the whole context would keep the request's values alive in the queue.
        span = get_current().get(SPAN_KEY)
        self.context = Context({SPAN_KEY: span}) if span is not None else Context()

    def emit(self, to: Any) -> None:  # the worker's instruments, which this room does not know
        """Record the value."""
        if self.metric.kind is semconv.Kind.COUNTER:
            to.attribute_set(self.attributes).counter(self.metric).add(self.value)
            return
        span: Any = self.context.get(SPAN_KEY)
        sampled = span is not None and bool(span.get_span_context().trace_flags.sampled)
        series = to.attribute_set(self.attributes).histogram(self.metric)
        series.record(self.value, self.time_unix_nano, self.context, sampled=sampled)


def _never_raises(produce: Callable[_P, None]) -> Callable[_P, None]:
    """`produce`, whose failures are logged: a fact never costs the user's request."""

    @wraps(produce)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            produce(*args, **kwargs)
        except Exception:  # noqa: BLE001  # whatever a foreign object does when it is looked at
            report("otelext.facts: a fact could not be taken", exc_info=True)

    return guarded


@_never_raises
def queue(name: str, size: int | Callable[[], int]) -> None:
    """Report how many requests wait in a queue (`vlm.queue.size`).

    Args:
        name: The queue's name.
        size: Its size now, or a quick callable that is asked whenever metrics are collected.
    """
    if not _is_text("queue", "name", name):
        return
    if not callable(size) and not is_size(size):
        report("otelext.facts.queue: size is a whole number of 0 or more, or a callable, not %r; it was left out", size)
        return
    if name not in QUEUES and len(QUEUES) >= _MAX_QUEUES:
        report("otelext.facts.queue: more than %d queues; %r was left out", _MAX_QUEUES, name)
        return
    QUEUES[name] = size
    current_binding()


@_never_raises
def model_loaded(model: str, loaded: bool = True) -> None:  # a state, read as such
    """Report whether a model is loaded and ready (`vlm.model.loaded`).

    Args:
        model: The model.
        loaded: Its state from now on.
    """
    if not _is_text("model_loaded", "model", model):
        return
    if model not in LOADED_MODELS and len(LOADED_MODELS) >= semconv.MAX_VALUES:
        report("otelext.facts.model_loaded: more than %d models; %r was left out", semconv.MAX_VALUES, model)
        return
    LOADED_MODELS[model] = bool(loaded)
    current_binding()


@_never_raises
def critical_field(field: str, correct: bool) -> None:  # a result, read as such
    """Report that a critical field was compared with the truth (`vlm.critical_field.checks`, `.errors`).

    The names of those that are not correct stand in the log line of the current inference.

    Args:
        field: The field's name, such as `amount`; never its value.
        correct: Whether the recognised value is the true one.
    """
    if not _is_text("critical_field", "field", field):
        return
    attributes = ((semconv.FIELD, field),)
    _submit(semconv.CRITICAL_FIELD_CHECKS, 1, attributes)
    _submit(semconv.CRITICAL_FIELD_ERRORS, 0 if correct else 1, attributes)
    if not correct and (inference := open_inference(get_current())) is not None:
        inference.note_mismatch(field)


@_never_raises
def accuracy(value: float, *, document_type: str | None = None, model: str | None = None) -> None:
    """Report the share of a document's fields that were recognised correctly (`vlm.accuracy`).

    Args:
        value: 0 to 1.
        document_type: Kind of document; the current inference's if None.
        model: The model.
    """
    _ratio(semconv.ACCURACY, value, document_type, model)


@_never_raises
def confidence(value: float, *, document_type: str | None = None, model: str | None = None) -> None:
    """Report the model's own confidence in what it recognised (`vlm.confidence`).

    Args:
        value: 0 to 1.
        document_type: Kind of document; the current inference's if None.
        model: The model.
    """
    _ratio(semconv.CONFIDENCE, value, document_type, model)


@_never_raises
def structured_output(valid: bool, *, model: str | None = None) -> None:  # a result, read as such
    """Report whether an answer had the structure that was asked for (`vlm.structured_output`).

    Args:
        valid: Whether it had.
        model: The model.
    """
    result = semconv.RESULT_VALID if valid else semconv.RESULT_INVALID
    _submit(
        semconv.STRUCTURED_OUTPUT, 1, (*_model("structured_output", model), (semconv.STRUCTURED_OUTPUT_RESULT, result))
    )


@_never_raises
def cache(name: str, hit: bool) -> None:  # a result, read as such
    """Report a lookup in a cache of the service (`vlm.cache.lookups`).

    Args:
        name: The cache's name.
        hit: Whether it had what was looked for.
    """
    if not _is_text("cache", "name", name):
        return
    result = semconv.RESULT_HIT if hit else semconv.RESULT_MISS
    _submit(semconv.CACHE_LOOKUPS, 1, ((semconv.CACHE_NAME, name), (semconv.CACHE_RESULT, result)))


@_never_raises
def cost(usd: float, *, model: str | None = None) -> None:
    """Report what was spent (`vlm.cost`).

    Inside an inference, and without `model`, it is the same as `Inference.set_cost`.

    Args:
        usd: US dollars, not negative.
        model: The model.
    """
    inference = open_inference(get_current())
    if inference is not None and model is None:
        inference.set_cost(usd)
        return
    amount = cost_of(usd)
    if amount is not None:
        _submit(semconv.COST_TOTAL, amount, _model("cost", model))


def _ratio(metric: Metric, value: float, document_type: str | None, model: str | None) -> None:
    # Any library's real numbers: numpy registers its own with `numbers`.
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value <= 1:
        report("otelext: %s is a number from 0 to 1, not %r; it was left out", metric.name, value)
        return
    inference = open_inference(get_current())
    if document_type is None and inference is not None:
        document_type = inference.document_type
    kind: tuple[tuple[str, str], ...] = ()
    if document_type is not None and _is_text(metric.name, "document_type", document_type):
        kind = ((semconv.DOCUMENT_TYPE, document_type),)
    _submit(metric, float(value), (*kind, *_model(metric.name, model)))


def _submit(metric: Metric, value: float, attributes: tuple[tuple[str, str], ...]) -> None:
    binding = current_binding()
    if binding.submit is not None:
        binding.submit(Fact(metric, value, attributes, binding))


def _model(call: str, model: str | None) -> tuple[tuple[str, str], ...]:
    if model is None:
        inference = open_inference(get_current())
        model = None if inference is None else inference.model
    if model is None or not _is_text(call, "model", model):
        return ()
    return ((semconv.REQUEST_MODEL, model),)


def _is_text(call: str, argument: str, value: object) -> bool:
    if isinstance(value, str) and value:
        return True
    report("otelext.facts: %s of %s is a non-empty str, not %r; it was left out", argument, call, value)
    return False
