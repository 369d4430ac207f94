"""A service as the viewer sees one: the SDK with its real OTLP exporters, and the catalogue's spans and metrics."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter as GrpcLogExporter
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcMetricExporter
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcSpanExporter
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter as HttpLogExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpSpanExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor, LogRecordExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import set_span_in_context

from otelext import semconv

if TYPE_CHECKING:
    from opentelemetry.metrics import Histogram

    from tests.viewer.running import RunningViewer

MODEL = "tiny-vlm"


class Service:
    """One process of a service that sends to a viewer.

    `protocol` is `http` or `grpc`; both compress with gzip when asked to.
    """

    def __init__(
        self,
        viewer: RunningViewer,
        *,
        protocol: str = "http",
        gzip: bool = False,
        instance: str | None = None,
        name: str = "documents",
    ) -> None:
        resource = Resource({semconv.SERVICE_NAME: name, semconv.SERVICE_INSTANCE_ID: instance or uuid.uuid4().hex})
        spans: SpanExporter
        metrics: MetricExporter
        logs: LogRecordExporter
        if protocol == "http":
            how = Compression.Gzip if gzip else Compression.NoCompression
            base = viewer.otlp_http
            spans = HttpSpanExporter(endpoint=f"{base}/v1/traces", compression=how)
            metrics = HttpMetricExporter(endpoint=f"{base}/v1/metrics", compression=how)
            logs = HttpLogExporter(endpoint=f"{base}/v1/logs", compression=how)
        else:
            import grpc

            packed = grpc.Compression.Gzip if gzip else grpc.Compression.NoCompression
            base = viewer.otlp_grpc
            spans = GrpcSpanExporter(endpoint=base, insecure=True, compression=packed)
            metrics = GrpcMetricExporter(endpoint=base, insecure=True, compression=packed)
            logs = GrpcLogExporter(endpoint=base, insecure=True, compression=packed)
        self.tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        self.tracers.add_span_processor(BatchSpanProcessor(spans))
        reader = PeriodicExportingMetricReader(metrics, export_interval_millis=3_600_000)
        self.meters = MeterProvider(metric_readers=[reader], resource=resource, shutdown_on_exit=False)
        self.loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
        self.loggers.add_log_record_processor(BatchLogRecordProcessor(logs))
        self._tracer = self.tracers.get_tracer(semconv.SCOPE_NAME)
        meter = self.meters.get_meter(semconv.SCOPE_NAME)
        self._counters = {
            m.name: meter.create_counter(m.name, m.unit)
            for m in semconv.METRICS.values()
            if m.kind in {semconv.Kind.COUNTER, semconv.Kind.OBSERVABLE_COUNTER}
        }
        self._gauges = {
            m.name: meter.create_gauge(m.name, m.unit)
            for m in semconv.METRICS.values()
            if m.kind in {semconv.Kind.OBSERVABLE_GAUGE, semconv.Kind.OBSERVABLE_UP_DOWN_COUNTER}
        }
        self._histograms: dict[str, Histogram] = {
            m.name: meter.create_histogram(m.name, m.unit, explicit_bucket_boundaries_advisory=m.buckets)
            for m in semconv.METRICS.values()
            if m.kind is semconv.Kind.HISTOGRAM
        }

    def add(self, metric: semconv.Metric, value: float, **attributes: str) -> None:
        """Add to a counter; underscores of attribute names stand for dots."""
        self._counters[metric.name].add(value, attributes)

    def tell(self, metric: semconv.Metric, value: float, **attributes: str) -> None:
        """Set a gauge."""
        self._gauges[metric.name].set(value, attributes)

    def infer(
        self,
        *,
        outcome: semconv.Outcome = semconv.Outcome.COMPLETED,
        stages: dict[str, float] | None = None,
        unattributed: float = 0.0,
        decode_s: float = 0.5,
        output_tokens: int = 11,
        consumer_wait_s: float = 0.0,
        model: str = MODEL,
        sampled: bool = True,
        start_ns: int | None = None,
    ) -> None:
        """One inference: its span, stages as children, and metrics, as otelext sends them."""
        stages = {"preprocess": 0.1, "prefill": 0.2} if stages is None else stages
        start_ns = time.time_ns() - 10**9 if start_ns is None else start_ns
        ttft = sum(stages.values()) + unattributed
        duration = ttft + decode_s + consumer_wait_s
        tpot = decode_s / (output_tokens - 1)
        completed = outcome is semconv.Outcome.COMPLETED
        if sampled:
            self._trace(model, outcome, stages, ttft, tpot, consumer_wait_s, duration, output_tokens, start_ns)
        named = {semconv.REQUEST_MODEL: model}
        self._counters[semconv.INFERENCES.name].add(1, {**named, semconv.OUTCOME: str(outcome)})
        self._counters[semconv.PAGES.name].add(1, named)
        for kind, tokens in ((semconv.TOKEN_TYPE_INPUT, 100), (semconv.TOKEN_TYPE_OUTPUT, output_tokens)):
            attributes = {**named, semconv.TOKEN_TYPE: kind, semconv.OUTCOME: str(outcome)}
            self._counters[semconv.TOKENS.name].add(tokens, attributes)
        self._histograms[semconv.REQUEST_DURATION.name].record(duration, {**named, semconv.OUTCOME: str(outcome)})
        if completed:
            self._histograms[semconv.TTFT.name].record(ttft, named)
            self._histograms[semconv.TPOT.name].record(tpot, named)
            for stage, seconds in {**stages, semconv.UNATTRIBUTED_STAGE: unattributed}.items():
                self._counters[semconv.TTFT_STAGE_TIME.name].add(seconds, {**named, semconv.STAGE: stage})
        self._histograms[semconv.CONSUMER_WAIT_TIME.name].record(consumer_wait_s, named)

    def flush(self) -> None:
        """Send everything; what returns has been stored."""
        assert self.tracers.force_flush()
        assert self.meters.force_flush()
        assert self.loggers.force_flush()

    def stop(self) -> None:
        """Send what is left and stop, as a process that ends does."""
        self.tracers.shutdown()
        self.meters.shutdown()
        self.loggers.shutdown()

    def _trace(
        self,
        model: str,
        outcome: semconv.Outcome,
        stages: dict[str, float],
        ttft: float,
        tpot: float,
        consumer_wait_s: float,
        duration: float,
        output_tokens: int,
        start_ns: int,
    ) -> None:
        def at(seconds: float) -> int:
            return start_ns + round(seconds * 1e9)

        span = self._tracer.start_span(
            f"chat {model}",
            start_time=start_ns,
            attributes={
                semconv.OPERATION: "chat",
                semconv.REQUEST_MODEL: model,
                semconv.OUTCOME: str(outcome),
                semconv.TIME_TO_FIRST_TOKEN: ttft,
                semconv.TIME_PER_OUTPUT_TOKEN: tpot,
                semconv.CONSUMER_WAIT: consumer_wait_s,
                semconv.OUTPUT_TOKENS: output_tokens,
            },
        )
        span.add_event(semconv.FIRST_TOKEN_EVENT, timestamp=at(ttft))
        begin = 0.0
        for stage, seconds in {**stages, "decode": duration - ttft}.items():
            child = self._tracer.start_span(
                stage,
                context=set_span_in_context(span),
                start_time=at(begin),
                attributes={semconv.STAGE: stage, semconv.REQUEST_MODEL: model},
            )
            begin += seconds
            child.end(at(begin))
        span.end(at(duration))
