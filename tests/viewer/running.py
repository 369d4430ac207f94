"""Viewers as processes of their own."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import anyio
import httpx

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_READY_WITHIN_S = 30.0

FREE_PORTS = ("--port", "0", "--otlp-http-port", "0", "--otlp-grpc-port", "0")


@dataclass
class RunningViewer:
    process: subprocess.Popen[str]
    url: str
    otlp_http: str
    otlp_grpc: str

    def get(self, path: str, **query: str | list[str]) -> Any:
        answer = httpx.get(f"{self.url}{path}", params=query, trust_env=False, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


def run_cli(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run `otelext` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "otelext.cli", *arguments],
        capture_output=True,
        timeout=60,
        check=False,
        env=env,
        encoding="utf-8",
    )


def start_viewer(folder: Path, *arguments: str) -> RunningViewer:
    """Start `otelext view` on free ports and wait until it answers."""
    ports = folder / f"ports-{time.monotonic_ns()}.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "otelext.cli", "view", *FREE_PORTS, "--ports-file", str(ports), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: ports.exists() or process.poll() is not None, _READY_WITHIN_S)
    if process.poll() is not None:
        raise AssertionError(f"the viewer ended: {process.communicate()}")
    found = json.loads(ports.read_text())
    assert found["pid"] == process.pid
    return RunningViewer(process, found["viewer"], found["otlp_http"], found["otlp_grpc"])


def ask(app: Any, method: str, path: str, **options: Any) -> httpx.Response:
    """One request to an ASGI application in this process."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, **options)

    return anyio.run(send)


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Poll until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.01)
