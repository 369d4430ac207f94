"""A service that puts a secret in every place where a user could put one: a small function for each, named after it."""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import linecache
import logging
import os
import pathlib
import threading
import time
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import structlog
from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.responses import StreamingResponse
from opentelemetry import _logs, baggage, context, metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode, TraceState
from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

import otelext
from otelext.logs.structlog import StructlogProcessor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

SECRETS: dict[str, Any] = json.loads(pathlib.Path(os.environ["CANARY_SECRETS"]).read_text())
"""A secret for each place: this source holds none, or every f-string could be told from it."""

PLACES: dict[str, Callable[[Any], object]] = {}

log = logging.getLogger("clinic.intake")
tracer = trace.get_tracer("clinic")
meter = metrics.get_meter("clinic")
engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
visits = meter.create_counter("clinic.visits")
waits = meter.create_histogram("clinic.wait")

logging.getLogger().setLevel(logging.INFO)
logging.captureWarnings(True)
structlog.configure(
    processors=[structlog.stdlib.add_log_level, structlog.processors.KeyValueRenderer()],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=False,
)
events = structlog.get_logger("clinic.events")
ours = structlog.wrap_logger(
    None,
    processors=[structlog.contextvars.merge_contextvars, StructlogProcessor()],
    wrapper_class=structlog.make_filtering_bound_logger(0),
)

app = FastAPI()


def place(function: Callable[[Any], object]) -> Callable[[Any], object]:
    """A place: the function's name, in words, names its secret."""
    PLACES[function.__name__.replace("_", " ")] = function
    return function


# --- what comes with a request --------------------------------------------------------------------


@app.get("/healthz")
async def healthz() -> dict[str, str]:
    return {"status": "ok"}


@otelext.inference("chat", model="clinic-vl")
async def read(pages: list[bytes], prompt: str, answer: str) -> AsyncIterator[str]:
    inference = otelext.current_inference()
    if inference is not None:
        inference.set_input(images=len(pages), pages=len(pages), text_tokens=len(prompt.split()))
    with otelext.stage("preprocess"):
        await asyncio.sleep(0.001)
    with otelext.stage("prefill"):
        await asyncio.sleep(0.001)
    for word in answer.split():
        yield word


@app.post("/documents/{document_id}")
async def document(
    document_id: str, request: Request, page: Annotated[UploadFile, File()], prompt: Annotated[str, Form()]
) -> StreamingResponse:
    log.info("a document came")
    log.warning("document %s, page %s", document_id, page.filename)
    answer = f"{SECRETS['response text']} in {len(request.headers)} words"
    return StreamingResponse(read([await page.read()], prompt, answer), media_type="text/plain")


@app.get("/fails")
async def fails() -> None:
    raise RuntimeError(SECRETS["unhandled error"])


@app.post("/places")
def places() -> dict[str, str]:
    """Go to every place; what went wrong is said of each."""
    told = {}
    for name, function in PLACES.items():
        try:
            function(SECRETS[name])
        except Exception as error:  # noqa: BLE001  # the others are tried as well
            told[name] = f"{type(error).__name__}: {error}"
        else:
            told[name] = ""
    return told


@app.post("/loose-task")
async def loose_task() -> None:
    async def fail() -> None:
        raise LookupError(SECRETS["task that nobody awaits"])

    task = asyncio.create_task(fail(), name=SECRETS["task name"])
    await asyncio.sleep(0.01)
    del task
    gc.collect()


@app.post("/named-task")
async def named_task() -> None:
    async def say() -> None:
        log.warning("said in a task")

    await asyncio.create_task(say(), name=SECRETS["task name"])


# --- spans ----------------------------------------------------------------------------------------


@place
def span_attribute(secret: str) -> None:
    with tracer.start_as_current_span("admit") as span:
        span.set_attribute("clinic.note", secret)


@place
def allowed_span_attribute(secret: str) -> None:
    with tracer.start_as_current_span("admit") as span:
        span.set_attribute("clinic.allowed", secret)


@place
def attribute_of_an_inference(secret: str) -> None:
    with otelext.inference("chat", model="clinic-vl") as inference:
        inference.set_attribute("clinic.diagnosis", secret)


@place
def attribute_key(secret: str) -> None:
    with tracer.start_as_current_span("admit", attributes={f"clinic.{secret}": True}):
        pass


@place
def attribute_of_a_wrong_type(secret: str) -> None:
    with tracer.start_as_current_span("admit") as span:
        span.set_attribute(secret, object())  # type: ignore[arg-type]
        span.set_attribute("clinic.patient", {"name": secret})


