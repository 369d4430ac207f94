"""A Celery task carries the ids of the request that caused it: a real worker takes real messages."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.distro.processes import BIN, plain, run_program

if TYPE_CHECKING:
    from pathlib import Path

    from tests.otlp_receiver import OtlpReceiver

pytestmark = pytest.mark.skipif(importlib.util.find_spec("celery") is None, reason="celery is not installed")

SERVICE = """
import importlib, json, os, sys
from opentelemetry import baggage, trace
from opentelemetry.context import Context, attach, detach, get_current, set_value
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from otelext.capture.baggage import from_outside, read
from otelext.capture.context import REQUEST_KEY
from otelext.capture.request import Request, request_of
from otelext.distro import baggage as settings
from otelext.distro import celery as ours
from otelext.distro.config import Config

exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
settings.prepare(Config())

HOW = os.environ.get("HOW", "alone")
folder = os.environ["FOLDER"]

def instrument():
    from opentelemetry.instrumentation.celery import CeleryInstrumentor
    CeleryInstrumentor().instrument()

if HOW == "instrumented before":
    instrument()
ours.prepare()
import celery
from celery.signals import worker_process_init
if HOW == "instrumented behind":
    instrument()
    ours.settle()
if HOW == "instrumented as the pool starts":
    worker_process_init.connect(lambda **_: instrument(), weak=False)

