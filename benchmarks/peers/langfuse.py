"""Langfuse's manual tracing: `start_as_current_observation`.

Has of the request: the inference as a generation and its stages as spans, model, tokens, and the moment of the first
token. Has not: operation and provider; metrics of any kind, which its server makes of the spans; TPOT, the breakdown,
the consumer's time.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from langfuse import Langfuse  # type: ignore[import-not-found]
from peers.counted import Counted, measuring_counted
from peers.request import AFTER_IT, BEFORE_FIRST_TOKEN, INPUT_TOKENS, MODEL, OPERATION, OUTPUT_TOKENS
from rounds import serve

if TYPE_CHECKING:
    from rounds import Measure

EXPORTER = Counted()
CLIENT = Langfuse(
    public_key="pk-lf-benchmark",
    secret_key="sk-lf-benchmark",  # noqa: S106  # nobody's: nothing is sent
    base_url="http://localhost",
    span_exporter=EXPORTER,
)


def request() -> None:
    """One request."""
    with CLIENT.start_as_current_observation(
        as_type="generation", name=f"{OPERATION} {MODEL}", model=MODEL
    ) as inference:
        for name in BEFORE_FIRST_TOKEN:
            with CLIENT.start_as_current_observation(as_type="span", name=name):
                pass
        first = datetime.now(timezone.utc)
        with CLIENT.start_as_current_observation(as_type="span", name=AFTER_IT):
            pass
        inference.update(completion_start_time=first, usage_details={"input": INPUT_TOKENS, "output": OUTPUT_TOKENS})


def prepare() -> Measure:
    """With its defaults, but for where spans go."""
    return measuring_counted(request, CLIENT.flush, EXPORTER)


if __name__ == "__main__":
    serve(prepare())