@place
def list_value(secret: str) -> None:
    with tracer.start_as_current_span("admit") as span:
        span.set_attribute("clinic.names", ["one", secret])


@place
def bytes_value(secret: str) -> None:
    with tracer.start_as_current_span("admit") as span:
        span.set_attribute("clinic.scan", secret.encode())


@place
def very_long_string(secret: str) -> None:
    with tracer.start_as_current_span("admit") as span:
        span.set_attribute("clinic.text", f"{'x' * 20_000}{secret}{'y' * 20_000}")


@place
def resident_number_as_a_span_attribute(secret: int) -> None:
    with tracer.start_as_current_span("admit") as span:
        span.set_attribute("clinic.resident_number", secret)


@place
def value_of_a_standard_attribute(secret: str) -> None:
    with tracer.start_as_current_span("call", kind=SpanKind.CLIENT) as span:
        span.set_attribute("url.full", f"https://clinic.example/patients/{secret}?name={secret}")
        span.set_attribute("http.request.header.authorization", [f"Bearer {secret}"])


@place
def span_name(secret: str) -> None:
    with tracer.start_as_current_span(f"admit {secret}"):
        pass


@place
def event_name(secret: str) -> None:
    with tracer.start_as_current_span("admit") as span:
        span.add_event(f"seen {secret}")


@place
def event_attribute(secret: str) -> None:
    with tracer.start_as_current_span("admit") as span:
        span.add_event("seen", {"clinic.doctor": secret})


@place
def amount_as_an_event_attribute(secret: float) -> None:
    with tracer.start_as_current_span("admit") as span:
        span.add_event("paid", {"clinic.amount": secret})


@place
def link_attribute(secret: str) -> None:
    with tracer.start_as_current_span("admit") as span:
        span.add_link(span.get_span_context(), {"clinic.referral": secret})


@place
def link_trace_state(secret: str) -> None:
    with tracer.start_as_current_span("admit") as span:
        linked = span.get_span_context()
        state = TraceState([("clinic", secret)])
        span.add_link(
            trace.SpanContext(linked.trace_id, linked.span_id, is_remote=True, trace_state=state), {"clinic.n": 1}
        )


@place
def status_description(secret: str) -> None:
    with tracer.start_as_current_span("admit") as span:
        span.set_status(Status(StatusCode.ERROR, f"no bed for {secret}"))


@place
def tracer_name(secret: str) -> None:
    with trace.get_tracer(f"clinic.{secret}").start_as_current_span("admit"):
        pass


@place
def tracer_version(secret: str) -> None:
    with trace.get_tracer("clinic", secret).start_as_current_span("admit"):
        pass


@place
def schema_of_a_tracer(secret: str) -> None:
    with trace.get_tracer("clinic", schema_url=f"https://clinic.example/{secret}").start_as_current_span("admit"):
        pass


@place
def scope_attribute(secret: str) -> None:
    with trace.get_tracer("clinic", attributes={"clinic.ward": secret}).start_as_current_span("admit"):
        pass


@place
def httpx_call(secret: str) -> None:
    """As `opentelemetry-instrumentation-httpx` tells of a call, which need not be installed."""
    with trace.get_tracer("opentelemetry.instrumentation.httpx").start_as_current_span(
        "GET", kind=SpanKind.CLIENT
    ) as s:
        s.set_attributes(
            {
                "http.request.method": "GET",
                "url.full": f"http://127.0.0.1/patients?name={secret}",
                "http.url": f"http://127.0.0.1/patients?name={secret}",
                "server.address": "127.0.0.1",
                "http.response.status_code": 200,
            }
        )


# --- exceptions -----------------------------------------------------------------------------------


@place
def exception_in_a_span(secret: str) -> None:
    with suppress(ValueError), tracer.start_as_current_span("admit"):
        raise ValueError(f"no such patient: {secret}")


@place
def exception_in_an_inference(secret: str) -> None:
    with suppress(ValueError), otelext.inference("chat", model="clinic-vl"):
        raise ValueError(f"not readable: {secret}")


@place
def exception_in_a_stage(secret: str) -> None:
    with suppress(ValueError), otelext.inference("chat", model="clinic-vl"), otelext.stage("prefill"):
        raise ValueError(f"not readable: {secret}")


@place
def exception_attribute(secret: str) -> None:
    with tracer.start_as_current_span("admit") as span:
        span.record_exception(ValueError("bad"), {"clinic.record": secret})


@place
def logged_exception_message(secret: str) -> None:
    try:
        raise ValueError(secret)
    except ValueError:
        log.exception("a patient was not found")


