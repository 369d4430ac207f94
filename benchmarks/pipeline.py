"""What the pipeline costs and how soon it shows a request: the real servers of `make stack`, on one machine.

Two questions. How many seconds after a request's end does each backend know it, with otelext's default intervals and
after `otelext.force_flush()`? What does the Collector take, in CPU and resident memory, at 1,000 spans a second?

    make stack && python benchmarks/pipeline.py [--requests 5] [--seconds 30] [--json FILE] [--write docs/pipeline.md]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

# The harness of the stack's tests starts the servers.
sys.path.insert(0, str(Path(__file__).parents[1]))

from collector.tools.stack import binaries
from tests.stack.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BEGIN = "<!-- figures: begin -->\n"
END = "<!-- figures: end -->"
SPANS_PER_SECOND = 1000
LIMIT_S = 60.0
BACKENDS = ("Jaeger, the trace", "Prometheus, the count", "Prometheus, the exemplar", "Loki, the line")

SERVICE = """
import json, logging, sys, time
import otelext
from opentelemetry import trace

for line in sys.stdin:
    with otelext.inference("chat", model="m") as inference:
        inference.first_token()
        span = trace.get_current_span().get_span_context()
        logging.getLogger("service").warning("answered")
    ended = time.time()
    if line.strip() == "flush":
        otelext.force_flush()
    print(json.dumps({"trace_id": format(span.trace_id, "032x"), "ended": ended}), flush=True)
"""


def ask(service: subprocess.Popen[str], how: str) -> tuple[str, float]:
    """Let the service answer one request; its trace id, and the time at which it ended."""
    assert service.stdin is not None
    assert service.stdout is not None
    service.stdin.write(f"{how}\n")
    service.stdin.flush()
    told = json.loads(service.stdout.readline())
    return told["trace_id"], told["ended"]


def until_visible(stack: Stack, service: subprocess.Popen[str], how: str, before: int) -> dict[str, float]:
    """Seconds from one request's end until each backend knows it."""
    trace_id, ended = ask(service, how)
    select = '{service_name="pipeline"}'
    questions: dict[str, Callable[[], object]] = {
        BACKENDS[0]: lambda: stack.jaeger.trace(trace_id),
        BACKENDS[1]: lambda: stack.prometheus.value(f"vlm_inferences_total{select}") > before,
        BACKENDS[2]: lambda: any(
            exemplar["labels"]["trace_id"] == trace_id
            for exemplar in stack.prometheus.exemplars(f"gen_ai_server_time_to_first_token_seconds_bucket{select}")
        ),
        BACKENDS[3]: lambda: stack.loki.lines(f'{select} | trace_id="{trace_id}"'),
    }
    seen: dict[str, float] = {}
    while len(seen) < len(questions):
        for backend, known in questions.items():
            if backend not in seen and known():
                seen[backend] = time.time() - ended
        if time.time() - ended > LIMIT_S:
            sys.exit(f"not everywhere after {LIMIT_S:g} s: {sorted(questions.keys() - seen.keys())} lack {trace_id}")
    return seen


def visibility(stack: Stack, requests: int) -> dict[str, dict[str, list[float]]]:
    """The seconds of several requests by interval and backend."""
    environment = {
        **os.environ,
        "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_http,
        "OTEL_SERVICE_NAME": "pipeline",
        "NO_PROXY": "127.0.0.1",
    }
    found: dict[str, dict[str, list[float]]] = {}
    with subprocess.Popen(  # noqa: S603  # our own command
        [str(Path(sys.executable).with_name("opentelemetry-instrument")), "python", "-c", SERVICE],
        env={**environment, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as service:
        try:
            asked = 0
            for how in ("default intervals", "flush"):
                for _ in range(requests):
                    for backend, seconds in until_visible(stack, service, how, asked).items():
                        found.setdefault(how, {}).setdefault(backend, []).append(seconds)
                    asked += 1
                    print(f"{how}: request {asked} is in every backend", file=sys.stderr)
        finally:
            service.terminate()
    return found


def cost(stack: Stack, telemetrygen: Path, seconds: int) -> dict[str, float]:
    """The Collector's CPU, as a share of one core, and its resident memory while it is loaded."""
    before = stack.collector.cpu_seconds()
    begin = time.monotonic()
    memory = 0
    # A trace is a parent and nine children.
    command = [str(telemetrygen), "traces", "--otlp-insecure", "--otlp-endpoint", stack.otlp_grpc, "--workers", "1"]
    load = [*command, "--child-spans", "9", "--rate", str(SPANS_PER_SECOND), "--duration", f"{seconds}s"]
    with subprocess.Popen(load, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:  # noqa: S603  # our own binary
        while process.poll() is None:
            memory = max(memory, stack.collector.memory())
            time.sleep(0.2)
    took = time.monotonic() - begin
    cpu = stack.collector.cpu_seconds() - before
    spans = accepted(stack)
    return {"spans_per_second": spans / took, "cpu_per_1000": cpu / spans * 1000, "memory_mib": memory / 2**20}


def accepted(stack: Stack) -> float:
    """Spans of the load that the Collector took, by what span_metrics counted of them."""
    expression = 'sum(traces_span_metrics_calls_total{service_name="telemetrygen"})'
    last, deadline = -1.0, time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        now = stack.prometheus.value(expression)
        if now and now == last:
            return now
        last = now
        time.sleep(16)  # span_metrics tells every 15 s
    sys.exit("the load never arrived in Prometheus")


def table(visible: Mapping[str, Mapping[str, list[float]]], load: Mapping[str, float]) -> str:
    """Both answers as Markdown."""
    lines = [
        "| seconds from a request's end | default intervals, median (longest) | after `force_flush()` |",
        "|---|---|---|",
    ]
    for backend in BACKENDS:
        told = [visible[how][backend] for how in ("default intervals", "flush")]
        lines.append(f"| {backend} | " + " | ".join(f"{statistics.median(s):.2f} ({max(s):.2f})" for s in told) + " |")
    lines += [
        "",
        f"| the Collector at {load['spans_per_second']:,.0f} spans/s | |",
        "|---|---|",
        f"| CPU for 1,000 spans | {load['cpu_per_1000'] * 1000:.0f} ms |",
        f"| resident memory, at most | {load['memory_mib']:.0f} MiB |",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=5, help="requests of each kind (default 5)")
    parser.add_argument("--seconds", type=int, default=30, help="length of the load (default 30)")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--write", type=Path, help="page whose figures are replaced")
    options = parser.parse_args()
    programs = binaries()
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder) / "stack", programs) as stack:
        print("starting the servers", file=sys.stderr)
        stack.start()
        visible = visibility(stack, options.requests)
        load = cost(stack, programs["telemetrygen"], options.seconds)
    found = table(visible, load)
    print(found)
    if options.json:
        options.json.write_text(json.dumps({"visible": visible, "load": load}, indent=2) + "\n")
    if options.write:
        page = options.write.read_text()
        before, _, rest = page.partition(BEGIN)
        _, _, after = rest.partition(END)
        options.write.write_text(f"{before}{BEGIN}{found}{END}{after}")


if __name__ == "__main__":
    main()
