"""What Collectors add of the machine that they run on: its figures, and its name on everything that comes from there."""

from __future__ import annotations

import os
import socket
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from otelext import semconv
from tests.stack import otlp_json
from tests.stack.collectors import Collector, backends
from tests.stack.servers import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stack.collectors import TwoTiers
    from tests.stack.stack import Stack

pytestmark = pytest.mark.timeout(300)

HOST: Final = socket.gethostname()
ENVIRONMENT: Final = "deployment.environment.name"


def host(metric: str) -> str:
    """A selector of this machine's own series."""
    return f'{metric}{{service_name="host",service_instance_id="{HOST}",host_name="{HOST}"}}'


def memory() -> int:
    """Bytes, as the kernel says."""
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return int(fields["MemTotal"].split()[0]) * 1024


@pytest.mark.usefixtures("tiers")
@pytest.mark.parametrize(
    "metric",
    [
        "system_cpu_time_seconds_total",
        "system_cpu_utilization_ratio",
        "system_cpu_load_average_1m",
        "system_memory_usage_bytes",
        "system_memory_utilization_ratio",
        "system_filesystem_usage_bytes",
        "system_filesystem_utilization_ratio",
        "system_network_io_bytes_total",
        "system_processes_count",
        "system_uptime_seconds",
    ],
)
def test_the_hosts_figures_are_in_prometheus(stack: Stack, metric: str) -> None:
    until(lambda: stack.prometheus.query(host(metric)), metric)


@pytest.mark.usefixtures("tiers")
def test_the_hosts_figures_are_those_of_the_kernel(stack: Stack) -> None:
    limit = host("system_memory_limit_bytes")
    until(lambda: stack.prometheus.value(limit) == memory(), lambda: f"{memory()} in {stack.prometheus.query(limit)}")
    cores = host("system_cpu_logical_count")
    until(lambda: stack.prometheus.value(cores) == os.cpu_count(), f"{os.cpu_count()} cores")


@pytest.fixture(scope="module")
def single(stack: Stack, programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """Of one node, whose operator says more of it by the standard's variable."""
    folder = tmp_path_factory.mktemp("single")
    collector = Collector("single", programs["otelcol"], ["single.yaml"], folder, backends(stack))
    collector.command.environment["OTEL_RESOURCE_ATTRIBUTES"] = f"{ENVIRONMENT}=ward-3"
    with collector:
        yield collector


@pytest.fixture(params=["single", "tiers"])
def entry(request: pytest.FixtureRequest) -> tuple[Collector, str]:
    """Where services send to, and the environment that is known there."""
    if request.param == "single":
        single: Collector = request.getfixturevalue("single")
        return single, "ward-3"
    tiers: TwoTiers = request.getfixturevalue("tiers")
    return tiers.agent, ""


@pytest.mark.parametrize(
    ("said", "host_name"), [({}, HOST), ({"host.name": "elsewhere"}, "elsewhere")], ids=["nothing said", "said"]
)
def test_each_signal_says_where_it_came_from_unless_it_did_before(
    stack: Stack, entry: tuple[Collector, str], said: dict[str, str], host_name: str
) -> None:
    collector, environment = entry
    service = f"machine-{collector.name}-{len(said)}"
    resource = {semconv.SERVICE_NAME: service, **said}
    trace_id = otlp_json.trace_id()
    span = otlp_json.span(trace_id, "kept", {semconv.CANARY: True})
    gauge = {"name": "located", "gauge": {"dataPoints": [{"timeUnixNano": span["endTimeUnixNano"], "asInt": "1"}]}}
    record = {"timeUnixNano": span["endTimeUnixNano"], "body": {"stringValue": "located"}}
    for signal, message in (
        ("traces", otlp_json.traces([span], resource)),
        ("metrics", otlp_json.metrics([gauge], resource)),
        ("logs", otlp_json.logs([record], resource)),
    ):
        assert otlp_json.post(collector.otlp_http, signal, message).status_code == 200

    def process() -> dict[str, Any]:
        traces = stack.jaeger.traces(service)
        return {tag["key"]: tag["value"] for trace in traces for p in trace["processes"].values() for tag in p["tags"]}

    of_span = until(process, f"the span of {service}", 60)
    assert of_span["host.name"] == host_name
    assert of_span["os.type"] == "linux"
    assert of_span.get(ENVIRONMENT, "") == environment
    (series,) = until(partial(stack.prometheus.query, f'located{{service_name="{service}"}}'), f"series of {service}")
    assert series["metric"]["host_name"] == host_name
    assert series["metric"].get("deployment_environment_name", "") == environment
    ((labels, _),) = until(partial(stack.loki.lines, f'{{service_name="{service}"}}'), f"the line of {service}")
    assert labels["host_name"] == host_name
    assert labels.get("deployment_environment_name", "") == environment