@place
def logged_exception_cause(secret: str) -> None:
    try:
        try:
            raise KeyError(secret)
        except KeyError as error:
            raise ValueError("outer") from error
    except ValueError:
        log.exception("a patient was not found, for a reason")


@place
def logged_exception_context(secret: str) -> None:
    try:
        try:
            raise KeyError(secret)
        except KeyError:
            raise ValueError("outer")  # noqa: B904  # the implicit context is the place
    except ValueError:
        log.exception("a patient was not found, while another was looked for")


@place
def logged_exception_local(secret: str) -> None:
    patient = secret
    try:
        raise ValueError(len(patient))
    except ValueError:
        log.exception("a patient's name was read")


@place
def logged_exception_note(secret: str) -> None:
    error = ValueError("with a note")
    error.__notes__ = [secret]  # as `add_note` does from Python 3.11 on
    try:
        raise error
    except ValueError:
        log.exception("a note was taken")


@place
def logged_exception_group(secret: str) -> None:
    group: Any = getattr(__builtins__, "ExceptionGroup", None) or vars(__import__("builtins")).get("ExceptionGroup")
    error = ValueError(secret) if group is None else group(f"several, {secret}", [ValueError(secret)])
    try:
        raise error
    except Exception:
        log.exception("several went wrong")


@place
def logged_exception_argument(secret: str) -> None:
    try:
        raise ValueError(secret)
    except ValueError as error:
        log.error("could not read: %s", error)  # noqa: TRY400  # as people do


@place
def logged_exception_as_the_message(secret: str) -> None:
    log.error(ValueError(secret))


@place
def source_line_of_made_up_code(secret: str) -> None:
    source = f"def admit():\n    raise ValueError(len('{secret}'))\n"
    _run(source, "<clinic-7>", "admit", "a rule failed")


@place
def file_of_made_up_code(secret: str) -> None:
    _run("def admit():\n    raise ValueError(1)\n", f"/data/{secret}.py", "admit", "a rule failed")


@place
def function_of_made_up_code(secret: str) -> None:
    _run(f"def {secret}():\n    raise ValueError(1)\n", "<clinic-8>", secret, "a rule failed")


def _run(source: str, filename: str, name: str, message: str) -> None:
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    scope: dict[str, Any] = {}
    exec(compile(source, filename, "exec"), scope)  # rule engines and notebooks do
    try:
        scope[name]()
    except ValueError:
        log.error(message, exc_info=True)  # noqa: G201  # it is handled


# --- logs -----------------------------------------------------------------------------------------


@place
def log_argument(secret: str) -> None:
    log.warning("patient %s came", secret)


@place
def log_argument_in_Korean(secret: str) -> None:  # noqa: N802  # a language's name
    log.warning("환자 %s 님이 접수했습니다", secret)


@place
def log_mapping_argument(secret: str) -> None:
    log.warning("patient %(name)s came", {"name": secret})


@place
def resident_number_as_a_log_argument(secret: int) -> None:
    log.warning("patient number %d", secret)


@place
def amount_as_a_log_argument(secret: float) -> None:
    log.warning("paid %.2f", secret)


@place
def object_that_fails_to_be_shown(secret: str) -> None:
    class Patient:
        def __str__(self) -> str:
            raise ValueError(secret)

        __repr__ = __str__

    log.warning("patient %s came", Patient())
    # The SDK's own span raises what the object does.
    with suppress(ValueError), tracer.start_as_current_span("admit") as span:
        span.set_attribute("clinic.object", Patient())  # type: ignore[arg-type]


@place
def log_argument_that_does_not_fit(secret: str) -> None:
    log.warning("patient came", secret)  # noqa: PLE1205  # the mistake is the place


@place
def log_f_string(secret: str) -> None:
    log.warning(f"patient {secret} came")  # noqa: G004  # as people do


@place
def log_f_string_in_Korean(secret: str) -> None:  # noqa: N802  # a language's name
    log.warning(f"환자 {secret} 님이 접수했습니다")  # noqa: G004  # as people do


@place
def log_concatenation(secret: str) -> None:
    log.warning("patient " + secret)  # noqa: G003  # as people do


@place
def log_format(secret: str) -> None:
    log.warning("patient {} came".format(secret))  # noqa: G001, UP032  # as people do


@place
def log_percent(secret: str) -> None:
    log.warning("patient %s came" % secret)  # noqa: G002, UP031  # as people do


@place
def log_of_the_secret_alone(secret: str) -> None:
    log.warning(secret)


@place
def log_extra_field(secret: str) -> None:
    log.warning("a field came along", extra={"patient": secret})


@place
def amount_as_a_log_extra_field(secret: float) -> None:
    log.warning("an amount came along", extra={"amount": secret})


