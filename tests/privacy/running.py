"""Runs the service of this folder with a secret in every place, and gives all that left it."""

from __future__ import annotations

import json
import re
import threading
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from tests.distro.grpc_receiver import GrpcReceiver
from tests.distro.processes import environment, free_port, serving, uvicorn
from tests.otlp_receiver import OtlpReceiver
from tests.privacy.places import PLACES, a_secret
from tests.privacy.traces_of import Finder
from tests.processors.openai_server import openai_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.distro.processes import Service
    from tests.privacy.traces_of import Secret, Trace

ROOT = Path(__file__).parents[2]


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

    @property
    def messages(self) -> Iterator[tuple[str, Any]]:
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
        client_headers: Headers of the answer to the document.
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
        for path, message in self.receiver.messages:
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
    secrets = {place.name: a_secret(place.kind) for place in PLACES}
    put = folder / "secrets.json"
    put.write_text(json.dumps({place.name: secrets[place.name] for place in PLACES if place.by != "start"}))
    log_file = folder / "log.jsonl"
    with ExitStack() as stack:
        received = stack.enter_context(receiver())
        port = free_port()
        env = environment(
            received.endpoint,
            **{
                "PYTHONPATH": str(ROOT),
                "CANARY_SECRETS": str(put),
                "CANARY_OPENAI": stack.enter_context(openai_server()),
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
                "OTELEXT_LOG_FILE": str(log_file),
                **variables,
            },
        )
        command = uvicorn(
            port,
            "--header",
            f"x-served-by:{secrets['argument of the command']}",
            "--forwarded-allow-ips",
            "*",
            app="tests.privacy.service:app",
        )
        service = stack.enter_context(serving(command, port, env, folder / "output"))
        left = Left(secrets, received)
        left.told = _ask(service, secrets)
        service.stop()
        left.output = service.output
        left.file = log_file.read_text() if log_file.exists() else ""
        return left


def _ask(service: Service, secrets: Mapping[str, Secret]) -> dict[str, str]:
    s = {name: str(secret) for name, secret in secrets.items()}
    # A server closes the connection after an error, and a client that is quick would ask on it.
    alone = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=service.url, trust_env=False, timeout=60, limits=alone) as client:
        image = b"\x89PNG\r\n\x1a\n" + s["image bytes"].encode() + bytes(range(256))
        answer = client.post(
            f"/documents/{s['path parameter']}",
            params={"name": s["query string"], s["query key"]: "1"},
            files={"page": (f"{s['file name']}.png", image, "image/png")},
            data={"prompt": f"What does {s['form field']} have?"},
            headers={
                "x-patient": s["request header"],
                f"x-{s['request header name']}": "1",
                "cookie": f"session={s['cookie']}",
                "user-agent": s["user agent"],
                "x-forwarded-for": s["forwarded address"],
                "host": f"{s['host header']}.example",
                "tracestate": f"clinic={s['trace state']}",
                "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                "baggage": (
                    f"clinic.patient={s['baggage from outside']},tenant.id={s['tenant from outside']},"
                    f"user.id={s['user from outside']},request.id={s['request id from outside in baggage']}"
                ),
                "x-request-id": f"{s['request id that is malformed']}/{s['request id that is malformed']}",
            },
        )
        assert answer.status_code == 200, answer.text
        assert re.sub(r"\W", "", s["response text"]) in answer.text
        assert client.get(f"/nowhere/{s['unmatched path']}").status_code == 404
        assert client.get("/fails").status_code == 500
        for path in ("/loose-task", "/named-task"):
            assert client.post(path).status_code == 200
        told = client.post("/places")
        assert told.status_code == 200, told.text
        found: dict[str, str] = told.json()
        return found
