"""In-memory capture: everything a block of code emits, without a backend."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from opentelemetry import metrics, trace
from opentelemetry.metrics import _internal as metrics_globals
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.util._once import Once

from otelext.capture.binding import rebind
from otelext.capture.gauges import LOADED_MODELS, QUEUES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.metrics.view import View
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.sdk.trace.sampling import Sampler

    from otelext.capture import Inference


_TIMEOUT_S = 10.0


class Captured:
    """What was emitted so far. Every reading first drains otelext's worker.

    Attributes:
        tracer_provider: The global tracer provider of the block.
        meter_provider: The global meter provider of the block.
    """

    def __init__(self, tracer_provider: TracerProvider, meter_provider: MeterProvider) -> None:
        self.tracer_provider = tracer_provider
        self.meter_provider = meter_provider
        self._exporter = InMemorySpanExporter()
        self._reader: InMemoryMetricReader | None = None
        self._inferences: list[Inference] = []

    def spans(self, name: str | None = None) -> list[ReadableSpan]:
        """Finished spans in the order of their end, those called `name` if given."""
        self._drain()
        return [span for span in self._exporter.get_finished_spans() if name is None or span.name == name]

    def inferences(self) -> list[Inference]:
        """Ended inferences in the order of their end."""
        self._drain()
        return list(self._inferences)

    def metrics(self) -> dict[str, list[Any]]:
        """Data points by metric name, cumulative since the block began."""
        self._drain()
        assert self._reader is not None  # set by `capture`
        data = self._reader.get_metrics_data()
        found: dict[str, list[Any]] = {}
        for resource in [] if data is None else data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found.setdefault(metric.name, []).extend(metric.data.data_points)
        return found

    def value(self, metric: str, **attributes: str) -> float:
        """The sum of a metric's points that carry `attributes`, with `_` for `.`; a histogram's count.

        Returns:
            0 where nothing was recorded.
        """
        wanted = {key.replace("_", "."): value for key, value in attributes.items()}
        total = 0.0
        for point in self.metrics().get(metric, []):
            found = {key.replace("_", "."): value for key, value in point.attributes.items()}
            if all(found.get(key) == value for key, value in wanted.items()):
                total += float(getattr(point, "count", getattr(point, "value", 0)))
        return total

    def _drain(self) -> None:
        from otelext import _attach  # noqa: PLC0415  # it loads what only an attached process needs

        if not _attach.worker.force_flush(_TIMEOUT_S):
            msg = f"otelext's worker could not be drained within {_TIMEOUT_S} s; does a processor or exporter block?"
            raise TimeoutError(msg)


@contextmanager
def capture(
    *,
    sampler: Sampler | None = None,
    span_processors: Sequence[SpanProcessor] = (),
    span_limits: SpanLimits | None = None,
    id_generator: IdGenerator | None = None,
    resource: Resource | None = None,
    metric_readers: Sequence[MetricReader] = (),
    views: Sequence[View] = (),
) -> Iterator[Captured]:
    """Capture what a block emits, on in-memory providers that are global while it runs.

    Args:
        sampler: As for the SDK's `TracerProvider`; its default if None.
        span_processors: Further processors, before the in-memory one.
        span_limits: As for `TracerProvider`.
        id_generator: As for `TracerProvider`, for instance a `DeterministicIdGenerator`.
        resource: Of both providers.
        metric_readers: Further readers.
        views: As for the SDK's `MeterProvider`.

    Yields:
        What was captured; it can still be read after the block.
    """
    tracer_provider = TracerProvider(
        sampler=sampler,
        resource=resource,
        id_generator=id_generator,
        span_limits=span_limits,
        shutdown_on_exit=False,
    )
    reader = InMemoryMetricReader()
    meter_provider = MeterProvider([reader, *metric_readers], resource=resource, views=views, shutdown_on_exit=False)
    captured = Captured(tracer_provider, meter_provider)
    captured._reader = reader  # noqa: SLF001  # one module
    for processor in span_processors:
        tracer_provider.add_span_processor(processor)
    tracer_provider.add_span_processor(SimpleSpanProcessor(captured._exporter))  # noqa: SLF001

    from otelext import _attach  # noqa: PLC0415

    observe = captured._inferences.append  # noqa: SLF001
    with _global(tracer_provider, meter_provider), _fresh(QUEUES), _fresh(LOADED_MODELS):
        _attach.limits.forget()
        _attach.worker.observers.append(observe)
        try:
            yield captured
        finally:
            _attach.worker.force_flush(_TIMEOUT_S)
            _attach.worker.observers.remove(observe)


@contextmanager
def _fresh(state: dict[Any, Any]) -> Iterator[None]:
    before = dict(state)
    state.clear()
    try:
        yield
    finally:
        state.clear()
        state.update(before)


@contextmanager
def _global(tracer_provider: trace.TracerProvider, meter_provider: metrics.MeterProvider) -> Iterator[None]:
    # The API sets its globals once a process and has no public way back.
    before = (trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE)  # noqa: SLF001
    meters = (metrics_globals._METER_PROVIDER, metrics_globals._METER_PROVIDER_SET_ONCE)  # noqa: SLF001
    trace._TRACER_PROVIDER_SET_ONCE = Once()  # noqa: SLF001
    trace._TRACER_PROVIDER = None  # noqa: SLF001
    metrics_globals._METER_PROVIDER_SET_ONCE = Once()  # noqa: SLF001
    metrics_globals._METER_PROVIDER = None  # noqa: SLF001
    trace.set_tracer_provider(tracer_provider)
    metrics.set_meter_provider(meter_provider)
    try:
        yield
    finally:
        trace._TRACER_PROVIDER, trace._TRACER_PROVIDER_SET_ONCE = before  # noqa: SLF001
        metrics_globals._METER_PROVIDER, metrics_globals._METER_PROVIDER_SET_ONCE = meters  # noqa: SLF001
        rebind()
