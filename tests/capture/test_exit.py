"""What the end of the process leaves behind: everything that ran is exported, once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PROVIDERS = """
import asyncio, json, os, sys, threading
from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader, MetricExporter, MetricExportResult
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

OUT = open(os.environ["OUT"], "a")

class Spans(SpanExporter):
    def export(self, spans):
        for span in spans:
            print(json.dumps(["span", span.name, dict(span.attributes).get("vlm.outcome")]), file=OUT, flush=True)
        return SpanExportResult.SUCCESS

class Metrics(MetricExporter):
    def __init__(self):
        super().__init__()
    def export(self, data, timeout_millis=10000, **kwargs):
        for resource in data.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        if metric.name == "vlm.inferences":
                            print(json.dumps(["metric", point.attributes["vlm.outcome"], point.value]), file=OUT, flush=True)
        return MetricExportResult.SUCCESS
    def force_flush(self, timeout_millis=10000): return True
    def shutdown(self, timeout_millis=30000, **kwargs): pass

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(Spans(), schedule_delay_millis=60000))
trace.set_tracer_provider(provider)
metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(Metrics(), export_interval_millis=60000)]))

import otelext

@otelext.inference("chat")
def sync():
    with otelext.stage("decode"):
        yield "a"
        yield "b"

@otelext.inference("chat")
async def stream():
    with otelext.stage("decode"):
        yield "a"
        await asyncio.get_running_loop().create_future()

@otelext.inference("chat")
async def call():
    with otelext.stage("decode"):
        await asyncio.get_running_loop().create_future()
"""

WAYS = {
    "a sync stream is open": ("running = sync(); next(running)", ["abandoned"]),
    "two sync streams are open": ("a, b = sync(), sync(); next(a); next(b)", ["abandoned", "abandoned"]),
    "one is done": ("list(sync())", ["completed"]),
    "a stream is open in a global and another is done": (
        "list(sync()); running = sync(); next(running)",
        ["completed", "abandoned"],
    ),
    "a daemon thread streams": (
        """
        started = threading.Event()
        def work():
            with otelext.inference("chat"), otelext.stage("decode"):
                started.set()
                threading.Event().wait()
        threading.Thread(target=work, daemon=True).start()
        started.wait()
        """,
        ["abandoned"],
    ),
    "a loop stops with a stream held": (
        """
        loop = asyncio.new_event_loop()
        running = stream()
        loop.run_until_complete(anext(running))
        """,
        ["abandoned"],
    ),
    "a loop stops with a call suspended": (
        """
        loop = asyncio.new_event_loop()
        async def main():
            global task
            task = asyncio.ensure_future(call())
            await asyncio.sleep(0)
            task._log_destroy_pending = False
        loop.run_until_complete(main())
        """,
        ["abandoned"],
    ),
    "a loop stops with a call that was cancelled": (
        """
        loop = asyncio.new_event_loop()
        async def main():
            global task
            task = asyncio.ensure_future(call())
            await asyncio.sleep(0)
            task.cancel()
            task._log_destroy_pending = False
            loop.stop()
        loop.create_task(main())
        loop.run_forever()
        """,
        ["cancelled"],
    ),
    "asyncio.run ends with a task running": (
        """
        async def main():
            global task
            task = asyncio.ensure_future(call())
            await asyncio.sleep(0)
        asyncio.run(main())
        """,
        ["cancelled"],
    ),
    "sys.exit inside an inference": (
        """
        with otelext.inference("chat"), otelext.stage("decode"):
            sys.exit(0)
        """,
        ["cancelled"],
    ),
    "another atexit handler still streams": (
        """
        import atexit
        running = sync()
        next(running)
        atexit.register(lambda: list(sync()))
        """,
        ["completed", "abandoned"],
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_at_exit_nothing_is_lost_and_nothing_counts_twice(way: str, tmp_path: Path) -> None:
    code, outcomes = WAYS[way]
    out = tmp_path / "out"
    result = subprocess.run(
        [sys.executable, "-c", PROVIDERS + textwrap.dedent(code)],
        env={**os.environ, "OUT": str(out)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    lines: list[list[Any]] = [json.loads(line) for line in out.read_text().splitlines()]
    spans = [line for line in lines if line[0] == "span"]
    assert sorted(line[2] for line in spans if line[1] == "chat") == sorted(outcomes)
    assert sum(line[1] == "decode" for line in spans) == len(outcomes)
    counted = {line[1]: line[2] for line in lines if line[0] == "metric"}
    assert counted == {outcome: outcomes.count(outcome) for outcome in outcomes}
