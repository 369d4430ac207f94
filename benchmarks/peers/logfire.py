"""Logfire's manual tracing: `logfire.span`.

Has of the request: the inference and its stages as spans with a message each, operation, provider, model and tokens
(the GenAI convention's names, which its pages read). Has not: metrics, which Logfire offers as OpenTelemetry's
instruments and no span of it feeds; TTFT, TPOT, the breakdown, the consumer's time. The pending span that each span
also has when it goes to Logfire's own servers is left out, as nothing goes there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import logfire  # type: ignore[import-not-found]
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from peers.counted import Counted, measuring_counted
from peers.request import AFTER_IT, BEFORE_FIRST_TOKEN, INPUT_TOKENS, MODEL, OPERATION, OUTPUT_TOKENS, PROVIDER
from rounds import serve

if TYPE_CHECKING:
    from rounds import Measure

NAME = f"{OPERATION} {MODEL}"  # made before: Logfire takes an f-string in the call apart
START = {"gen_ai.operation.name": OPERATION, "gen_ai.provider.name": PROVIDER, "gen_ai.request.model": MODEL}
END = {"gen_ai.usage.input_tokens": INPUT_TOKENS, "gen_ai.usage.output_tokens": OUTPUT_TOKENS}


def request() -> None:
    """One request."""
    with logfire.span(NAME, **START) as inference:
        for name in BEFORE_FIRST_TOKEN:
            with logfire.span(name):
                pass
        with logfire.span(AFTER_IT):
            pass
        inference.set_attributes(END)


def prepare() -> Measure:
    """With its defaults, but for where spans go."""
    exporter = Counted()
    logfire.configure(
        send_to_logfire=False,
        console=False,
        metrics=False,
        additional_span_processors=[BatchSpanProcessor(exporter, max_queue_size=100_000)],
    )
    return measuring_counted(request, logfire.force_flush, exporter)


if __name__ == "__main__":
    serve(prepare())
