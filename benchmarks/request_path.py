"""What a request pays: otelext against the same request written by hand in raw OpenTelemetry (1x).

One request with five stages, three chunks, TTFT and TPOT; spans go to a batch processor that discards them, metrics to
a reader in memory. Three figures, in seconds of CPU a request: of the request's own thread (`request path`), of all
other threads (`worker`: otelext's, the batch processor's), and of the process with everything emitted (`total CPU`).

otelext's worker looks every 50 ms for requests that have ended, and those that it finds together cost less: here many,
as the requests follow each other without a pause. `each request emitted alone` is what one costs where that never
happens, waking the worker and waiting for it included. `with a line of each` writes each inference's canonical log line
besides, as OTLP and as JSON that is discarded, none left out (beyond 100 a second they are, unless set). Reading the metrics is left out of all.

    python benchmarks/request_path.py [--rounds 15] [--repetitions 400] [--only NAME ...] [--json FILE] [--profile]
                                       [--peers FOLDER]

`make bench-peers` adds other libraries, from the environments in the folder that `--peers` names; what they leave out
of the request stands in `peers/*.py`.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from cpu import measuring
from opentelemetry import metrics, trace
from peer_contenders import peer_contenders
from profiled import profiled
from providers import NoticesStarts, set_logs, set_providers
from raw_otel import BEFORE_FIRST_TOKEN, CHUNKS, MODEL, RawRequest
from rounds import Benchmark, main

import otelext
from otelext.emit.process import WORKER
from otelext.logs import inference as canonical
from otelext.logs.install import JSON, lines_handler

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rounds import Measure, Prepare

RAW = "raw OpenTelemetry"


def bare() -> None:
    """The request without any telemetry."""
    for _ in BEFORE_FIRST_TOKEN:
        pass
    for _ in range(CHUNKS):
        pass


@otelext.inference("chat", model=MODEL, provider="vllm")
def answer() -> Iterator[str]:
    """A request with five stages and three chunks."""
    inf = otelext.current_inference()
    inf.set_input(images=1, pages=1, image_tokens=1176)
    for name in BEFORE_FIRST_TOKEN:
        with otelext.stage(name):
            pass
    yield "a"
    yield "b"
    yield "c"
    with otelext.stage("postprocess"):
        pass
    inf.set_usage(input_tokens=1218, output_tokens=CHUNKS)


def with_otelext() -> None:
    """The request with otelext, which is the user's whole code."""
    for _ in answer():
        pass


def without_telemetry() -> Measure:
    """Nothing but the loop."""
    return measuring(bare, lambda: None)


def api_alone() -> Measure:
    """The raw request on the API's providers, which do nothing."""
    return measuring(RawRequest(trace.get_tracer_provider(), metrics.get_meter_provider()), lambda: None)


def prometheus_alone() -> Measure:
    """The raw request's metrics by prometheus_client; no spans."""
    from raw_prometheus import PrometheusRequest  # noqa: PLC0415  # it registers its metrics

    return measuring(PrometheusRequest(), lambda: None)


def raw(*, sampled: bool) -> Prepare:
    """By hand."""

    def prepare() -> Measure:
        tracers, meters, _ = set_providers(sampled=sampled)
        return measuring(RawRequest(tracers, meters), tracers.force_flush)

    return prepare


def one_by_one() -> None:
    """The request with otelext, emitted before the next begins, as where requests are seldom."""
    with_otelext()
    assert WORKER.force_flush(60)


def ours(*, light: bool = True, sampled: bool = True, request: Callable[[], None] = with_otelext) -> Prepare:
    """With otelext, by the lane that a provider without or with a processor that looks at starts takes."""

    def prepare() -> Measure:
        tracers, *_ = set_providers(sampled=sampled, processors=() if light else (NoticesStarts(),))
        with_otelext()
        # As by hand. It drains otelext's worker too, whose processor stands first; `otelext.force_flush` would read the
        # metrics besides, which weighs more the fewer requests a round has.
        return measuring(request, tracers.force_flush)

    return prepare


class Nowhere:
    """Takes lines and keeps none."""

    def write(self, line: str) -> None:
        """Discard it."""

    def close(self) -> None:
        """Nothing is open."""


def with_lines() -> Measure:
    """With otelext and the log line of each inference."""
    tracers, *_ = set_providers(sampled=True)
    logs = set_logs()
    canonical.install(per_second=math.inf, write=lines_handler(JSON, Nowhere()).publish)
    with_otelext()

    def flush() -> None:
        tracers.force_flush()
        logs.force_flush()

    return measuring(with_otelext, flush)


BENCHMARK = Benchmark(
    __file__,
    {
        "bare": without_telemetry,
        "OpenTelemetry's API without an SDK": api_alone,
        "prometheus_client, no spans": prometheus_alone,
        RAW: raw(sampled=True),
        "the same once more: the noise": raw(sampled=True),
        f"{RAW}, not sampled": raw(sampled=False),
        "otelext": ours(),
        "otelext, not sampled": ours(sampled=False),
        "otelext, each request emitted alone": ours(request=one_by_one),
        "otelext, with a line of each": with_lines,
        "otelext, SDK lane": ours(light=False),
        "otelext, SDK lane, not sampled": ours(light=False, sampled=False),
    },
    base=RAW,
    repetitions=400,
    against={"worker": "total CPU"},
)


def profile(repetitions: int) -> None:
    """Where otelext's time goes."""
    set_providers(sampled=True)
    profiled(with_otelext, repetitions * 10)


def with_peers(benchmark: Benchmark) -> Benchmark:
    """The benchmark with the peers of `--peers`, which is taken off the command line: it decides which names others know."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--peers", type=Path)
    options, sys.argv[1:] = parser.parse_known_args()
    return replace(benchmark, commands=peer_contenders(options.peers)) if options.peers else benchmark


if __name__ == "__main__":
    sys.exit(main(with_peers(BENCHMARK), __doc__, profile))
