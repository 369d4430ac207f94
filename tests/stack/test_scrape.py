"""What only offers /metrics keeps its own labels, which no list foresees, on either way to Prometheus."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Final

import pytest

from tests.stack.collectors import Collector, backends
from tests.stack.servers import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.stack.collectors import TwoTiers
    from tests.stack.stack import Stack

pytestmark = pytest.mark.timeout(300)

PAGE: Final = b"""\
# TYPE cache_usage gauge
cache_usage{engine="0"} 0.5
cache_usage{engine="1"} 0.25
# TYPE scoped gauge
scoped{otel_scope_name="my.app",engine="0"} 3
scoped{otel_scope_name="my.app",engine="1"} 5
"""


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
    scrape = (
        f"[{{job_name: {job}, scrape_interval: 1s, scrape_timeout: 1s, "
        f"static_configs: [{{targets: ['127.0.0.1:{port}']}}]}}]"
    )
    if where == "agent":
        tiers: TwoTiers = request.getfixturevalue("tiers")
        way = tiers.way_to_gateways()
    else:
        way = backends(stack)
    with Collector("scraping", programs["otelcol"], [f"{where}.yaml"], tmp_path, {**way, "SCRAPE": scrape}):
        for metric in ("cache_usage", "scoped"):
            series = until(lambda name=metric: stack.prometheus.query(f'{name}{{job="{job}"}}'), metric, 60)  # type: ignore[misc]
            assert sorted(one["metric"].get("engine", "none") for one in series) == ["0", "1"], metric
