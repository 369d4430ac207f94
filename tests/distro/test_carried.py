"""What runs elsewhere on behalf of a request, in threads, tasks and behind its answer, carries the request's ids."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI
from fastapi.concurrency import run_in_threadpool
from opentelemetry import baggage
from opentelemetry.context import attach, get_current
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.instrumentation.threading import ThreadingInstrumentor
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.trace import format_trace_id, get_current_span

from otelext import semconv
from otelext.asgi import OtelextMiddleware
from otelext.distro.request_log import put_first
from otelext.testing import capture

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUESTS = 20
_log = logging.getLogger("a-service")


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    backend: str = request.param
    return backend


@pytest.fixture
def exported() -> Iterator[InMemoryLogRecordExporter]:
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    assert put_first(provider)
    handler = LoggingHandler(logger_provider=provider)
    _log.addHandler(handler)
    ThreadingInstrumentor().instrument()
    try:
        with capture():
            yield exporter
    finally:
        ThreadingInstrumentor().uninstrument()
        _log.removeHandler(handler)


def log(where: str) -> None:
    _log.warning(where)


def by_a_thread(pool: ThreadPoolExecutor, where: str) -> None:
    """A thread of one's own, begun in a pool's thread."""
    thread = threading.Thread(target=log, args=(where,))
    thread.start()
    thread.join()
    pool.submit(log, f"{where}, and a pool from there").result()


def service(pool: ThreadPoolExecutor) -> Any:
    app = FastAPI()

    async def later(where: str) -> None:
        await asyncio.sleep(0)
        log(where)

    @app.get("/{tenant}")
    async def answer(tenant: str, background: BackgroundTasks) -> str:
        attach(baggage.set_baggage(semconv.TENANT_ID, tenant))
        background.add_task(log, "a background task in a thread")
        background.add_task(later, "a background task")
        log("the request")
        await asyncio.to_thread(log, "asyncio's thread")
        await anyio.to_thread.run_sync(log, "anyio's thread")
        await run_in_threadpool(log, "Starlette's thread")
        await asyncio.create_task(later("a task"))
        await asyncio.get_running_loop().run_in_executor(pool, log, "an executor")
        await asyncio.wrap_future(pool.submit(log, "a pool"))
        await asyncio.wrap_future(pool.submit(by_a_thread, pool, "a thread"))
        context = get_current_span().get_span_context()
        return format_trace_id(context.trace_id)

    app.add_middleware(OtelextMiddleware)
    app.add_middleware(OpenTelemetryMiddleware)  # around ours, as the distro puts them
    return app


WHERE = {
    "the request",
    "asyncio's thread",
    "anyio's thread",
    "Starlette's thread",
    "a task",
    "an executor",
    "a pool",
    "a thread",
    "a thread, and a pool from there",
    "a background task in a thread",
    "a background task",
}


async def test_logs_of_concurrent_requests_carry_their_own_ids(exported: InMemoryLogRecordExporter) -> None:
    traces: dict[str, str] = {}

    async def ask(client: httpx.AsyncClient, number: int) -> None:
        request_id = f"request-{number:08d}"
        answer = await client.get(f"/clinic-{number}", headers={"x-request-id": request_id, "baggage": "tenant.id=x"})
        assert answer.headers["x-request-id"] == request_id
        traces[request_id] = answer.json()

    with ThreadPoolExecutor(REQUESTS + 4) as pool:
        transport = httpx.ASGITransport(service(pool))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            await asyncio.gather(*(ask(client, number) for number in range(REQUESTS)))

    found: dict[str, set[Any]] = {}
    for one in exported.get_finished_logs():
        record = one.log_record
        attributes = dict(record.attributes or {})
        assert semconv.REQUEST_ID in attributes, record.body
        request_id = str(attributes[semconv.REQUEST_ID])
        found.setdefault(request_id, set()).add(record.body)
        assert format_trace_id(record.trace_id or 0) == traces[request_id], record.body
        assert attributes[semconv.TENANT_ID] == f"clinic-{int(request_id.rpartition('-')[2])}", record.body
    assert found == {f"request-{number:08d}": WHERE for number in range(REQUESTS)}
    assert not get_current()
