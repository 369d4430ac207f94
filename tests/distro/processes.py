"""Programs under `opentelemetry-instrument`, started by the tests and stopped with them."""

from __future__ import annotations

import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HERE = pathlib.Path(__file__).parent
BIN = pathlib.Path(sys.executable).parent
STARTUP_S = 60.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(endpoint: str, **more: str) -> dict[str, str]:
    """The environment of a program: exports often, and instruments no library that it does not use."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "PYTEST", "COV"))}
    return {
        **inherited,
        "PATH": os.pathsep.join([str(BIN), os.environ.get("PATH", "")]),
        "PYTHONPATH": str(HERE),
        "PYTHONUNBUFFERED": "1",
        "NO_PROXY": "127.0.0.1,localhost",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_SERVICE_NAME": "service-under-test",
        "OTEL_METRIC_EXPORT_INTERVAL": "250",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "OTEL_BLRP_SCHEDULE_DELAY": "100",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "openai,threading",
        "OTELEXT_LOG_FORMAT": "none",  # what a program writes to standard error is its own
        **more,
    }


def plain(endpoint: str, **more: str) -> dict[str, str]:
    """The environment of a program without web framework and database, which starts in half the time."""
    return environment(
        endpoint, **{"OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "openai,threading,fastapi,sqlalchemy", **more}
    )


def run_program(
    program: str | Sequence[str], env: dict[str, str], *arguments: str, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, under `opentelemetry-instrument`."""
    command = ["python", "-c", program] if isinstance(program, str) else list(program)
    return subprocess.run(
        [str(BIN / "opentelemetry-instrument"), *command, *arguments],
        env=env,
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def run_python(program: str, env: dict[str, str], timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, by itself."""
    return subprocess.run(
        [sys.executable, "-c", program],
        env=env,
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@dataclass
class Service:
    """A running server."""

    process: subprocess.Popen[str]
    url: str
    log: pathlib.Path

    @property
    def output(self) -> str:
        """What it has printed so far, both streams."""
        return self.log.read_text()

    def stop(self, signum: int = signal.SIGTERM, timeout: float = 30) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(signum)
        return self.process.wait(timeout)


@contextmanager
def serving(command: Sequence[str], port: int, env: dict[str, str], log: pathlib.Path) -> Iterator[Service]:
    """Start a server in a process group of its own, wait until `/healthz` answers, and stop the group at the end."""
    with ExitStack() as stack:
        out = stack.enter_context(log.open("w"))
        process = subprocess.Popen(
            command, env=env, cwd=HERE, stdout=out, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        stack.callback(_end_group, process)
        service = Service(process, f"http://127.0.0.1:{port}", log)
        deadline = time.monotonic() + STARTUP_S
        while True:
            try:
                if httpx.get(f"{service.url}/healthz", timeout=5, trust_env=False).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{' '.join(command)} does not serve:\n{service.output}")
            time.sleep(0.05)
        yield service


def _end_group(process: subprocess.Popen[str]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def uvicorn(port: int, *options: str, app: str = "service:app") -> list[str]:
    return [str(BIN / "opentelemetry-instrument"), "uvicorn", app, "--port", str(port), *options]
