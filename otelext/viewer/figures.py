"""The report's data: what the API answers, `otelext report --json` prints and the terminal draws."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from otelext.viewer.gpus import Gpus
    from otelext.viewer.inferences import Inference
    from otelext.viewer.waterfall import Bar


class Received(TypedDict):
    """What the store holds in all, of all services; `otlp` is where a running viewer takes more, None for a file."""

    spans: int
    points: int
    logs: int
    services: list[str]
    otlp: str | None


class Count(TypedDict):
    """Inferences of one model with one outcome."""

    model: str
    outcome: str
    count: int


class Requests(TypedDict):
    """Inferences by outcome; `traced` is how many of them have a span.

    `services` are those whose inferences they are, or that were asked for where there is none.
    """

    total: int
    traced: int
    source: str
    services: list[str]
    by_outcome: list[Count]


class Latency(TypedDict):
    """Percentiles of one measure of one model's inferences, in seconds; of completed ones but for consumer wait.

    `quantiles` maps `p50` to `p99`; those named in `beyond` lie above the histogram's highest bound, which is
    then the value. `count` inferences are in it, out of `counted` that were measured.
    """

    measure: str
    model: str
    source: str
    count: int
    counted: int
    mean: float
    total: float
    quantiles: dict[str, float]
    beyond: list[str]


class Throughput(TypedDict):
    """Amounts and rates over the observed time, from the first inference's start to the last one's end.

    None where no metric was received that tells.
    """

    window_s: float
    input_tokens: float | None
    output_tokens: float | None
    output_tokens_per_s: float | None
    pages: float | None
    pages_per_min: float | None
    images: float | None
    cost_usd: float | None


class Part(TypedDict):
    """A stage's part of the time to first token."""

    stage: str
    seconds: float
    share: float


class Breakdown(TypedDict):
    """Where one model's time to first token went; `difference_s` is what parts and histogram differ by."""

    model: str
    count: int
    total_s: float
    parts: list[Part]
    difference_s: float
    adds_up: bool


class WastedBy(TypedDict):
    """Tokens of inferences that ended with one outcome other than completed."""

    outcome: str
    input: float
    output: float


class Wasted(TypedDict):
    """Tokens that nobody got an answer for, and their share of all tokens."""

    tokens: float
    share: float
    by_outcome: list[WastedBy]


class Field(TypedDict):
    """Checks of one critical field."""

    field: str
    errors: float
    checks: float
    share: float | None


class Slow(TypedDict):
    """One of the slowest inferences with its trace's spans."""

    inference: Inference
    bars: list[Bar]
    more: int


class Report(TypedDict):
    """Everything `otelext report` prints. Times are Unix nanoseconds, durations seconds."""

    generated_ns: int
    since_ns: int | None
    received: Received
    requests: Requests
    latency: list[Latency]
    throughput: Throughput
    breakdown: list[Breakdown]
    wasted: Wasted
    critical_fields: list[Field]
    gpus: Gpus
    slowest: list[Slow]
