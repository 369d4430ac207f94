"""The query API: the report, the list of inferences, and single traces, as JSON."""

from __future__ import annotations

import html
import re
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from otelext.viewer import inferences
from otelext.viewer.errors import QueryError
from otelext.viewer.hosts import HostCheck
from otelext.viewer.quantities import parse_duration
from otelext.viewer.report import SLOWEST, build_report
from otelext.viewer.schema import SCHEMA_VERSION
from otelext.viewer.selection import Selection, check_services, known_services

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from otelext.viewer.store import Store

_MOST_A_PAGE: Final = 1_000
_MOST_SLOWEST: Final = 50
_TRACE_ID: Final = re.compile(r"[0-9a-f]{32}")
_WHOLE: Final = re.compile(r"[0-9]{1,9}")
_CURSOR: Final = re.compile(r"([0-9]{1,19})-([0-9a-f]{16})")

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>otelext viewer</title>
<body>
<h1>otelext viewer</h1>
<p>It is receiving. In a terminal, <code>otelext report --url {url}</code> shows where the time of your requests went.</p>
<p>As JSON: <a href="/api/report">report</a>, <a href="/api/inferences">inferences</a>,
<a href="/healthz">health</a>.</p>
</body>
</html>
"""


def api_app(store: Store, host: str, otlp: dict[str, str]) -> Starlette:
    """The ASGI application of the query API.

    Args:
        store: What is asked.
        host: Host that the server listens on, which `Host` headers may name.
        otlp: Addresses that OTLP is received at, told by `/healthz`.
    """
    asked: tuple[tuple[str, Callable[[Store, Request], Any]], ...] = (
        ("/api/report", partial(_report, otlp["http"])),
        ("/api/inferences", _inferences),
        ("/api/traces/{trace_id}", _trace),
    )
    routes = [Route(path, _answer(store, question)) for path, question in asked]

    async def health(_: Request) -> Response:
        return JSONResponse(
            {"status": "ok", "schema_version": SCHEMA_VERSION, "waiting_rows": store.waiting_rows, "otlp": otlp}
        )

    async def start(request: Request) -> Response:
        return HTMLResponse(_PAGE.format(url=html.escape(f"http://{request.headers['host']}")))

    routes += [Route("/healthz", health), Route("/", start)]
    return Starlette(routes=routes, middleware=[Middleware(HostCheck, bound=host)])


def _answer(store: Store, question: Callable[[Store, Request], Any]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            answer = await run_in_threadpool(question, store, request)
        except QueryError as error:
            return JSONResponse({"error": str(error)}, 400)
        if answer is None:
            return JSONResponse({"error": f"nothing is known of {request.url.path}"}, 404)
        return JSONResponse(answer)

    return endpoint


def _report(otlp: str, store: Store, request: Request) -> Any:
    slowest = _whole(request, "slowest", SLOWEST, _MOST_SLOWEST)
    with store.reading() as reader:
        return build_report(
            reader, _since(request, "1h"), slowest, services=request.query_params.getlist("service"), otlp=otlp
        )


def _inferences(store: Store, request: Request) -> Any:
    limit = _whole(request, "limit", 100, _MOST_A_PAGE)
    cursor = request.query_params.get("cursor")
    before = None
    if cursor is not None:
        match = _CURSOR.fullmatch(cursor)
        if match is None:
            raise QueryError(f"cursor is {cursor[:64]!r}, must be the `next` of an answer before")
        before = (int(match[1]), match[2])
    since_s = _since(request, "all")
    now_ns = time.time_ns()
    since_ns = None if since_s is None else now_ns - int(since_s * 1e9)
    services = request.query_params.getlist("service")
    with store.reading() as reader:
        check_services(services, known_services(reader))
        found = inferences.page(
            reader,
            Selection(since_ns, 2**63 - 1, tuple(services)),
            limit=limit,
            before=before,
            model=request.query_params.get("model"),
            outcome=request.query_params.get("outcome"),
        )
    following = f"{found[-1]['end_ns']}-{found[-1]['span_id']}" if len(found) == limit else None
    return {"inferences": found, "next": following}


def _trace(store: Store, request: Request) -> Any:
    trace_id = request.path_params["trace_id"].lower()
    if not _TRACE_ID.fullmatch(trace_id):
        raise QueryError(f"trace id is {trace_id[:64]!r}, must be 32 hexadecimal digits")
    with store.reading() as reader:
        spans, logs = inferences.trace(reader, trace_id), inferences.logs(reader, trace_id)
    return {"trace_id": trace_id, "spans": spans, "logs": logs} if spans or logs else None


def _since(request: Request, default: str) -> float | None:
    text = request.query_params.get("since", default)
    if text == "all":
        return None
    try:
        return parse_duration(text)
    except ValueError as error:
        raise QueryError(f"since: {error}") from error


def _whole(request: Request, name: str, default: int, most: int) -> int:
    text = request.query_params.get(name, str(default))
    if not _WHOLE.fullmatch(text) or not 1 <= int(text) <= most:
        raise QueryError(f"{name} is {text[:64]!r}, must be a whole number from 1 to {most}")
    return int(text)
