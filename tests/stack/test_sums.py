"""What several processes count, and send by several gateways, adds up in Prometheus to what was sent."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from otelext import semconv
from tests.stack import otlp_json
from tests.stack.composition import Command, free_port
from tests.stack.otlp_json import attributes
from tests.stack.servers import Server, get, until

if TYPE_CHECKING:
    from tests.stack.collectors import TwoTiers
    from tests.stack.stack import Stack

pytestmark = pytest.mark.timeout(300)

WORKERS = 3


def test_workers_of_one_server_behind_three_gateways(stack: Stack, tiers: TwoTiers, tmp_path: Path) -> None:
    service, port = "workers", free_port()
    here = Path(__file__).parent
    environment = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(here),
        "OTEL_SERVICE_NAME": service,
        "OTEL_EXPORTER_OTLP_ENDPOINT": tiers.agent.otlp_http,
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_BSP_SCHEDULE_DELAY": "500",
    }
    options = [
        "--port",
        str(port),
        "--workers",
        str(WORKERS),
        "--timeout-worker-healthcheck",
        "60",
        "--lifespan",
        "off",
    ]
    command = Command("opentelemetry-instrument", ["uvicorn", "quick_inferences:app", *options], environment)
    url = f"http://127.0.0.1:{port}"

    def answer(_: int) -> str:
        """The process that answered."""
        return get(f"{url}/").raise_for_status().text

    with Server("uvicorn", command, f"{url}/ready", tmp_path) as server, ThreadPoolExecutor(4) as clients:
        answered: Counter[str] = Counter()

        def all_answered() -> bool:
            answered.update(clients.map(answer, range(20)))
            return len(answered) == WORKERS and answered.total() >= 200

        until(all_answered, lambda: f"an answer of each worker beside {answered}", 60)
        inferences = f'vlm_inferences_total{{service_name="{service}"}}'

        def counted() -> Counter[int]:
            return Counter(int(float(one["value"][1])) for one in stack.prometheus.query(inferences))

        expected = Counter(answered.values())
        until(lambda: counted() == expected, lambda: f"{expected} instead of {counted()}")
        assert server.stop() == 0
    calls = f'traces_span_metrics_calls_total{{service_name="{service}",span_name="prefill"}}'
    until(lambda: stack.prometheus.value(calls) == answered.total(), lambda: f"{answered.total()} calls", 60)
    assert len(stack.prometheus.query(calls)) == len(tiers.gateways)
    processes = stack.prometheus.query(inferences)
    assert len({one["metric"]["service_instance_id"] for one in processes}) == WORKERS
    assert counted() == expected


def test_series_of_several_processes_that_come_by_any_gateway(stack: Stack, tiers: TwoTiers) -> None:
    service, collections, processes = "any-gateway", 6, 4
    begun = time.time_ns() - 10**10

    def collected(turn: int, process: int) -> dict[str, Any]:
        """What a process has counted so far: one more a turn, and as many as its number from the beginning."""
        point = {
            "startTimeUnixNano": str(begun),
            "timeUnixNano": str(begun + turn * 10**9),
            "asInt": str(turn + process),
        }
        counter = {"isMonotonic": True, "aggregationTemporality": 2, "dataPoints": [point]}
        resource = {semconv.SERVICE_NAME: service, semconv.SERVICE_INSTANCE_ID: f"process-{process}"}
        return otlp_json.metrics([{"name": "any.gateway", "sum": counter}], resource)

    for turn in range(collections):
        for process in range(processes):
            gateway = tiers.gateways[(turn + process) % len(tiers.gateways)]
            assert otlp_json.post(gateway.otlp_http, "metrics", collected(turn, process)).status_code == 200
    total = sum(collections - 1 + process for process in range(processes))
    counted = f'any_gateway_total{{service_name="{service}"}}'
    until(lambda: stack.prometheus.value(counted) == total, lambda: f"{total}; {stack.prometheus.query(counted)}")
    assert len(stack.prometheus.query(counted)) == processes


def test_series_that_differ_in_a_removed_attribute_alone_are_added_up(stack: Stack, tiers: TwoTiers) -> None:
    now = time.time_ns()
    time_span = {"startTimeUnixNano": str(now - 10**9), "timeUnixNano": str(now)}
    values = [attributes({"patient.name": name, semconv.STAGE: "prefill"}) for name in ("Ann", "Bob", "Cy")]
    sums = [{**time_span, "attributes": value, "asDouble": 2.0} for value in values]
    buckets = {"count": "3", "sum": 3.0, "explicitBounds": [1.0], "bucketCounts": ["2", "1"]}
    distributions = [{**time_span, "attributes": value, **buckets} for value in values]
    found = [
        {"name": "merged.sum", "sum": {"isMonotonic": True, "aggregationTemporality": 2, "dataPoints": sums}},
        {"name": "merged.histogram", "histogram": {"aggregationTemporality": 2, "dataPoints": distributions}},
        {"name": "merged.gauge", "gauge": {"dataPoints": sums}},
    ]
    for service, url in (("merged-single", stack.otlp_http), ("merged-tiers", tiers.agent.otlp_http)):
        message = otlp_json.metrics(found, {semconv.SERVICE_NAME: service})
        assert otlp_json.post(url, "metrics", message).status_code == 200
        for series, value in (
            ("merged_sum_total", 6),
            ("merged_histogram_count", 9),
            ("merged_histogram_sum", 9),
            ("merged_gauge", 2),
        ):
            selector = f'{series}{{service_name="{service}",vlm_stage="prefill"}}'
            (one,) = until(partial(stack.prometheus.query, selector), selector)
            assert float(one["value"][1]) == value, series


def test_what_span_metrics_counted_stays_when_a_gateway_is_started_again(stack: Stack, tiers: TwoTiers) -> None:
    service, gateway = "started-again", tiers.gateways[2]
    calls = f'traces_span_metrics_calls_total{{service_name="{service}"}}'

    def count_five() -> None:
        spans = [otlp_json.span(otlp_json.trace_id(), "counted") for _ in range(5)]
        message = otlp_json.traces(spans, {semconv.SERVICE_NAME: service})
        assert otlp_json.post(gateway.otlp_http, "traces", message).status_code == 200

    count_five()
    until(lambda: stack.prometheus.value(calls) == 5, "5 calls")
    gateway.stop()
    gateway.start()
    count_five()
    until(lambda: stack.prometheus.value(calls) == 10, "10 calls")
    assert len(stack.prometheus.query(calls)) == 2
