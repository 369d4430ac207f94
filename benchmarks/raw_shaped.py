"""`raw_otel.py`'s request with as many stages, attributes and names as asked, still by hand and with dicts made once.

A generator, as several are open at once: its span is current while it runs, and no longer.
"""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING

from opentelemetry import trace
from raw_otel import CHUNKS, RawRequest

from otelext import semconv

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry import metrics
    from opentelemetry.util.types import Attributes
    from shapes import Plan


class _Made:
    """One model's attributes."""

    def __init__(self, model: str) -> None:
        self.start = {semconv.OPERATION: "chat", semconv.PROVIDER: "vllm", semconv.REQUEST_MODEL: model}
        self.by_model = {semconv.REQUEST_MODEL: model}
        self.ended = {**self.by_model, semconv.OUTCOME: "completed"}
        self.duration = {**self.start, semconv.OUTCOME: "completed"}
        self.input = {**self.ended, semconv.TOKEN_TYPE: "input"}
        self.output = {**self.ended, semconv.TOKEN_TYPE: "output"}
        self.by_stage: dict[str, Attributes] = {}

    def stage(self, name: str) -> Attributes:
        found = self.by_stage.get(name)
        if found is None:
            found = self.by_stage[name] = {**self.by_model, semconv.STAGE: name}
        return found


class RawShaped:
    """The instrumented request."""

    def __init__(self, tracer_provider: trace.TracerProvider, meter_provider: metrics.MeterProvider) -> None:
        self.instruments = RawRequest(tracer_provider, meter_provider)
        self.tracer = self.instruments.tracer
        self.made: dict[str, _Made] = {}
        self.stage_span: dict[str, Attributes] = {}

    def __call__(self, plan: Plan) -> Iterator[str]:
        """One request."""
        made = self.made.get(plan.model)
        if made is None:
            made = self.made[plan.model] = _Made(plan.model)
        start = perf_counter_ns()
        first = last = waited = 0
        taken: dict[str, int] = {}
        span = self.tracer.start_span(f"chat {plan.model}", attributes=made.start)
        with trace.use_span(span):
            for name in plan.stages:
                self.stage(name, taken, made)
            for key, value in plan.attributes:
                span.set_attribute(key, value)
        for index in range(CHUNKS):
            last = perf_counter_ns()
            if index == 0:
                first = last
                span.add_event(semconv.FIRST_TOKEN_EVENT)
            yield "a"
            waited += perf_counter_ns() - last if index < CHUNKS - 1 else 0
        with trace.use_span(span, end_on_exit=True):
            self.end(made, span, taken, (start, first, last, waited))

    def end(self, made: _Made, span: trace.Span, taken: dict[str, int], times: tuple[int, int, int, int]) -> None:
        """Everything that is known at the end."""
        start, first, last, waited = times
        ttft = (first - start) / 1e9
        tpot = max(0, last - first - waited) / (CHUNKS - 1) / 1e9
        unattributed = (first - start - sum(taken.values())) / 1e9
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
                semconv.UNATTRIBUTED: unattributed,
                semconv.INPUT_IMAGES: 1,
                semconv.INPUT_PAGES: 1,
                semconv.INPUT_IMAGE_TOKENS: 1176,
            }
        )
        to = self.instruments
        to.duration.record((perf_counter_ns() - start) / 1e9, made.duration)
        to.ttft.record(ttft, made.start)
        to.tpot.record(tpot, made.start)
        to.consumer_wait.record(waited / 1e9, made.by_model)
        to.inferences.add(1, made.ended)
        to.tokens.add(1218, made.input)
        to.tokens.add(CHUNKS, made.output)
        to.image_tokens.add(1176, made.by_model)
        to.images.add(1, made.by_model)
        to.pages.add(1, made.by_model)
        for name, ns in taken.items():
            to.stage_time.add(ns / 1e9, made.stage(name))
        to.stage_time.add(unattributed, made.stage(semconv.UNATTRIBUTED_STAGE))

    def stage(self, name: str, taken: dict[str, int], made: _Made) -> None:
        """One stage."""
        span = self.stage_span.get(name)
        if span is None:
            span = self.stage_span[name] = {semconv.STAGE: name}
        start = perf_counter_ns()
        with self.tracer.start_as_current_span(name, attributes=span):
            pass
        ns = perf_counter_ns() - start
        taken[name] = taken.get(name, 0) + ns
        self.instruments.stage_duration.record(ns / 1e9, made.stage(name))
