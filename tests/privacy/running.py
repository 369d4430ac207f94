"""Runs the service of this folder with a secret in every place, and gives all that left it."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from tests.distro.grpc_receiver import GrpcReceiver
from tests.distro.processes import environment, free_port, serving, uvicorn
from tests.otlp_receiver import OtlpReceiver
from tests.privacy.asking import ask
from tests.privacy.places import PLACES, a_secret
from tests.privacy.traces_of import Finder
from tests.processors.openai_server import openai_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.privacy.traces_of import Secret, Trace

ROOT = Path(__file__).parents[2]
LOG_FILE = "log.jsonl"


class _Kept(OtlpReceiver):
    """A receiver that keeps what came as it came, after decompression."""

    def __init__(self, port: int = 0) -> None:
        super().__init__(port)
        self.bodies: list[tuple[str, bytes]] = []
        self._bodies_lock = threading.Lock()

    def _take(self, path: str, body: bytes) -> bytes | None:
        with self._bodies_lock:
            self.bodies.append((path, body))
        return super()._take(path, body)

    def clear(self) -> None:
        """Forget what was received."""
        super().clear()
        with self._bodies_lock:
            self.bodies.clear()

    @property
    def requests(self) -> Iterator[tuple[str, Any]]:
        """Every request, decoded, with its path."""
        for path in ("/v1/traces", "/v1/metrics", "/v1/logs"):
            for message in self._received(path):
                yield path, message


class Receiver(_Kept):
    """Over HTTP."""


class ReceiverOverGrpc(_Kept, GrpcReceiver):
    """Over gRPC."""


@dataclass
class Left:
    """What left a service.

    Attributes:
        secrets: By place.
        receiver: What came by OTLP.
        output: What the service printed.
        file: What it wrote into its log file.
        told: What went wrong at each place of the service's; empty where nothing did.
    """

    secrets: dict[str, Secret]
    receiver: _Kept
    output: str = ""
    file: str = ""
    told: dict[str, str] = field(default_factory=dict)

    @property
    def lines(self) -> list[str]:
        """The lines of JSON, on the terminal and in the file: what uvicorn prints for people is its own."""
        return [line for line in [*self.output.splitlines(), *self.file.splitlines()] if line.startswith("{")]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The lines of JSON, decoded."""
        return [json.loads(line) for line in self.lines]

    @cached_property
    def traces(self) -> list[Trace]:
        """Every secret in what left, by OTLP or in lines of JSON."""
        finder = Finder(self.secrets)
        found: list[Trace] = []
        for path, body in self.receiver.bodies:
            found += finder.search(body, f"the body of {path}")
        for path, message in self.receiver.requests:
            found += finder.search_in(message, path)
        found += finder.search("\n".join(self.lines).encode(), "the lines of JSON")
        found += finder.search(self.file.encode(), "the log file")
        for record in self.records:
            found += finder.search_in(record, "a line of JSON")
        return found


def run(folder: Path, *, receiver: type[_Kept] = Receiver, **variables: str) -> Left:
    """Start the service under `opentelemetry-instrument`, put a secret in every place, and stop it.

    Args:
        folder: For its files.
        receiver: Over HTTP or gRPC.
        variables: Of the environment.
    """
    with ExitStack() as stack:
        left = Left(new_secrets(), stack.enter_context(receiver()))
        env = stack.enter_context(steered(left, folder, **variables))
        port = free_port()
        command = uvicorn(
            port,
            "--header",
            f"x-served-by:{left.secrets['argument of the command']}",
            "--forwarded-allow-ips",
            "*",
            app="tests.privacy.service:app",
        )
        service = stack.enter_context(serving(command, port, env, folder / "output"))
        left.told = asyncio.run(_ask_service(service.url, left.secrets))
        service.stop()
        left.output = service.output
        left.file = read(folder / LOG_FILE)
        return left


def new_secrets() -> dict[str, Secret]:
    """A secret for each place."""
    return {place.name: a_secret(place.kind) for place in PLACES}


def read(file: Path) -> str:
    """What a file holds, nothing where there is none."""
    return file.read_text() if file.exists() else ""


@contextmanager
def steered(left: Left, folder: Path, **variables: str) -> Iterator[dict[str, str]]:
    """The environment of a service whose telemetry goes to `left.receiver`, with the secrets of the start in it."""
    secrets = left.secrets
    put = folder / "secrets.json"
    put.write_text(json.dumps({place.name: secrets[place.name] for place in PLACES if place.by != "start"}))
    with openai_server() as openai:
        yield environment(
            left.receiver.endpoint,
            **{
                "PYTHONPATH": str(ROOT),
                "CANARY_SECRETS": str(put),
                "CANARY_OPENAI": openai,
                "CANARY_TOKEN": str(secrets["environment variable"]),
                "OTEL_RESOURCE_ATTRIBUTES": f"clinic.site={secrets['resource attribute']}",
                "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{secrets['exporter header']}",
                "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS": "otel,process,os,host",
                "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "threading",
                "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_AND_EVENT",
                "OTEL_SEMCONV_STABILITY_OPT_IN": "http,database,gen_ai_latest_experimental",
                "OTEL_METRIC_EXPORT_INTERVAL": "2000",
                "OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_SERVER_REQUEST": ".*",
                "OTELEXT_HASH_KEY": str(secrets["hash key"]),
                "OTELEXT_TENANTS": "seoul,busan",
                "OTELEXT_LOG_FORMAT": "json",
                "OTELEXT_LOG_FILE": str(folder / LOG_FILE),
                **variables,
            },
        )


async def _ask_service(url: str, secrets: Mapping[str, Secret]) -> dict[str, str]:
    # A server closes the connection after an error, and a client that is quick would ask on it.
    alone = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60, limits=alone) as client:
        return await ask(client, secrets)
