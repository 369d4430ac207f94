"""OpenInference's manual tracing: its tracer provider and the builders of its attributes.

Has of the request: the inference and its stages as spans, provider, model and tokens. Has not: the operation; metrics
of any kind; TTFT, TPOT, the breakdown, the consumer's time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from openinference.instrumentation import (  # type: ignore[import-not-found]
    TracerProvider,
    get_llm_attributes,
    get_llm_token_count_attributes,
)
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from peers.counted import Counted, measuring_counted
from peers.request import AFTER_IT, BEFORE_FIRST_TOKEN, INPUT_TOKENS, MODEL, OPERATION, OUTPUT_TOKENS, PROVIDER
from rounds import serve

if TYPE_CHECKING:
    from rounds import Measure

START = get_llm_attributes(provider=PROVIDER, model_name=MODEL)
END = get_llm_token_count_attributes(
    {"prompt": INPUT_TOKENS, "completion": OUTPUT_TOKENS, "total": INPUT_TOKENS + OUTPUT_TOKENS}
)


def prepare() -> Measure:
    """On its provider, which is the SDK's with its tracer."""
    exporter = Counted()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=100_000))
    tracer = provider.get_tracer("benchmark")

    def request() -> None:
        with tracer.start_as_current_span(
            f"{OPERATION} {MODEL}", openinference_span_kind="llm", attributes=START
        ) as inference:
            for name in BEFORE_FIRST_TOKEN:
                with tracer.start_as_current_span(name, openinference_span_kind="chain"):
                    pass
            with tracer.start_as_current_span(AFTER_IT, openinference_span_kind="chain"):
                pass
            inference.set_attributes(END)

    return measuring_counted(request, provider.force_flush, exporter)


if __name__ == "__main__":
    serve(prepare())
