"""OpenLIT's manual tracing: `openlit.start_trace`.

Has of the request: the inference and its stages as spans, operation, provider, model, tokens, and the time to the first
token as a number that the caller takes. Has not: metrics of any kind, since OpenLIT's are recorded by its
instrumentations of client libraries alone; TPOT, the breakdown, the consumer's time.
"""

from __future__ import annotations

import tempfile
from time import perf_counter_ns
from typing import TYPE_CHECKING

import openlit  # type: ignore[import-not-found]
from openlit.semcov import SemanticConvention as Names  # type: ignore[import-not-found]
from opentelemetry import _logs, trace
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from peers.counted import Counted, measuring_counted
from peers.request import AFTER_IT, BEFORE_FIRST_TOKEN, INPUT_TOKENS, MODEL, OPERATION, OUTPUT_TOKENS, PROVIDER
from rounds import serve

if TYPE_CHECKING:
    from rounds import Measure

START = {Names.GEN_AI_OPERATION: OPERATION, Names.GEN_AI_PROVIDER_NAME: PROVIDER, Names.GEN_AI_REQUEST_MODEL: MODEL}


def request() -> None:
    """One request."""
    start = perf_counter_ns()
    with openlit.start_trace(f"{OPERATION} {MODEL}") as inference:
        inference.set_metadata(START)
        for name in BEFORE_FIRST_TOKEN:
            with openlit.start_trace(name):
                pass
        first = perf_counter_ns()
        with openlit.start_trace(AFTER_IT):
            pass
        inference.set_metadata(
            {
                Names.GEN_AI_USAGE_INPUT_TOKENS: INPUT_TOKENS,
                Names.GEN_AI_USAGE_OUTPUT_TOKENS: OUTPUT_TOKENS,
                Names.GEN_AI_SERVER_TTFT: (first - start) / 1e9,
            }
        )


def prepare() -> Measure:
    """On providers that are there before, which OpenLIT then takes for its own."""
    exporter = Counted()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=100_000))
    trace.set_tracer_provider(provider)
    _logs.set_logger_provider(LoggerProvider(shutdown_on_exit=False))
    with tempfile.NamedTemporaryFile("w", suffix=".json") as prices:
        prices.write("{}")  # else it fetches a list of prices
        prices.flush()
        openlit.init(pricing_json=prices.name, disable_events=True, disable_metrics=True)
    return measuring_counted(request, provider.force_flush, exporter)


if __name__ == "__main__":
    serve(prepare())