@place
def log_extra_mapping(secret: str) -> None:
    log.warning("a mapping came along", extra={"patient": {"name": [secret]}})


@place
def allowed_log_extra_field(secret: str) -> None:
    log.warning("an allowed field came along", extra={"clinic.allowed": secret})


@place
def log_extra_key(secret: str) -> None:
    log.warning("a key came along", extra={secret: 1})


@place
def stack_info(secret: str) -> None:
    source = f"def admit(log):\n    log.warning('with a stack', stack_info=True)  # {secret}\n"
    linecache.cache["<clinic-9>"] = (len(source), None, source.splitlines(keepends=True), "<clinic-9>")
    scope: dict[str, Any] = {}
    exec(compile(source, "<clinic-9>", "exec"), scope)  # rule engines and notebooks do
    scope["admit"](log)


@place
def logger_name(secret: str) -> None:
    logging.getLogger(f"clinic.{secret}").warning("said by a logger of its own")  # no message


@place
def log_level_name(secret: str) -> None:
    logging.addLevelName(33, secret)
    log.log(33, "said on a level of its own")


@place
def log_in_another_thread(secret: str) -> None:
    thread = threading.Thread(target=lambda: log.warning(f"in a thread: {secret}"))  # noqa: G004  # as people do
    thread.start()
    thread.join()


@place
def thread_name(secret: str) -> None:
    thread = threading.Thread(target=lambda: log.warning("said in a thread"), name=secret)
    thread.start()
    thread.join()


@place
def warning(secret: str) -> None:
    warnings.warn(f"deprecated for {secret}", stacklevel=2)


@place
def structlog_event(secret: str) -> None:
    events.warning(f"patient {secret} came")


@place
def structlog_value(secret: str) -> None:
    events.warning("a patient came", name=secret)


@place
def structlog_key(secret: str) -> None:
    events.warning("a key came", **{secret: 1})


@place
def structlog_bound_value(secret: str) -> None:
    events.bind(name=secret).warning("a bound patient came")


@place
def structlog_exception(secret: str) -> None:
    try:
        raise ValueError(secret)
    except ValueError:
        events.exception("a patient was lost")


@place
def structlog_event_by_our_processor(secret: str) -> None:
    ours.warning(f"patient {secret} came")


@place
def structlog_argument_by_our_processor(secret: str) -> None:
    ours.warning("patient %s came", secret)


@place
def structlog_value_by_our_processor(secret: str) -> None:
    ours.warning("a patient came", name=secret)


@place
def structlog_key_by_our_processor(secret: str) -> None:
    ours.warning("a key came", **{secret: 1})


@place
def structlog_context_by_our_processor(secret: str) -> None:
    with structlog.contextvars.bound_contextvars(name=secret):
        ours.warning("a patient came in a context")


@place
def structlog_exception_by_our_processor(secret: str) -> None:
    try:
        raise ValueError(secret)
    except ValueError:
        ours.exception("a patient was lost")


@place
def body_of_the_logs_API(secret: str) -> None:  # noqa: N802  # an abbreviation
    _emit(body=f"patient {secret}")
    _emit(body={"patient": [secret]})


@place
def attribute_of_the_logs_API(secret: str) -> None:  # noqa: N802  # an abbreviation
    _emit(body="patient", attributes={"clinic.patient": secret})


@place
def event_name_of_the_logs_API(secret: str) -> None:  # noqa: N802  # an abbreviation
    _emit(body="patient", event_name=f"clinic.{secret}")


@place
def severity_text_of_the_logs_API(secret: str) -> None:  # noqa: N802  # an abbreviation
    _emit(body="patient", severity_text=secret)


def _emit(**fields: Any) -> None:
    record = _logs.LogRecord(**{"timestamp": time.time_ns(), "severity_number": _logs.SeverityNumber.WARN, **fields})
    _logs.get_logger("clinic.records").emit(record)


@place
def otelexts_own_log_line(secret: str) -> None:
    with otelext.inference("chat", model="clinic-vl") as inference:
        inference.first_token()
        inference.set_model(secret)
        inference.set_outcome(secret)  # type: ignore[arg-type]
        inference.set_input(images=secret)  # type: ignore[arg-type]


# --- metrics --------------------------------------------------------------------------------------


@place
def metric_attribute(secret: str) -> None:
    visits.add(1, {"clinic.patient": secret})


@place
def metric_attribute_key(secret: str) -> None:
    visits.add(1, {f"clinic.{secret}": "x"})


@place
def resident_number_as_a_metric_attribute(secret: int) -> None:
    visits.add(1, {"clinic.resident_number": secret})


