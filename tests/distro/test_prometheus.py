"""Metrics that Prometheus scrapes from the process itself."""

from __future__ import annotations

import errno
import re
import socket
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from opentelemetry.exporter import prometheus as exporter

from otelext.distro import prometheus
from tests.distro.processes import free_port, plain, run_program, uvicorn
from tests.distro.test_exporters import INFER

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.distro.processes import Service
    from tests.otlp_receiver import OtlpReceiver

INFERENCES = re.compile(r"^vlm_inferences_total\{.*\} (.+)$", re.MULTILINE)
TOLD = re.compile(r"port (\d+) is taken, so Prometheus has to scrape process (\d+) at (http://\S+)$", re.MULTILINE)
POLLS = 2000


def scrape(url: str) -> str:
    return httpx.get(url, trust_env=False).raise_for_status().text


def counted(*urls: str) -> float:
    return sum(float(value) for url in urls for value in INFERENCES.findall(scrape(url)))


def test_prometheus_serves_the_same_metrics(start: Callable[..., Service]) -> None:
    port = free_port()
    service = start(OTEL_METRICS_EXPORTER="prometheus", OTEL_EXPORTER_PROMETHEUS_PORT=str(port))
    for _ in range(3):
        httpx.get(f"{service.url}/stream", trust_env=False)
    url = f"http://127.0.0.1:{port}/metrics"
    assert any(counted(url) == 3 for _ in range(POLLS))
    text = scrape(url)
    assert re.search(r'^vlm_inferences_total\{.*vlm_outcome="completed"', text, re.MULTILINE)
    assert "gen_ai_server_time_to_first_token_seconds_bucket{" in text
    assert "otelext:" not in service.output


@pytest.mark.timeout(240)
def test_each_spawned_worker_is_scraped_at_the_port_that_it_names(start: Callable[..., Service]) -> None:
    first = free_port()
    service = start(
        lambda port: uvicorn(port, "--workers", "2", "--timeout-worker-healthcheck", "60"),
        OTEL_METRICS_EXPORTER="prometheus",
        OTEL_EXPORTER_PROMETHEUS_PORT=str(first),
    )
    asked: list[int] = []
    while len(set(asked)) < 2 or len(asked) < 20:
        asked.append(httpx.get(f"{service.url}/answer", trust_env=False).json()["pid"])
        assert len(asked) < POLLS, service.output
    told = {int(pid): url for _, pid, url in TOLD.findall(service.output)}
    assert service.output.count("otelext:") == len(told) == 2, service.output
    for pid in set(asked):
        assert any(counted(told[pid]) == asked.count(pid) for _ in range(POLLS)), told
    # The supervisor has the configured port and no inferences, so that the sum over all ports is what was asked.
    assert counted(f"http://localhost:{first}/metrics", *told.values()) == len(asked)


@pytest.mark.parametrize("port", ["taken", "nine", "70000", ""])
def test_a_port_that_can_not_be_had_is_one_line_and_the_service_runs(receiver: OtlpReceiver, port: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1]) if port == "taken" else port
        env = plain(
            receiver.endpoint,
            OTEL_METRICS_EXPORTER="prometheus",
            OTEL_EXPORTER_PROMETHEUS_HOST="127.0.0.1",
            OTEL_EXPORTER_PROMETHEUS_PORT=port,
        )
        done = run_program(INFER, env)
    assert (done.returncode, done.stdout) == (0, "served\n")
    (line,) = done.stderr.splitlines()
    assert port in line
    assert "OTEL_EXPORTER_PROMETHEUS_PORT" in line
    assert [span.name for span in receiver.spans] == ["chat m"]


def test_only_a_port_that_is_taken_lets_a_worker_try_the_next(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[int] = []

    def start_http_server(port: int, addr: str) -> None:
        tried.append(port)
        raise OSError(errno.EADDRINUSE if len(tried) < 3 else errno.EADDRNOTAVAIL, "as the system says it")

    module: Any = exporter
    monkeypatch.setattr(module, "start_http_server", start_http_server)
    monkeypatch.setattr(prometheus, "is_spawned", lambda: True)
    with prometheus.listening():
        module.start_http_server(port=9464, addr="::1")
    assert tried == [9464, 9465, 9466]
    assert "can't listen on [::1]:9464" in caplog.text
