"""Every line carries the ids of the request that caused it, wherever it was logged."""

from __future__ import annotations

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context, attach, get_current, set_value
from opentelemetry.instrumentation.threading import ThreadingInstrumentor

import otelext
from otelext import semconv
from otelext.asgi import OtelextMiddleware
from otelext.capture.context import REQUEST_KEY
from otelext.capture.request import Request
from otelext.testing import capture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.testing import Captured
    from tests.logs.conftest import Logged

REQUESTS = 200


@pytest.fixture
def captured() -> Iterator[Captured]:
    with capture() as found:
        yield found


@pytest.fixture
def threading_instrumented() -> Iterator[None]:
    ThreadingInstrumentor().instrument()
    yield
    ThreadingInstrumentor().uninstrument()


def enter(number: int) -> None:
    """As the middleware does when a request comes in."""
    attach(set_value(REQUEST_KEY, Request(0, f"{number:016x}"), get_current()))


def say(logged: Logged, number: int) -> None:
    logged.logger.info("a line", extra={"vlm.input.pages": number})


def mine(line: dict[str, Any]) -> tuple[Any, ...]:
    return line[semconv.REQUEST_ID], line["trace_id"]


async def test_two_hundred_concurrent_requests_keep_their_ids_apart(logged: Logged, captured: Captured) -> None:
    tracer = trace.get_tracer("server")
    traces: dict[int, str] = {}

    async def request(number: int) -> None:
        enter(number)
        chance = random.Random(number)
        with tracer.start_as_current_span("POST /answers") as span:
            traces[number] = trace.format_trace_id(span.get_span_context().trace_id)
            say(logged, number)
            with otelext.inference("chat", model=f"model-{number % 7}"):
                for stage in ("prefill", "decode"):
                    with otelext.stage(stage):
                        for _ in range(chance.randrange(1, 5)):
                            await asyncio.sleep(0)
                            say(logged, number)
                background = asyncio.create_task(in_background(number))
                await asyncio.to_thread(say, logged, number)
            await background
            say(logged, number)

    async def in_background(number: int) -> None:
        await asyncio.sleep(0)
        say(logged, number)

    await asyncio.gather(*(asyncio.create_task(request(number)) for number in range(REQUESTS)))
    lines = logged.lines
    assert len(lines) >= REQUESTS * 6
    for line in lines:
        number = line["vlm.input.pages"]
        assert mine(line) == (f"{number:016x}", traces[number])
        assert line.get(semconv.REQUEST_MODEL, f"model-{number % 7}") == f"model-{number % 7}"
    for record in logged.records:
        number = record.attributes["vlm.input.pages"]
        assert record.attributes[semconv.REQUEST_ID] == f"{number:016x}"
        assert trace.format_trace_id(record.trace_id) == traces[number]
    assert {line.get(semconv.STAGE) for line in lines} == {None, "prefill", "decode"}


@pytest.mark.usefixtures("threading_instrumented")
async def test_a_line_of_a_thread_pool_belongs_to_the_request_that_asked(logged: Logged, captured: Captured) -> None:
    tracer = trace.get_tracer("server")
    traces: dict[int, str] = {}
    with ThreadPoolExecutor(4) as pool:

        async def request(number: int) -> None:
            enter(number)
            with tracer.start_as_current_span("POST /answers") as span:
                traces[number] = trace.format_trace_id(span.get_span_context().trace_id)
                futures = [pool.submit(say, logged, number) for _ in range(3)]
                await asyncio.sleep(0)
                await asyncio.gather(*map(asyncio.wrap_future, futures))
                thread = threading.Thread(target=say, args=(logged, number))
                thread.start()
                await asyncio.to_thread(thread.join)

        await asyncio.gather(*(asyncio.create_task(request(number)) for number in range(40)))
    assert len(logged.lines) == 40 * 4
    for line in logged.lines:
        number = line["vlm.input.pages"]
        assert mine(line) == (f"{number:016x}", traces[number])


async def test_a_servers_line_about_an_exception_belongs_to_the_request_that_raised_it(
    logged: Logged, captured: Captured
) -> None:
    tracer = trace.get_tracer("server")
    traces: dict[int, str] = {}
    changed: dict[str, object] = {}
    shared = ValueError("one object that several requests raise")

    async def application(scope: Any, *_: Any) -> None:
        await asyncio.sleep(0)
        raise shared if scope["number"] % 2 else ValueError(scope["number"])

    middleware = OtelextMiddleware(application)

    async def instrumented(scope: Any) -> None:
        with tracer.start_as_current_span("GET /answers") as span:
            traces[scope["number"]] = trace.format_trace_id(span.get_span_context().trace_id)
            await middleware(scope, None, None)  # type: ignore[arg-type]  # neither is called

    async def server(number: int) -> None:
        headers = [(b"x-request-id", f"{number:016x}".encode())]
        try:
            await instrumented({"type": "http", "headers": headers, "number": number})
        except ValueError as error:
            changed.update(vars(error))
            logged.logger.exception("the application failed\n", extra={"vlm.input.pages": number})
            try:
                raise OSError
            except OSError:
                logged.logger.exception("something else", extra={"vlm.input.pages": number})

    await asyncio.gather(*(asyncio.create_task(server(number)) for number in range(40)))
    assert not changed, "the exception stays as it was"
    failed = [line for line in logged.lines if line["body"] == "the application failed"]
    assert len(failed) == 40
    for line in failed:
        number = line["vlm.input.pages"]
        assert mine(line) == (f"{number:016x}", traces[number])
    others = [line for line in logged.lines if line["body"] == "something else"]
    assert len(others) == 40
    assert not any(semconv.REQUEST_ID in line or "trace_id" in line for line in others)
    for line, record in zip(logged.lines, logged.records, strict=True):
        assert line.get("trace_id", "0" * 32) == trace.format_trace_id(record.trace_id or 0)
        assert line.get(semconv.REQUEST_ID) == record.attributes.get(semconv.REQUEST_ID)


async def test_a_servers_line_within_a_span_of_its_own_keeps_that(logged: Logged, captured: Captured) -> None:
    async def application(*_: Any) -> None:
        raise ValueError

    tracer = trace.get_tracer("server")
    other = trace.INVALID_SPAN
    with tracer.start_as_current_span("serve") as span:
        try:
            await OtelextMiddleware(application)({"type": "http", "headers": []}, None, None)  # type: ignore[arg-type]
        except ValueError:
            logged.logger.exception("the application failed")
            with tracer.start_as_current_span("report", context=Context()) as other:
                logged.logger.exception("reported elsewhere")
    first, second = logged.lines
    assert first["trace_id"] == trace.format_trace_id(span.get_span_context().trace_id)
    assert len(first[semconv.REQUEST_ID]) == 32
    assert second["trace_id"] == trace.format_trace_id(other.get_span_context().trace_id)
