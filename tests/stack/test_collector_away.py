"""There is no Collector while a service starts, runs and ends."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING, Final

import pytest

from tests.stack.composition import free_port
from tests.stack.reliability import COLLECTOR_AWAY, Figures, record
from tests.stack.servers import until
from tests.stack.services import Service

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stack.stack import Stack

pytestmark = pytest.mark.timeout(300)

# Exports fail again and again in the time of the test, and the SDK's queues, which log an overflow, have room for it all.
QUICK: Final = {
    "OTEL_BSP_MAX_QUEUE_SIZE": "200000",
    "OTEL_BLRP_MAX_QUEUE_SIZE": "200000",
    "OTEL_BSP_SCHEDULE_DELAY": "500",
    "OTEL_BLRP_SCHEDULE_DELAY": "500",
    "OTEL_METRIC_EXPORT_INTERVAL": "500",
    "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
}
RUN_S: Final = 20.0
# OTELEXT_SHUTDOWN_TIMEOUT, and what a busy machine takes to end Python.
END_S: Final = 5.0 + 5.0


def others(service: Service) -> int:
    """Lines that are not the service's own."""
    return sum(line != "answered" for line in service.output.splitlines())


def test_a_service_without_collector_runs_as_with_one(stack: Stack, tmp_path: Path) -> None:
    with ExitStack() as running, socket.create_server(("127.0.0.1", 0), backlog=1024) as silent:
        # Two ways to be away: nobody listens, and nobody answers.
        endpoints = {
            "with": stack.otlp_http,
            "refused": f"http://127.0.0.1:{free_port()}",
            "silent": f"http://127.0.0.1:{silent.getsockname()[1]}",
        }
        services = {
            name: running.enter_context(Service(f"away-{name}", endpoint, tmp_path, **QUICK))
            for name, endpoint in endpoints.items()
        }
        started = time.monotonic()
        took: dict[str, list[float]] = {name: [] for name in services}
        while time.monotonic() - started < RUN_S:
            for name, service in services.items():
                took[name].append(service.answer(len(took[name])))
        ends = {}
        for name, service in services.items():
            begin = time.monotonic()
            service.stop(60)
            ends[name] = time.monotonic() - begin
    medians = {name: median(seconds) for name, seconds in took.items()}
    print({name: f"median {medians[name] * 1e3:.2f} ms, end {ends[name]:.1f} s" for name in services})  # noqa: T201
    for name in ("refused", "silent"):
        assert medians[name] < 1.5 * medians["with"] + 1e-3, name
        assert ends[name] < END_S, name
        assert 1 <= others(services[name]) <= 1 + (time.monotonic() - started) // 60, "one line a minute"
    complete = services["with"]
    assert others(complete) == 0
    sent = len(took["with"])
    until(lambda: complete.counted(stack) == sent, f"{sent} inferences counted")
    until(lambda: len(complete.traced(stack)) == min(sent, 10_000), f"{sent} traces")
    sent = len(took["refused"]) + len(took["silent"])
    stored = len(services["refused"].traced(stack)) + len(services["silent"].traced(stack))
    record(COLLECTOR_AWAY, Figures("traces", sent, stored, 0, sent - stored, 0))
