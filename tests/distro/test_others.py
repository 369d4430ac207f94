"""Beside others who configure: another distro, another configurator, a declarative file, the user's own providers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from otelext import semconv
from tests.distro.processes import environment, plain, run_program, run_python

if TYPE_CHECKING:
    from pathlib import Path

    from tests.otlp_receiver import OtlpReceiver

# What opentelemetry-distro does, as a package that is found before otelext; it can't be installed beside the tests,
# since it would win in all of them.
COMPETITOR = """
import os
from opentelemetry.instrumentation.distro import BaseDistro
from opentelemetry.sdk._configuration import _OTelSDKConfigurator

class Configurator(_OTelSDKConfigurator):
    pass

class Distro(BaseDistro):
    def _configure(self, **kwargs):
        os.environ.setdefault("OTEL_TRACES_EXPORTER", "otlp")
        os.environ.setdefault("OTEL_METRICS_EXPORTER", "otlp")
        os.environ.setdefault("OTEL_LOGS_EXPORTER", "otlp")
        os.environ.setdefault("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
"""
ENTRY_POINTS = """
[opentelemetry_distro]
competitor = competitor:Distro

[opentelemetry_configurator]
competitor = competitor:Configurator
"""

# One inference under FastAPI's own test client, and what became of the process's telemetry.
PROGRAM = """
import json, os, sys, logging
import otelext
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from opentelemetry import trace, metrics

app = FastAPI()

@otelext.inference("chat", model="m")
async def tokens():
    for _ in range(10):
        yield "token "

@app.get("/stream")
async def stream():
    logging.getLogger("program").warning("streaming")
    return StreamingResponse(tokens())

with TestClient(app) as client:
    answer = client.get("/stream", headers={"x-request-id": "0123456789abcdef"})
from otelext.processors.genai import GenAISpanProcessor
processors = trace.get_tracer_provider()._active_span_processor._span_processors
print(json.dumps({
    "id": answer.headers.get("x-request-id"),
    "first": isinstance(processors[0], GenAISpanProcessor),
    "ours": sum(isinstance(p, GenAISpanProcessor) for p in processors),
    "readers": len(metrics.get_meter_provider()._metric_readers),
}))
"""


@pytest.fixture
def competitor(tmp_path: Path) -> str:
    (tmp_path / "competitor.py").write_text(COMPETITOR)
    info = tmp_path / "competitor-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: competitor\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return str(tmp_path)


def check_complete(receiver: OtlpReceiver, printed: str) -> None:
    """Everything that can be added late is there, once."""
    assert json.loads(printed) == {"id": "0123456789abcdef", "first": True, "ours": 1, "readers": 1}
    names = [span.name for span in receiver.spans]
    assert sorted(names) == ["GET /stream", "chat m"]
    assert receiver.total(semconv.INFERENCES.name) == 1
    (record,) = (r for r in receiver.logs if r.body == "streaming")
    assert record.attributes[semconv.REQUEST_ID] == "0123456789abcdef"


@pytest.mark.parametrize(
    "names",
    [
        {},
        {"OTEL_PYTHON_DISTRO": "competitor", "OTEL_PYTHON_CONFIGURATOR": "competitor"},
        {"OTEL_PYTHON_DISTRO": "otelext", "OTEL_PYTHON_CONFIGURATOR": "competitor"},
        {"OTEL_PYTHON_DISTRO": "competitor", "OTEL_PYTHON_CONFIGURATOR": "otelext"},
    ],
    ids=["the first wins", "both named", "configurator named", "distro named"],
)
def test_another_distro_or_configurator_wins(receiver: OtlpReceiver, competitor: str, names: dict[str, str]) -> None:
    done = run_program(PROGRAM, environment(receiver.endpoint, PYTHONPATH=competitor, **names))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    check_complete(receiver, done.stdout)


def test_opentelemetry_is_configured_once_under_the_command(receiver: OtlpReceiver) -> None:
    done = run_program(PROGRAM, environment(receiver.endpoint))
    assert done.stderr.splitlines() == ["streaming"]
    check_complete(receiver, done.stdout)


def test_configure_after_the_command_adds_nothing_twice(receiver: OtlpReceiver) -> None:
    program = "import otelext; otelext.configure(); otelext.configure()\n" + PROGRAM
    done = run_program(program, environment(receiver.endpoint))
    assert done.stderr.splitlines() == ["streaming"]
    check_complete(receiver, done.stdout)


def test_configure_does_the_same_in_code(receiver: OtlpReceiver) -> None:
    program = "import otelext; otelext.configure(); otelext.configure()\n" + PROGRAM
    done = run_python(program, environment(receiver.endpoint))
    assert done.stderr.splitlines() == ["streaming"]
    check_complete(receiver, done.stdout)


OWN_TRACES = """
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
mine = TracerProvider(resource=Resource.create({"service.name": "mine"}))
mine.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(mine)
import otelext
otelext.configure()
assert trace.get_tracer_provider() is mine
"""


def test_configure_keeps_a_provider_of_the_users_and_adds_the_missing(receiver: OtlpReceiver) -> None:
    done = run_python(OWN_TRACES + PROGRAM, environment(receiver.endpoint))
    assert done.stderr.splitlines() == ["streaming"]
    check_complete(receiver, done.stdout)
    resources = [
        *(span.resource for span in receiver.spans),
        *(point.resource for point in receiver.points),
        *(record.resource for record in receiver.logs),
    ]
    assert {resource["service.name"] for resource in resources} == {"mine"}, "what is added is the same service"
    assert len({resource["service.instance.id"] for resource in resources}) == 1


THIRD_PARTY = """
from opentelemetry import metrics, trace
class Theirs(metrics.NoOpMeterProvider): pass
metrics.set_meter_provider(Theirs())
import otelext
otelext.configure()
otelext.configure()
with otelext.inference("chat", model="m"): pass
"""


def test_a_third_partys_provider_stays_and_what_it_lacks_is_said_once(receiver: OtlpReceiver) -> None:
    done = run_python(THIRD_PARTY, plain(receiver.endpoint))
    assert done.returncode == 0
    unredacted, lacking = done.stderr.splitlines()
    assert "Theirs" in unredacted
    assert "can't be redacted" in unredacted
    assert "Theirs" in lacking
    assert "bounded attributes" in lacking
    assert [span.name for span in receiver.spans] == ["chat m"]


CONFIG_FILE = """
file_format: "1.0"
resource:
  attributes:
    - {{name: service.name, value: from-the-file}}
tracer_provider:
  processors:
    - batch: {{exporter: {{otlp_http: {{endpoint: "{endpoint}/v1/traces"}}}}}}
meter_provider:
  readers:
    - periodic: {{interval: 200, exporter: {{otlp_http: {{endpoint: "{endpoint}/v1/metrics"}}}}}}
logger_provider:
  processors:
    - batch: {{exporter: {{otlp_http: {{endpoint: "{endpoint}/v1/logs"}}}}}}
"""


@pytest.mark.parametrize("in_code", [False, True], ids=["command", "configure()"])
def test_a_declarative_file_is_completed(receiver: OtlpReceiver, tmp_path: Path, in_code: bool) -> None:
    path = tmp_path / "otel.yaml"
    path.write_text(CONFIG_FILE.format(endpoint=receiver.endpoint))
    env = environment("http://127.0.0.1:1", OTEL_CONFIG_FILE=str(path))
    program = ("import otelext; otelext.configure()\n" if in_code else "") + PROGRAM
    done = run_python(program, env) if in_code else run_program(program, env)
    assert done.stderr.splitlines() == ["streaming"]
    check_complete(receiver, done.stdout)
    assert {span.resource["service.name"] for span in receiver.spans} == {"from-the-file"}


@pytest.mark.parametrize("content", [None, "file_format: [", "nonsense: true"], ids=["missing", "no YAML", "invalid"])
def test_a_file_that_cant_be_used_is_one_line_and_the_service_runs(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "otel.yaml"
    if content is not None:
        path.write_text(content)
    env = plain("http://127.0.0.1:1", OTEL_CONFIG_FILE=str(path))
    done = run_program("import otelext\nwith otelext.inference('chat'): print('served')", env)
    assert (done.returncode, done.stdout) == (0, "served\n")
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("otelext:"))
    assert line.startswith(f"otelext: OTEL_CONFIG_FILE={path} can't be used")
    assert "Failed to auto initialize" not in done.stderr


@pytest.mark.parametrize("headers", ["token=s3cret", "[{name: token, value: [s3cret]}]"])
def test_what_is_said_of_a_file_that_cant_be_used_quotes_none_of_it(tmp_path: Path, headers: str) -> None:
    path = tmp_path / "otel.yaml"
    exporter = f'{{otlp_http: {{endpoint: "http://x", headers: {headers}}}}}'
    path.write_text(f"file_format: '1.0'\ntracer_provider: {{processors: [batch: {{exporter: {exporter}}}]}}\n")
    done = run_python("import otelext; otelext.configure()", plain("http://127.0.0.1:1", OTEL_CONFIG_FILE=str(path)))
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("otelext:"))
    assert "tracer_provider -> processors -> 0 -> batch -> exporter -> otlp_http -> headers" in line
    assert "s3cret" not in done.stderr


BROKEN_INSTRUMENTATION = """
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor

class Broken(BaseInstrumentor):
    def instrumentation_dependencies(self):
        return []

    def _instrument(self, **kwargs):
        raise RuntimeError("broken on purpose")
"""


def test_an_instrumentation_that_fails_takes_no_other_with_it(receiver: OtlpReceiver, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN_INSTRUMENTATION)
    info = tmp_path / "aaa_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: aaa-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[opentelemetry_instrumentor]\naaa_broken = broken:Broken\n")
    done = run_program(PROGRAM, environment(receiver.endpoint, PYTHONPATH=str(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert "otelext: the instrumentation 'aaa_broken' failed and is left out" in done.stderr
    check_complete(receiver, done.stdout)
