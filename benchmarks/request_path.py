"""What a request pays: otelext's light lane against the same request in raw OpenTelemetry (1x), in one run.

One request with five stages, TTFT and TPOT, exported by batch processors to memory. Contenders take turns in
rounds. Two figures: CPU of the request's own thread (the request path), and CPU of the whole process, otelext's
worker included. Ratios are of one run; figures of different runs are not comparable.

    python benchmarks/request_path.py [--rounds 15] [--requests 400] [--json FILE]
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from raw_otel import BEFORE_FIRST_TOKEN, CHUNKS, MODEL, RawRequest

import otelext
from otelext.capture.binding import current_binding

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Discard(SpanExporter):
    """Takes spans and keeps none."""

    def export(self, spans: object) -> SpanExportResult:  # noqa: ARG002  # the SDK's signature
        """Succeed."""
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Nothing is open."""


def bare() -> None:
    """The request without any telemetry."""
    for _ in BEFORE_FIRST_TOKEN:
        pass
    for _ in range(CHUNKS):
        pass


def with_otelext() -> None:
    """The request with otelext, which is the user's whole code."""
    for _ in answer():
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


def measure(call: Callable[[], None], requests: int, provider: TracerProvider) -> tuple[float, float]:
    """CPU seconds a request: of this thread, and of the process with everything that was queued emitted."""
    thread, process = time.thread_time_ns(), time.process_time_ns()
    for _ in range(requests):
        call()
    in_request = time.thread_time_ns() - thread
    otelext.force_flush(30)
    provider.force_flush()
    return in_request / requests / 1e9, (time.process_time_ns() - process) / requests / 1e9


def providers() -> tuple[TracerProvider, MeterProvider]:
    """Providers with a batch processor and a reader, a pair for each contender: none pays for another's."""
    tracer_provider = TracerProvider(shutdown_on_exit=False)
    tracer_provider.add_span_processor(BatchSpanProcessor(Discard(), max_queue_size=100_000))
    return tracer_provider, MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)


def main() -> int:
    """Run the benchmark and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="interleaved rounds of every contender")
    parser.add_argument("--requests", type=int, default=400, help="requests a round")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()

    ours, metered = providers()
    trace.set_tracer_provider(ours)
    metrics.set_meter_provider(metered)
    raw = providers()
    contenders: dict[str, tuple[Callable[[], None], TracerProvider]] = {
        "bare": (bare, raw[0]),
        "raw OpenTelemetry": (RawRequest(*raw), raw[0]),
        "otelext, light lane": (with_otelext, ours),
    }
    for call, provider in contenders.values():
        measure(call, 50, provider)
    if not current_binding().light:
        print("the light lane is closed: nothing to measure", file=sys.stderr)
        return 1
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
    gc.collect()
    for number in range(arguments.rounds):
        for name, (call, provider) in contenders.items():
            figures[name].append(measure(call, arguments.requests, provider))
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)

    base = figures["raw OpenTelemetry"]
    print(f"{'':22}{'request path':>34}{'total CPU':>34}")
    print(f"{'contender':22}" + f"{'min':>10}{'median':>12}{'max':>12}" * 2)
    result = {}
    for name, rows in figures.items():
        ratios = [[row[i] / reference[i] for row, reference in zip(rows, base, strict=True)] for i in (0, 1)]
        cells = "".join(f"{min(r):>9.3f}x{statistics.median(r):>11.3f}x{max(r):>11.3f}x" for r in ratios)
        print(f"{name:22}{cells}")
        result[name] = {"request_path": sorted(ratios[0]), "total_cpu": sorted(ratios[1])}
    median_us = statistics.median(row[0] for row in base) * 1e6
    print(f"1x is {median_us:.0f} us of the request's thread in this run; {arguments.requests} requests a round.")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
