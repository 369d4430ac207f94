"""A span processor: ties the worker to a tracer provider, and counts what other libraries measured of GenAI requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import NonRecordingSpan

from otelext import semconv
from otelext.capture.binding import Binding, current_binding
from otelext.capture.context import SPAN_KEY
from otelext.capture.failure import report
from otelext.capture.inference import Inference
from otelext.emit.exemplars import EXEMPLAR_TRACES
from otelext.emit.instruments import given
from otelext.emit.process import WORKER
from otelext.processors.lineage import LINEAGE, Node
from otelext.semconv import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import ReadableSpan, Span
    from opentelemetry.trace import SpanContext
    from opentelemetry.util.types import Attributes

    from otelext.emit.instruments import Instruments, Key
    from otelext.emit.worker import Worker
    from otelext.processors.foreign import Figures

_SHUTDOWN_TIMEOUT_S: Final = 5.0

_TELLING: Final = frozenset(
    {
        semconv.OPERATION,
        semconv.LATENCY_TIME_TO_FIRST_TOKEN,
        semconv.LATENCY_E2E,
        semconv.OUTPUT_TOKENS,
        semconv.USAGE_COMPLETION_TOKENS,
    }
)

# What a span can be counted for, each once in a nest of spans.
_INFERENCE: Final = 1
_TTFT: Final = 2
_TPOT: Final = 4
_STAGES: Final = 8
_INPUT: Final = 16
_OUTPUT: Final = 32
_IMAGE: Final = 64


class GenAISpanProcessor(SpanProcessor):
    """Turns the GenAI spans of other libraries into otelext's metrics, and drains its worker with its provider.

    Usable by itself: `provider.add_span_processor(GenAISpanProcessor())`. Metrics go to the global meter provider. It
    belongs first among a provider's processors, since they run in the order of registration: behind a batch processor
    it would hand spans over after that has closed.

    A request counts once. A span that started inside an open inference of ours adds nothing, nor does one that an
    inference of ours ran inside. Where foreign spans nest, each figure is taken from the innermost span that tells
    it: the framework's `chat` around the client's `chat` adds its token counts only if the client's had none.
    Spans that are not sampled never reach a processor, and a span that began before the processor was added adds
    nothing.
    """

    def __init__(self, worker: Worker | None = None) -> None:
        """Make a processor.

        Args:
            worker: Drained by `force_flush` and `shutdown`; the process's one if None.
        """
        self._worker = WORKER if worker is None else worker
        if _cover not in self._worker.observers:
            self._worker.observers.append(_cover)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Remember where the span stands, and let it say that its trace may give exemplars."""
        try:
            LINEAGE.started(span, parent_context)
            if EXEMPLAR_TRACES.include(span.get_span_context()):
                span.set_attribute(semconv.EXEMPLAR, True)
        except Exception:  # noqa: BLE001  # the caller is the user's request
            report("otelext could not look at a span's start", exc_info=True)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue the span's figures if it is a GenAI span of another library that counts."""
        scope = span.instrumentation_scope
        if scope is not None and scope.name == semconv.SCOPE_NAME:
            return
        try:
            self._take(span)
        except Exception:  # noqa: BLE001  # the caller is the user's request
            report("otelext could not look at a span's end", exc_info=True)

    def _take(self, span: ReadableSpan) -> None:
        if not _is_inference(span.attributes or {}):
            return
        node, own = LINEAGE.find(span), span.get_span_context()
        if node is None or own is None or node.claimed:
            return
        node.claimed = True
        if LINEAGE.is_inside(node, own.trace_id):
            return
        # Those inside that ended stand before this record in the queue; those still open are found here.
        LINEAGE.cover_open(own.trace_id)
        binding = current_binding()
        if binding.instruments is not None:
            self._worker.submit(ForeignInference(span, node, binding))

    def shutdown(self) -> None:
        """Emit what is queued, while the processors behind this one still take spans."""
        self._worker.force_flush(_SHUTDOWN_TIMEOUT_S)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Emit what is queued.

        Args:
            timeout_millis: Milliseconds at most.

        Returns:
            Whether everything was emitted in time.
        """
        return self._worker.force_flush(timeout_millis / 1000)


def _cover(record: Any) -> None:  # whatever the worker finished
    if type(record) is Inference:
        LINEAGE.cover(record)


def _is_inference(attributes: Mapping[str, Any]) -> bool:
    """Whether a span with these attributes is a request to a generative model.

    Tools, agents, embeddings and retrievals are none. A span that names no operation is one if it tells what only a
    generation has: the engine's latencies, or output tokens.
    """
    if _TELLING.isdisjoint(attributes):
        return False
    operation = attributes.get(semconv.OPERATION)
    return operation is None or operation in semconv.INFERENCE_OPERATIONS


class ForeignInference:
    """An ended GenAI span of another library, on its way to the worker."""

    __slots__ = ("binding", "node", "span")

    def __init__(self, span: ReadableSpan, node: Node, binding: Binding) -> None:
        self.span = span
        self.node = node
        self.binding = binding

    def emit(self, to: Instruments) -> None:
        """Record those of the span's figures that nothing inside or around it was counted for."""
        from otelext.processors.foreign import figures_of  # noqa: PLC0415  # not before such a span comes

        found = figures_of(self.span)
        taken = self.node.take(_told(found))
        context = self.span.get_span_context()
        if not taken or context is None:
            return
        at = _Measurement(to, self.span.end_time or 0, _Ended(context, self.span.attributes))
        model: Key = (
            *given(semconv.REQUEST_MODEL, found.model),
            *given(semconv.TENANT_ID, to.limits.tenant_in(self.span.attributes or {})),
        )
        named: Key = (*given(semconv.OPERATION, found.operation), *given(semconv.PROVIDER, found.provider), *model)
        ended = (semconv.OUTCOME, found.outcome.value)
        if taken & _INFERENCE:
            failed = given(semconv.ERROR_TYPE, found.error_type)
            at.record(semconv.REQUEST_DURATION, found.duration, (*named, ended, *failed))
            to.attribute_set((*model, ended)).counter(semconv.INFERENCES).add(1)
        if taken & _TTFT and found.ttft is not None:
            at.record(semconv.TTFT, found.ttft, named)
            for stage, seconds in _breakdown(found.ttft, found).items():
                to.attribute_set(((semconv.STAGE, stage), *model)).counter(semconv.TTFT_STAGE_TIME).add(seconds)
        if taken & _TPOT and found.tpot is not None:
            at.record(semconv.TPOT, found.tpot, named)
        if taken & _STAGES:
            for stage, seconds in found.stages.items():
                at.record(semconv.STAGE_DURATION, seconds, ((semconv.STAGE, stage), *model))
        for figure, kind, tokens in (
            (_INPUT, semconv.TOKEN_TYPE_INPUT, found.input_tokens),
            (_OUTPUT, semconv.TOKEN_TYPE_OUTPUT, found.output_tokens),
        ):
            if taken & figure and tokens:
                key: Key = (*model, (semconv.TOKEN_TYPE, kind), ended)
                to.attribute_set(key).counter(semconv.TOKENS).add(tokens)
        if taken & _IMAGE and found.image_tokens:
            to.attribute_set(model).counter(semconv.IMAGE_TOKENS).add(found.image_tokens)


