"""Traceloop's manual tracing: `track_llm_call` for the inference, `@task` for the stages.

Has of the request: the inference and its stages as spans, operation, provider, model and tokens; a task's arguments and
result, which are empty here. Has not: metrics, which its instrumentations of client libraries record alone; TTFT, TPOT,
the breakdown, the consumer's time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from peers.counted import Counted, measuring_counted
from peers.request import AFTER_IT, BEFORE_FIRST_TOKEN, INPUT_TOKENS, MODEL, OPERATION, OUTPUT_TOKENS, PROVIDER
from rounds import serve
from traceloop.sdk import Traceloop  # type: ignore[import-not-found]
from traceloop.sdk.decorators import task  # type: ignore[import-not-found]
from traceloop.sdk.tracing.manual import LLMUsage, track_llm_call  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from collections.abc import Callable

    from rounds import Measure


def stage(name: str) -> Callable[[], None]:
    """A stage: a function, as Traceloop decorates those."""

    def nothing() -> None:
        pass

    decorated: Callable[[], None] = task(name=name)(nothing)
    return decorated


STAGES = [stage(name) for name in BEFORE_FIRST_TOKEN]
LAST = stage(AFTER_IT)


def request() -> None:
    """One request."""
    with track_llm_call(vendor=PROVIDER, type=OPERATION) as inference:
        inference.report_request(model=MODEL, messages=[])
        for run in STAGES:
            run()
        LAST()
        inference.report_usage(
            LLMUsage(
                prompt_tokens=INPUT_TOKENS,
                completion_tokens=OUTPUT_TOKENS,
                total_tokens=INPUT_TOKENS + OUTPUT_TOKENS,
            )
        )


def prepare() -> Measure:
    """With its defaults, but for where spans go."""
    exporter = Counted()
    Traceloop.init(app_name="benchmark", exporter=exporter, telemetry_enabled=False)
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    return measuring_counted(request, provider.force_flush, exporter)


if __name__ == "__main__":
    serve(prepare())
