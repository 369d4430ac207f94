"""What only offers /metrics keeps its own labels, which no list foresees, on either way to Prometheus."""

from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

import pytest

from tests.stack.collectors import FILES, Collector, backends
from tests.stack.servers import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack.collectors import TwoTiers
    from tests.stack.stack import Stack

pytestmark = pytest.mark.timeout(300)

# Names and labels as vLLM has them.
PAGE: Final = b"""\
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="qwen2.5-vl-7b"} 0.5
vllm:kv_cache_usage_perc{engine="1",model_name="qwen2.5-vl-7b"} 0.25
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="qwen2.5-vl-7b"} 3.0
vllm:num_requests_waiting{engine="1",model_name="qwen2.5-vl-7b"} 0.0
# TYPE vllm:prefix_cache_hits_total counter
vllm:prefix_cache_hits_total{engine="0",model_name="qwen2.5-vl-7b"} 90.0
vllm:prefix_cache_hits_total{engine="1",model_name="qwen2.5-vl-7b"} 12.0
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{engine="0",le="0.5",model_name="qwen2.5-vl-7b"} 1.0
vllm:time_to_first_token_seconds_bucket{engine="0",le="+Inf",model_name="qwen2.5-vl-7b"} 2.0
vllm:time_to_first_token_seconds_count{engine="0",model_name="qwen2.5-vl-7b"} 2.0
vllm:time_to_first_token_seconds_sum{engine="0",model_name="qwen2.5-vl-7b"} 1.1
vllm:time_to_first_token_seconds_bucket{engine="1",le="0.5",model_name="qwen2.5-vl-7b"} 1.0
vllm:time_to_first_token_seconds_bucket{engine="1",le="+Inf",model_name="qwen2.5-vl-7b"} 1.0
vllm:time_to_first_token_seconds_count{engine="1",model_name="qwen2.5-vl-7b"} 1.0
vllm:time_to_first_token_seconds_sum{engine="1",model_name="qwen2.5-vl-7b"} 0.1
# TYPE scoped gauge
scoped{otel_scope_name="my.app",engine="0"} 3
scoped{otel_scope_name="my.app",engine="1"} 5
"""


METRICS: Final = (
    "vllm:kv_cache_usage_perc",
    "vllm:num_requests_waiting",
    "vllm:prefix_cache_hits_total",
    "vllm:time_to_first_token_seconds_count",
    "scoped",
)


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize("where", ["single", "agent"])
def test_scraped_series_keep_their_labels(
    stack: Stack, programs: dict[str, Path], tmp_path: Path, port: int, where: str, request: pytest.FixtureRequest
) -> None:
    job = f"exporter-{where}"
    (example,) = re.findall("OTELEXT_COLLECTOR_SCRAPE='(.+)'", (FILES / "README.md").read_text())
    scrape = example.replace("vllm:8000", f"127.0.0.1:{port}").replace("15s", "1s").replace(": vllm", f": {job}")
    if where == "agent":
        tiers: TwoTiers = request.getfixturevalue("tiers")
        way = tiers.way_to_gateways()
    else:
        way = backends(stack)
    with Collector("scraping", programs["otelcol"], [f"{where}.yaml"], tmp_path, {**way, "SCRAPE": scrape}):
        for metric in METRICS:
            series = until(lambda name=metric: stack.prometheus.query(f'{name}{{job="{job}"}}'), metric, 60)  # type: ignore[misc]
            assert sorted(one["metric"].get("engine", "none") for one in series) == ["0", "1"], metric
            models = {one["metric"].get("model_name") for one in series}
            assert models == {"qwen2.5-vl-7b" if metric.startswith("vllm:") else None}, metric