@place
def metric_attribute_of_a_histogram(secret: str) -> None:
    waits.record(1.5, {"clinic.patient": secret})


@place
def exemplar_attribute(secret: str) -> None:
    # A metric of the catalogue: the view that bounds its attributes moves the others into exemplars.
    meter.create_histogram("vlm.stage.duration", unit="s").record(1.5, {"clinic.patient": secret})


@place
def attribute_of_an_observable(secret: str) -> None:
    observe = functools.partial(_observed, secret)
    meter.create_observable_gauge("clinic.beds", callbacks=[observe])


def _observed(secret: str, _: object) -> Iterator[metrics.Observation]:
    yield metrics.Observation(1, {"clinic.ward": secret})


@place
def metric_description(secret: str) -> None:
    meter.create_counter("clinic.described", description=f"visits of {secret}").add(1)


@place
def metric_name(secret: str) -> None:
    meter.create_counter(f"clinic.{secret}").add(1)


@place
def metric_unit(secret: str) -> None:
    meter.create_counter("clinic.measured", unit=secret).add(1)


@place
def meter_name(secret: str) -> None:
    metrics.get_meter(f"clinic.{secret}").create_counter("clinic.metered").add(1)


# --- the database ---------------------------------------------------------------------------------


@place
def SQL_literal(secret: str) -> None:  # noqa: N802  # an abbreviation
    _ask(f"SELECT '{secret}' AS name")


@place
def SQL_number(secret: int) -> None:  # noqa: N802  # an abbreviation
    _ask(f"SELECT 1 WHERE {secret} > 0")


@place
def SQL_parameter(secret: str) -> None:  # noqa: N802  # an abbreviation
    _ask("SELECT :name AS name", name=secret)


@place
def SQL_comment(secret: str) -> None:  # noqa: N802  # an abbreviation
    _ask(f"SELECT 1 /* for {secret} */")


@place
def SQL_identifier(secret: str) -> None:  # noqa: N802  # an abbreviation
    _ask(f'SELECT 1 AS "{secret}"')


@place
def SQL_error(secret: str) -> None:  # noqa: N802  # an abbreviation
    try:
        _ask("SELECT name FROM missing WHERE name = :name", name=secret)
    except SQLAlchemyError:
        log.exception("a query failed")


def _ask(statement: str, **parameters: Any) -> None:
    with engine.connect() as connection:
        connection.execute(text(statement), parameters).all()


# --- baggage and ids ------------------------------------------------------------------------------


@place
def baggage_of_no_named_key(secret: str) -> None:
    with _baggage("clinic.patient", secret):
        _one_of_each()


@place
def tenant_that_is_not_declared(secret: str) -> None:
    with _baggage("tenant.id", secret):
        _one_of_each()
    with tracer.start_as_current_span("admit", attributes={"tenant.id": secret}):
        visits.add(1, {"tenant.id": secret})


@place
def user_id(secret: str) -> None:
    with _baggage("user.id", secret):
        _one_of_each()
    with tracer.start_as_current_span("admit", attributes={"user.id": secret}):
        visits.add(1, {"user.id": secret})


@place
def request_id_set_inside(secret: str) -> None:
    with _baggage("request.id", f"{secret}/{secret}"):
        _one_of_each()
    with tracer.start_as_current_span("admit", attributes={"request.id": f"{secret}/{secret}"}):
        log.warning("said with an id of its own", extra={"request.id": f"{secret}/{secret}"})


def _one_of_each() -> None:
    log.warning("said with baggage")
    with otelext.inference("chat", model="clinic-vl"), tracer.start_as_current_span("admit"):
        visits.add(1)


@contextmanager
def _baggage(key: str, value: str) -> Iterator[None]:
    token = context.attach(baggage.set_baggage(key, value))
    try:
        yield
    finally:
        context.detach(token)


# --- other libraries ------------------------------------------------------------------------------


@place
def prompt_of_the_openai_client(secret: str) -> None:
    import openai  # a second of its own

    with openai.OpenAI(base_url=os.environ["CANARY_OPENAI"], api_key="none", max_retries=0) as client:
        for stream in (False, True):
            answer: Any = client.chat.completions.create(
                model="tiny-vl", messages=[{"role": "user", "content": f"Who is {secret}?"}], stream=stream
            )
            if stream:
                list(answer)


@place
def error_of_the_openai_client(secret: str) -> None:
    import openai  # a second of its own

    server = os.environ["CANARY_OPENAI"]
    with suppress(openai.NotFoundError), openai.OpenAI(base_url=server, api_key=secret, max_retries=0) as client:
        client.chat.completions.create(model="none", messages=[{"role": "user", "content": "Who?"}], user=secret)
