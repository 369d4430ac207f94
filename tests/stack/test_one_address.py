"""One name with all gateways behind it: an agent's metrics and logs go around those that are down."""

from __future__ import annotations

import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest

from otelext import semconv
from tests.stack import otlp_json
from tests.stack.collectors import NO_LOG_FILES, Collector, backends
from tests.stack.composition import free_port
from tests.stack.name_server import NameServer
from tests.stack.servers import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stack.stack import Stack

pytestmark = pytest.mark.timeout(300)

ADDRESSES: Final = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
ROUNDS: Final = 5


def send(to: Collector, service: str) -> None:
    """A line and a data point a round."""
    resource = {semconv.SERVICE_NAME: service, "telemetry.distro.name": "otelext"}
    for n in range(ROUNDS):
        now = str(time.time_ns())
        record = {"timeUnixNano": now, "body": {"stringValue": f"round {n}"}}
        gauge = {"name": f"round.{n}", "gauge": {"dataPoints": [{"timeUnixNano": now, "asDouble": 1.0}]}}
        for signal, message in (
            ("logs", otlp_json.logs([record], resource)),
            ("metrics", otlp_json.metrics([gauge], resource)),
        ):
            assert otlp_json.post(to.otlp_http, signal, message).status_code == 200
        time.sleep(0.25)  # so that each is a batch of its own


def arrived(stack: Stack, service: str) -> bool:
    ours = f'{{service_name="{service}"}}'
    return stack.loki.count(ours) == ROUNDS and len(stack.prometheus.query(ours)) == ROUNDS


def test_metrics_and_logs_go_around_gateways_that_are_down(
    stack: Stack, programs: dict[str, Path], tmp_path: Path
) -> None:
    port = free_port()
    gateways = [
        Collector(
            f"gateway-{address}",
            programs["otelcol"],
            ["gateway.yaml"],
            tmp_path,
            {**backends(stack), "HOST": address, "GRPC_PORT": port},
        )
        for address in ADDRESSES
    ]
    with ExitStack() as running:
        names = running.enter_context(NameServer(ADDRESSES))
        for gateway in gateways:
            running.enter_context(gateway)
        way = {
            "GATEWAYS": f"[{', '.join(gateway.otlp_grpc for gateway in gateways)}]",
            "GATEWAY": f"dns://{names.address}/gateways.test:{port}",
        }
        agent = Collector("agent", programs["otelcol"], ["agent.yaml"], tmp_path, {**way, **NO_LOG_FILES})
        running.enter_context(agent)
        for down in range(len(gateways)):
            send(agent, f"around-{down}")
            until(partial(arrived, stack, f"around-{down}"), f"what was sent while {down} gateways are down", 30)
            gateways[down].kill()
        send(agent, "around-all")
        gateways[1].start()
        until(partial(arrived, stack, "around-all"), "what was sent while all gateways are down", 60)
