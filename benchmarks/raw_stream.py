"""A stream in raw OpenTelemetry, as a careful service writes it by hand: a span around it, the first token as an event."""

from __future__ import annotations

from contextlib import contextmanager
from time import perf_counter_ns
from typing import TYPE_CHECKING

from raw_otel import BY_MODEL, ENDED, MODEL, OUTPUT, START

from otelext import semconv

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from opentelemetry import metrics, trace


class RawStream:
    """The instruments of a streamed answer."""

    def __init__(self, tracer_provider: trace.TracerProvider, meter_provider: metrics.MeterProvider) -> None:
        self._tracer = tracer_provider.get_tracer("raw")
        meter = meter_provider.get_meter("raw")

        def histogram(metric: semconv.Metric) -> metrics.Histogram:
            return meter.create_histogram(
                metric.name, metric.unit, metric.description, explicit_bucket_boundaries_advisory=list(metric.buckets)
            )

        self._duration = histogram(semconv.REQUEST_DURATION)
        self._ttft = histogram(semconv.TTFT)
        self._tpot = histogram(semconv.TPOT)
        self._consumer_wait = histogram(semconv.CONSUMER_WAIT_TIME)
        self._inferences = meter.create_counter(semconv.INFERENCES.name, semconv.INFERENCES.unit)
        self._tokens = meter.create_counter(semconv.TOKENS.name, semconv.TOKENS.unit)

    def measured(self, inner: Iterator[str]) -> Iterator[str]:
        """The chunks of `inner`."""
        start, first, last, waited, chunks = perf_counter_ns(), 0, 0, 0, 0
        with self._tracer.start_as_current_span(f"chat {MODEL}", attributes=START) as span:
            for chunk in inner:
                now = perf_counter_ns()
                if chunk:
                    if not first:
                        first = now
                        span.add_event(semconv.FIRST_TOKEN_EVENT)
                    last = now
                    chunks += 1
                yield chunk
                waited += perf_counter_ns() - now
            self._end(span, start, first, last, waited, chunks)

    async def measured_async(self, inner: AsyncIterator[str]) -> AsyncIterator[str]:
        """As `measured`, of an async iterator."""
        start, first, last, waited, chunks = perf_counter_ns(), 0, 0, 0, 0
        with self._tracer.start_as_current_span(f"chat {MODEL}", attributes=START) as span:
            async for chunk in inner:
                now = perf_counter_ns()
                if chunk:
                    if not first:
                        first = now
                        span.add_event(semconv.FIRST_TOKEN_EVENT)
                    last = now
                    chunks += 1
                yield chunk
                waited += perf_counter_ns() - now
            self._end(span, start, first, last, waited, chunks)

    @contextmanager
    def counting(self) -> Iterator[Callable[[int], None]]:
        """Give the callback of an engine."""
        start, first, last, chunks = perf_counter_ns(), 0, 0, 0
        with self._tracer.start_as_current_span(f"chat {MODEL}", attributes=START) as span:

            def counted(n: int) -> None:
                nonlocal first, last, chunks
                now = perf_counter_ns()
                if not first:
                    first = now
                    span.add_event(semconv.FIRST_TOKEN_EVENT)
                last = now
                chunks += n

            yield counted
            self._end(span, start, first, last, 0, chunks)

    def _end(self, span: trace.Span, start: int, first: int, last: int, waited: int, chunks: int) -> None:  # by hand
        span.set_attributes({semconv.OUTCOME: "completed", semconv.OUTPUT_TOKENS: chunks})
        self._duration.record((perf_counter_ns() - start) / 1e9, ENDED)
        self._ttft.record((first - start) / 1e9, START)
        self._tpot.record(max(0, last - first - waited) / max(1, chunks - 1) / 1e9, START)
        self._consumer_wait.record(waited / 1e9, BY_MODEL)
        self._inferences.add(1, ENDED)
        self._tokens.add(chunks, OUTPUT)