app = celery.Celery("service", broker="filesystem://", backend="file://" + folder)
app.conf.update(
    broker_transport_options={"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder + "-control"},
    worker_send_task_events=False, broker_connection_retry_on_startup=True, worker_hijack_root_logger=False,
)

def carried():
    context = get_current()
    request = request_of(context)
    return {
        "request": request and request.request_id,
        "admitted": request and request.admitted,
        "baggage": dict(read(context)),
        "trace": format(trace.get_current_span().get_span_context().trace_id, "032x"),
    }

@app.task(name="task")
def task():
    return carried()

@app.task(name="fails")
def fails():
    raise ValueError

@app.task(name="again", bind=True, max_retries=1)
def again(self):
    if not self.request.retries:
        raise self.retry(countdown=0)
    return carried()

@app.task(name="outer")
def outer():
    return task.delay().id

def of_request(number):
    context = set_value(REQUEST_KEY, Request(0, f"request-{number:08d}"), Context())
    context = from_outside(baggage.set_baggage("user.id", "from-outside", context))
    return baggage.set_baggage("diagnosis", "secret", baggage.set_baggage("tenant.id", f"clinic-{number}", context))
"""

PUBLISHES = """
from celery.result import AsyncResult

before = attach(Context())
results, expected = [], []
def publish(context, publishing):
    attach(context)
    with trace.get_tracer("a-server").start_as_current_span("POST /") as span:
        results.append(publishing())
        expected.append(format(span.get_span_context().trace_id, "032x"))
    attach(Context())

for number in range(3):
    publish(of_request(number), task.delay)
publish(of_request(3), fails.delay)
publish(of_request(4), again.delay)
publish(of_request(5), outer.delay)
publish(of_request(6), lambda: task.apply())
results.append(task.delay())
found = []
for result in results:
    value = result.get(timeout=60, propagate=False)
    if isinstance(value, str):
        value = AsyncResult(value, app=app).get(timeout=60)
    found.append(value if isinstance(value, dict) else None)
print(json.dumps({
    "found": found, "expected": expected, "left": [list(get_current()), list(ours._RUNNING)],
    "consumers": [dict(s.attributes) for s in exporter.get_finished_spans() if s.kind is trace.SpanKind.CONSUMER],
}))
"""

IN_A_THREAD = """
from celery.contrib.testing.worker import start_worker
with start_worker(app, pool=os.environ["POOL"], perform_ping_check=False, shutdown_timeout=60, concurrency=1):
    exec(compile(os.environ["PUBLISHES"], "publishes", "exec"))
"""

HOWS = ["alone", "instrumented before", "instrumented behind", "instrumented as the pool starts"]


def run(program: str, **environment: str) -> Any:
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    assert "otelext could not" not in done.stderr, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def check(printed: dict[str, Any]) -> None:
    """Each task has the ids of its own request, and nothing stays behind."""
    found, expected = printed["found"], printed["expected"]
    assert [one and one["trace"] for one in found[:-1]] == [None if i == 3 else e for i, e in enumerate(expected)]
    for number, one in enumerate(found[:6]):
        if number == 3:  # the one that failed
            assert one is None
            continue
        assert one["request"] == f"request-{number:08d}"
        assert one["admitted"], "what waits in a queue was not admitted late"
        assert one["baggage"] == {"tenant.id": f"clinic-{number}"}
    assert found[6]["request"] == "request-00000006", "what runs in the caller stays in its context"
    assert found[7]["request"] is None
    assert found[7]["baggage"] == {}
    assert printed["left"] == [[], []]


def skip_without_instrumentation(how: str) -> None:
    if how != "alone" and importlib.util.find_spec("opentelemetry.instrumentation.celery") is None:
        pytest.skip("opentelemetry-instrumentation-celery is not installed")


@pytest.mark.parametrize(
    ("how", "pool"), [("alone", "threads"), ("instrumented before", "solo"), ("instrumented behind", "threads")]
)
def test_a_task_carries_the_ids_of_its_request(how: str, pool: str, tmp_path: Path) -> None:
    skip_without_instrumentation(how)
    printed = run(SERVICE + IN_A_THREAD, HOW=how, POOL=pool, FOLDER=str(tmp_path), PUBLISHES=PUBLISHES)
    check(printed)
    consumers = printed["consumers"]
    assert len(consumers) == (0 if how == "alone" else 10)
    of_requests = [s for s in consumers if "request.id" in s]
    assert len(of_requests) == (0 if how == "alone" else 8), "the task's own span carries them too"
    for span in of_requests:
        assert span["tenant.id"] == f"clinic-{int(span['request.id'].rpartition('-')[2])}"
    assert not any("user.id" in span for span in consumers)


@pytest.mark.parametrize("how", HOWS)
def test_a_pool_of_processes_carries_them_too(how: str, tmp_path: Path) -> None:
    skip_without_instrumentation(how)
    (tmp_path / "messages").mkdir()
    (tmp_path / "service.py").write_text(SERVICE)
    environment = {**os.environ, "HOW": how, "FOLDER": str(tmp_path / "messages")}
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "service", "worker", "-P", "prefork", "-c", "1", "-l", "WARNING"],
            cwd=tmp_path,
            env=environment,
            stdout=log,
            stderr=log,
        )
        try:
            # The caller is a process of its own, instrumented in the plain way.
            caller = "alone" if how == "alone" else "instrumented behind"
            check(run(SERVICE + PUBLISHES, HOW=caller, FOLDER=environment["FOLDER"]))
        finally:
            worker.terminate()
            worker.wait(60)
    assert "otelext could not" not in (tmp_path / "log").read_text()


def test_nothing_of_celery_is_loaded_for_it() -> None:
    program = "import sys; from otelext.distro import celery; celery.prepare(); celery.settle(); assert 'celery' not in sys.modules; print('{}')"
    assert run(program) == {}


FORGED = """
ours.prepare()
from celery import signals
class Forged:
    class request:
        otelext = json.loads(os.environ["FORGED"])
signals.task_prerun.send(sender=None, task_id="1", task=Forged)
print(json.dumps([carried(), read(get_current()) is not None]))
signals.task_postrun.send(sender=None, task_id="1", task=Forged)
"""


@pytest.mark.parametrize(
    "header",
    [
        {
            "request": "a name, an amount",
            "baggage": {"tenant.id": 5, "diagnosis": "secret"},
            "trace": {"traceparent": 1},
        },
        {"request": ["x" * 32], "baggage": ["tenant.id"], "trace": "00-1-1-01"},
        {"request": None, "baggage": {"tenant.id": "x" * 257}, "trace": {"traceparent": "00-zz-zz-01"}},
        ["request"],
        "request",
        7,
    ],
)
def test_a_header_that_is_not_ours_gives_nothing(header: object, tmp_path: Path) -> None:
    found, _ = run(SERVICE + FORGED, FORGED=json.dumps(header), FOLDER=str(tmp_path))
    assert found == {"request": None, "admitted": None, "baggage": {}, "trace": "0" * 32}


LOGGING_SERVICE = """
import logging, os, sys
import celery
from celery.utils.log import get_task_logger

folder = os.environ["FOLDER"]
app = celery.Celery("logging_service", broker="filesystem://", backend="file://" + folder)
app.conf.update(
    broker_transport_options={"data_folder_in": folder, "data_folder_out": folder, "control_folder": folder + "-control"},
    worker_send_task_events=False, broker_connection_retry_on_startup=True,
)

@app.task(name="logs")
def logs():
    get_task_logger("tasks.reading").warning("page %s is blurred", 7)
    logging.getLogger("service").warning("the model is slow")
    print("printed", file=sys.stderr)
"""

CAUSES = """
import json
from logging_service import logs
from opentelemetry import trace
from opentelemetry.context import attach, get_current, set_value
from otelext.capture.context import REQUEST_KEY
from otelext.capture.request import Request

attach(set_value(REQUEST_KEY, Request(0, "request-00000001"), get_current()))
with trace.get_tracer("a-server").start_as_current_span("POST /") as span:
    result = logs.delay()
result.get(timeout=60)
print(json.dumps(format(span.get_span_context().trace_id, "032x")))
"""


@pytest.mark.parametrize("pool", ["prefork", "solo"])
def test_a_workers_lines_are_exported_and_written_with_the_ids_of_the_request(
    pool: str, receiver: OtlpReceiver, tmp_path: Path
) -> None:
    (tmp_path / "messages").mkdir()
    (tmp_path / "logging_service.py").write_text(LOGGING_SERVICE)
    env = plain(
        receiver.endpoint,
        PYTHONPATH=os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]),
        FOLDER=str(tmp_path / "messages"),
        OTELEXT_LOG_FORMAT="json",
    )
    command = [str(BIN / "opentelemetry-instrument"), "celery"]
    with (tmp_path / "log").open("wb") as log:
        worker = subprocess.Popen(
            [*command, "-A", "logging_service", "worker", "-P", pool, "-c", "1", "-l", "WARNING"],
            cwd=tmp_path,
            env=env,
            stdout=log,
            stderr=log,
        )
        try:
            caller = run_program(CAUSES, env)
            assert caller.returncode == 0, caller.stderr
            trace_id = json.loads(caller.stdout)
            bodies = ["page [redacted] is blurred", "the model is slow"]
            receiver.wait_for(lambda: {*bodies} <= {record.body for record in receiver.logs}, "the lines")
        finally:
            worker.terminate()
            worker.wait(60)
    text = (tmp_path / "log").read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    ours = [line for line in lines if line["body"] in bodies]
    assert [line["body"] for line in ours] == bodies, text
    assert [line["logger"] for line in ours] == ["tasks.reading", "service"]
    assert {line.get("trace_id") for line in ours} == {trace_id}
    assert {line.get("request.id") for line in ours} == {"request-00000001"}
    assert [line["body"] for line in lines].count("printed") == 1, "what is printed is a record, and no line of it lost"
    assert "WARNING/" in text, "Celery's own lines stay"
    exported = [record for record in receiver.logs if record.body in bodies]
    assert len(exported) == len(bodies)
    assert {record.trace_id.hex() for record in exported} == {trace_id}
    assert {record.attributes.get("request.id") for record in exported} == {"request-00000001"}
