"""MLflow's manual tracing: `mlflow.start_span`, with its processor for OTLP.

Has of the request: the inference and its stages as spans, provider, model and tokens. Has not: metrics, of which it
has a span's duration alone, and only where an endpoint for metrics is set; TTFT, TPOT, the breakdown, the consumer's
time. By default MLflow sends whole traces to its own server, which costs more than this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import mlflow  # type: ignore[import-not-found]
from mlflow.entities import SpanType  # type: ignore[import-not-found]
from mlflow.tracing.constant import SpanAttributeKey, TokenUsageKey  # type: ignore[import-not-found]
from mlflow.tracing.processor.otel import OtelSpanProcessor  # type: ignore[import-not-found]
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from peers.counted import Counted, measuring_counted
from peers.request import AFTER_IT, BEFORE_FIRST_TOKEN, INPUT_TOKENS, MODEL, OPERATION, OUTPUT_TOKENS, PROVIDER
from rounds import serve

if TYPE_CHECKING:
    from rounds import Measure

START = {SpanAttributeKey.MODEL: MODEL, SpanAttributeKey.MODEL_PROVIDER: PROVIDER}
USAGE = {
    TokenUsageKey.INPUT_TOKENS: INPUT_TOKENS,
    TokenUsageKey.OUTPUT_TOKENS: OUTPUT_TOKENS,
    TokenUsageKey.TOTAL_TOKENS: INPUT_TOKENS + OUTPUT_TOKENS,
}


def request() -> None:
    """One request."""
    with mlflow.start_span(f"{OPERATION} {MODEL}", span_type=SpanType.CHAT_MODEL, attributes=START) as inference:
        for name in BEFORE_FIRST_TOKEN:
            with mlflow.start_span(name):
                pass
        with mlflow.start_span(AFTER_IT):
            pass
        inference.set_attribute(SpanAttributeKey.CHAT_USAGE, USAGE)


def prepare() -> Measure:
    """On a provider that has MLflow's processor already, so that MLflow adds none with an exporter of its own."""
    mlflow.set_tracking_uri("http://localhost")  # never asked: without one it looks for a store on disk
    exporter = Counted()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(OtelSpanProcessor(exporter, export_metrics=False))
    trace.set_tracer_provider(provider)
    return measuring_counted(request, provider.force_flush, exporter)


if __name__ == "__main__":
    serve(prepare())
