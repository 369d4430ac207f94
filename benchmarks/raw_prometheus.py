"""The metrics of `raw_otel.py`'s request by prometheus_client alone: what a service without traces has."""

from __future__ import annotations

from time import perf_counter_ns

from prometheus_client import CollectorRegistry, Counter, Histogram
from raw_otel import BEFORE_FIRST_TOKEN, CHUNKS, MODEL, STAGES

from otelext import semconv

_START = {"operation": "chat", "provider": "vllm", "model": MODEL}
_BY_MODEL = {"model": MODEL}
_ENDED = {**_BY_MODEL, "outcome": "completed"}


class PrometheusRequest:
    """The request with its series looked up once."""

    def __init__(self) -> None:
        registry = CollectorRegistry()

        def histogram(metric: semconv.Metric, *labels: str) -> Histogram:
            name = metric.name.replace(".", "_")
            return Histogram(name, metric.description, labels, registry=registry, buckets=metric.buckets)

        def counter(metric: semconv.Metric, *labels: str) -> Counter:
            return Counter(metric.name.replace(".", "_"), metric.description, labels, registry=registry)

        self.duration = histogram(semconv.REQUEST_DURATION, *_START, "outcome").labels(**_START, outcome="completed")
        self.ttft = histogram(semconv.TTFT, *_START).labels(**_START)
        self.tpot = histogram(semconv.TPOT, *_START).labels(**_START)
        self.consumer_wait = histogram(semconv.CONSUMER_WAIT_TIME, *_BY_MODEL).labels(**_BY_MODEL)
        stages = histogram(semconv.STAGE_DURATION, "stage", "model")
        self.stage_duration = {name: stages.labels(stage=name, model=MODEL) for name in STAGES}
        stage_time = counter(semconv.TTFT_STAGE_TIME, "stage", "model")
        parts = (*BEFORE_FIRST_TOKEN, semconv.UNATTRIBUTED_STAGE)
        self.stage_time = {name: stage_time.labels(stage=name, model=MODEL) for name in parts}
        self.inferences = counter(semconv.INFERENCES, *_ENDED).labels(**_ENDED)
        tokens = counter(semconv.TOKENS, *_ENDED, "type")
        self.input_tokens = tokens.labels(**_ENDED, type=semconv.TOKEN_TYPE_INPUT)
        self.output_tokens = tokens.labels(**_ENDED, type=semconv.TOKEN_TYPE_OUTPUT)
        self.image_tokens = counter(semconv.IMAGE_TOKENS, *_BY_MODEL).labels(**_BY_MODEL)
        self.images = counter(semconv.IMAGES, *_BY_MODEL).labels(**_BY_MODEL)
        self.pages = counter(semconv.PAGES, *_BY_MODEL).labels(**_BY_MODEL)

    def __call__(self) -> None:
        """One request."""
        start = perf_counter_ns()
        first = last = waited = 0
        taken: dict[str, int] = {}
        for name in BEFORE_FIRST_TOKEN:
            self.stage(name, taken)
        for index in range(CHUNKS):
            last = perf_counter_ns()
            first = first or last
            waited += perf_counter_ns() - last if index < CHUNKS - 1 else 0
        self.stage("postprocess", {})
        self.duration.observe((perf_counter_ns() - start) / 1e9)
        self.ttft.observe((first - start) / 1e9)
        self.tpot.observe((last - first - waited) / (CHUNKS - 1) / 1e9)
        self.consumer_wait.observe(waited / 1e9)
        self.inferences.inc()
        self.input_tokens.inc(1218)
        self.output_tokens.inc(CHUNKS)
        self.image_tokens.inc(1176)
        self.images.inc()
        self.pages.inc()
        for name, ns in taken.items():
            self.stage_time[name].inc(ns / 1e9)
        self.stage_time[semconv.UNATTRIBUTED_STAGE].inc((first - start - sum(taken.values())) / 1e9)

    def stage(self, name: str, taken: dict[str, int]) -> None:
        """One stage."""
        start = perf_counter_ns()
        taken[name] = perf_counter_ns() - start
        self.stage_duration[name].observe(taken[name] / 1e9)
