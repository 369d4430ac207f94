"""The same request written by hand with raw OpenTelemetry: the 1x of the benchmarks.

One inference span, five stage spans, the first token as an event; duration, TTFT, TPOT, stage durations and the
breakdown as histograms and counters. Instruments and attribute dictionaries are made once.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING

from otelext import semconv

if TYPE_CHECKING:
    from opentelemetry import metrics, trace

STAGES = ("decode_image", "preprocess", "vision_encode", "prefill", "postprocess")
BEFORE_FIRST_TOKEN = STAGES[:-1]
MODEL = "qwen2.5-vl-7b"
CHUNKS = 3

START = {semconv.OPERATION: "chat", semconv.PROVIDER: "vllm", semconv.REQUEST_MODEL: MODEL}
BY_MODEL = {semconv.REQUEST_MODEL: MODEL}
ENDED = {**BY_MODEL, semconv.OUTCOME: "completed"}
DURATION = {**START, semconv.OUTCOME: "completed"}
INPUT = {**ENDED, semconv.TOKEN_TYPE: "input"}
OUTPUT = {**ENDED, semconv.TOKEN_TYPE: "output"}
BY_STAGE = {name: {**BY_MODEL, semconv.STAGE: name} for name in (*STAGES, semconv.UNATTRIBUTED_STAGE)}
STAGE_SPAN = {name: {semconv.STAGE: name} for name in STAGES}


class RawRequest:
    """The instrumented request."""

    def __init__(self, tracer_provider: trace.TracerProvider, meter_provider: metrics.MeterProvider) -> None:
        self.tracer = tracer_provider.get_tracer("raw")
        meter = meter_provider.get_meter("raw")

        def histogram(metric: semconv.Metric) -> metrics.Histogram:
            return meter.create_histogram(
                metric.name, metric.unit, metric.description, explicit_bucket_boundaries_advisory=list(metric.buckets)
            )

        def counter(metric: semconv.Metric) -> metrics.Counter:
            return meter.create_counter(metric.name, metric.unit, metric.description)

        self.duration = histogram(semconv.REQUEST_DURATION)
        self.ttft = histogram(semconv.TTFT)
        self.tpot = histogram(semconv.TPOT)
        self.stage_duration = histogram(semconv.STAGE_DURATION)
        self.consumer_wait = histogram(semconv.CONSUMER_WAIT_TIME)
        self.stage_time = counter(semconv.TTFT_STAGE_TIME)
        self.inferences = counter(semconv.INFERENCES)
        self.tokens = counter(semconv.TOKENS)
        self.image_tokens = counter(semconv.IMAGE_TOKENS)
        self.images = counter(semconv.IMAGES)
        self.pages = counter(semconv.PAGES)

    def __call__(self) -> None:
        """One request."""
        start = perf_counter_ns()
        first = last = waited = 0
        taken: dict[str, int] = {}
        with self.tracer.start_as_current_span(f"chat {MODEL}", attributes=START) as span:
            for name in BEFORE_FIRST_TOKEN:
                self.stage(name, taken)
            for index in range(CHUNKS):
                last = perf_counter_ns()
                if index == 0:
                    first = last
                    span.add_event(semconv.FIRST_TOKEN_EVENT)
                waited += perf_counter_ns() - last if index < CHUNKS - 1 else 0
            self.stage("postprocess", {})
            ttft = (first - start) / 1e9
            tpot = (last - first - waited) / (CHUNKS - 1) / 1e9
            span.set_attributes(
                {
                    semconv.OUTCOME: "completed",
                    semconv.INPUT_TOKENS: 1218,
                    semconv.OUTPUT_TOKENS: CHUNKS,
                    semconv.TOKEN_COUNT_SOURCE: "usage",
                    semconv.OUTPUT_CHUNKS: CHUNKS,
                    semconv.TIME_TO_FIRST_TOKEN: ttft,
                    semconv.TIME_PER_OUTPUT_TOKEN: tpot,
                    semconv.CONSUMER_WAIT: waited / 1e9,
                    semconv.UNATTRIBUTED: (first - start - sum(taken.values())) / 1e9,
                    semconv.INPUT_IMAGES: 1,
                    semconv.INPUT_PAGES: 1,
                    semconv.INPUT_IMAGE_TOKENS: 1176,
                }
            )
            self.duration.record((perf_counter_ns() - start) / 1e9, DURATION)
            self.ttft.record(ttft, START)
            self.tpot.record(tpot, START)
            self.consumer_wait.record(waited / 1e9, BY_MODEL)
            self.inferences.add(1, ENDED)
            self.tokens.add(1218, INPUT)
            self.tokens.add(CHUNKS, OUTPUT)
            self.image_tokens.add(1176, BY_MODEL)
            self.images.add(1, BY_MODEL)
            self.pages.add(1, BY_MODEL)
            for name, ns in taken.items():
                self.stage_time.add(ns / 1e9, BY_STAGE[name])
            self.stage_time.add((first - start - sum(taken.values())) / 1e9, BY_STAGE[semconv.UNATTRIBUTED_STAGE])

    def stage(self, name: str, taken: dict[str, int]) -> None:
        """One stage."""
        start = perf_counter_ns()
        with self.tracer.start_as_current_span(name, attributes=STAGE_SPAN[name]):
            pass
        taken[name] = perf_counter_ns() - start
        self.stage_duration.record(taken[name] / 1e9, BY_STAGE[name])
