"""`service.py` as a child process, and requests to it that are found again by their ids."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final

import httpx

from otelext import semconv
from tests.stack.backends import tags
from tests.stack.composition import Command, free_port
from tests.stack.servers import Server

if TYPE_CHECKING:
    from tests.stack.stack import Stack

_PROGRAM: Final = Path(__file__).with_name("service.py")


class Service(Server):
    """Sends to `endpoint` under its name; more variables of its environment by keyword."""

    def __init__(self, name: str, endpoint: str, logs: Path, **environment: str) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        programs = Path(sys.executable).parent
        variables = {
            "PATH": os.pathsep.join([str(programs), os.environ["PATH"]]),
            "OTEL_SERVICE_NAME": name,
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTELEXT_LOG_FORMAT": "none",  # its output is read: what is there is the service's own, and warnings of ours
            **environment,
        }
        command = Command(str(programs / "opentelemetry-instrument"), ["python", str(_PROGRAM), str(port)], variables)
        super().__init__(name, command, f"{self.url}/ready", logs)
        self._client = httpx.Client(trust_env=False, timeout=30)

    def answer(self, n: int) -> float:
        """Ask once; how many seconds the answer took."""
        begin = perf_counter()
        answer = self._client.get(f"{self.url}/answer", headers={"x-request-id": f"{self.name[-8:]:->8}{n:08}"})
        assert answer.status_code == 200
        return perf_counter() - begin

    def stop(self, seconds: float = 60.0) -> int:
        self._client.close()
        return super().stop(seconds)

    def kill(self) -> None:
        self._client.close()
        super().kill()

    def traced(self, stack: Stack) -> set[int]:
        """Which answers Jaeger knows."""
        traces = stack.jaeger.traces(self.name, limit=10_000)
        ids = (tags(span).get(semconv.REQUEST_ID) for trace in traces for span in trace["spans"])
        return {int(request_id[8:]) for request_id in ids if request_id and request_id[8:].isdecimal()}

    def counted(self, stack: Stack) -> int:
        """How many answers Prometheus knows."""
        return int(stack.prometheus.value(f'vlm_inferences_total{{service_name="{self.name}"}}'))

    def logged(self, stack: Stack) -> int:
        """How many answers' lines Loki knows."""
        return stack.loki.count(f'{{service_name="{self.name}"}} |= "answered"')
