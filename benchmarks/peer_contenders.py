"""Other libraries as contenders: which there are, where `make bench-peers` put them, and which of them answer.

Each is a program of its own, `peers/*.py`, run by the Python of an environment of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import raw_otel
from peers import request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PATIENCE_S = 120.0

# Its makers spell the request without otelext; it is the same one all the same.
assert (*request.BEFORE_FIRST_TOKEN, request.AFTER_IT) == raw_otel.STAGES
assert (request.MODEL, request.OUTPUT_TOKENS) == (raw_otel.MODEL, raw_otel.CHUNKS)


@dataclass(frozen=True)
class Peer:
    """Another library.

    Attributes:
        name: Of its program, its environment and its requirements.
        title: What it calls itself.
        package: What it is installed as.
        environment: What its process needs beside `ENVIRONMENT`.
    """

    name: str
    title: str
    package: str
    environment: Mapping[str, str] = field(default_factory=dict)


PEERS = (
    Peer("openlit", "OpenLIT", "openlit"),
    Peer("logfire", "Logfire", "logfire"),
    Peer("langfuse", "Langfuse", "langfuse"),
    Peer(
        "mlflow",
        "MLflow",
        "mlflow-tracing",
        {
            # Its processor for OTLP on a provider of ours; the endpoint only says so, and nobody exports to it.
            "MLFLOW_USE_DEFAULT_TRACER_PROVIDER": "false",
            "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
    ),
    Peer("traceloop", "Traceloop", "traceloop-sdk"),
    Peer("openinference", "OpenInference", "openinference-instrumentation"),
)

ENVIRONMENT = {
    "PYTHONPATH": str(Path(__file__).parent),
    # A round's spans fit, as in the other contenders' processors.
    "OTEL_BSP_MAX_QUEUE_SIZE": "100000",
    # Whatever the machine's own settings are, nothing is to leave.
    "OTEL_EXPORTER_OTLP_ENDPOINT": "",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "",
    "DO_NOT_TRACK": "1",
}


def peer_contenders(environments: Path) -> dict[str, tuple[Sequence[str], Mapping[str, str]]]:
    """The command and the environment of each peer that answers; why another is left out is printed.

    Args:
        environments: The folder with a virtual environment for each.
    """
    found: dict[str, tuple[Sequence[str], Mapping[str, str]]] = {}
    for peer in PEERS:
        python = environments.absolute() / peer.name / "bin" / "python"
        # By the module's name: run by its file, `peers/openlit.py` would be what `import openlit` finds.
        command = [str(python), "-m", f"peers.{peer.name}"]
        environment = {**ENVIRONMENT, **peer.environment}
        fault = _fault(command, environment)
        if fault:
            print(f"{peer.title} is left out: {fault}", file=sys.stderr, flush=True)
            continue
        versions = _versions(environments / peer.name, (peer.package, "opentelemetry-sdk"))
        found[f"{peer.title} (" + ", ".join(versions) + ")"] = (command, environment)
    return found


def _fault(command: Sequence[str], environment: Mapping[str, str]) -> str | None:
    if not Path(command[0]).exists():
        return f"it is not installed, as there is no {command[0]}."
    try:
        tried = subprocess.run(  # noqa: S603  # our own program
            command,
            env={**os.environ, **environment},
            input="1\n",
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it does not answer within {_PATIENCE_S:.0f} s."
    if any(line.startswith("{") for line in tried.stdout.splitlines()):
        return None
    said = tried.stderr.strip().splitlines() or ["it said nothing"]
    return f"its program ends with status {tried.returncode}: {said[-1]}"


def _versions(environment: Path, packages: Sequence[str]) -> list[str]:
    places = [str(place) for place in environment.glob("lib/python*/site-packages")]
    installed = {name: list(metadata.distributions(name=name, path=places)) for name in packages}
    return [f"{name} {found[0].version}" for name, found in installed.items() if found]