class _Ended(NonRecordingSpan):
    """An ended span as exemplars are taken from it: what a processor is handed is no span of the API's."""

    def __init__(self, context: SpanContext, attributes: Attributes) -> None:
        super().__init__(context)
        self.attributes = attributes


class _Measurement:
    """Where and when the values of one span are recorded, and what their exemplars point to."""

    __slots__ = ("_context", "_sampled", "_time_unix_nano", "_to")

    def __init__(self, to: Instruments, time_unix_nano: int, span: _Ended) -> None:
        self._to = to
        self._time_unix_nano = time_unix_nano
        self._context = Context({SPAN_KEY: span})
        self._sampled = span.get_span_context().trace_flags.sampled

    def record(self, metric: semconv.Metric, value: float, key: Key) -> None:
        series = self._to.attribute_set(key).histogram(metric)
        series.record(value, self._time_unix_nano, self._context, sampled=self._sampled)


def _told(found: Figures) -> int:
    completed = found.outcome is Outcome.COMPLETED
    told = _INFERENCE
    for figure, value in (
        (_TTFT, found.ttft if completed else None),
        (_TPOT, found.tpot if completed else None),
        (_STAGES, found.stages or None),
        (_INPUT, found.input_tokens or None),
        (_OUTPUT, found.output_tokens or None),
        (_IMAGE, found.image_tokens or None),
    ):
        if value is not None:
            told |= figure
    return told


def _breakdown(ttft: float, found: Figures) -> dict[str, float]:
    """The parts of a time to first token: the engine's queue and prefill as far as they fit in, the rest to none."""
    left = ttft
    parts: dict[str, float] = {}
    for stage in (semconv.STAGE_QUEUE, semconv.STAGE_PREFILL):
        if stage in found.stages:
            parts[stage] = min(found.stages[stage], left)
            left -= parts[stage]
    parts[semconv.UNATTRIBUTED_STAGE] = left
    return parts
