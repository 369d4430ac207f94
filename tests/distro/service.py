"""The service that the zero-code tests run: FastAPI with streams of both kinds, JSON answers, uploads and SQL."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import time
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool
from starlette.middleware.base import BaseHTTPMiddleware

import otelext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from fastapi import Response

app = FastAPI()
engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})


@app.get("/healthz")
async def healthz() -> dict[str, int]:
    return {"pid": os.getpid()}


@otelext.inference("chat", model="m")
async def tokens(count: int, pause: float) -> AsyncIterator[str]:
    for index in range(count):
        await asyncio.sleep(pause)
        yield f"token {index} "


@otelext.inference("chat", model="m")
def blocking_tokens(count: int, pause: float) -> Iterator[str]:
    for index in range(count):
        time.sleep(pause)
        yield f"token {index} "


@app.get("/stream")
async def stream(count: int = 5, pause: float = 0.0) -> StreamingResponse:
    return StreamingResponse(tokens(count, pause), media_type="text/plain")


@app.get("/blocking-stream")
def blocking_stream(count: int = 5, pause: float = 0.0) -> StreamingResponse:
    return StreamingResponse(blocking_tokens(count, pause), media_type="text/plain")


@otelext.inference("chat", model="m")
async def whole_answer(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "answer"


@app.get("/answer")
async def answer(seconds: float = 0.0) -> dict[str, Any]:
    return {"answer": await whole_answer(seconds), "pid": os.getpid()}


@app.get("/cancelled-answer")
async def cancelled_answer(request: Request) -> dict[str, Any]:
    task = asyncio.create_task(whole_answer(30))
    while not task.done():
        if await request.is_disconnected():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            return {}
        await asyncio.sleep(0.02)
    return {"answer": task.result()}


@app.post("/upload")
async def upload(request: Request) -> dict[str, Any]:
    body = await request.body()
    return {"bytes": len(body), "answer": await whole_answer(0)}


@otelext.inference("chat", model="m")
def query(secret: str) -> int:
    with otelext.stage("fetch"), engine.connect() as connection:
        rows = connection.execute(text("SELECT length(:secret) AS n"), {"secret": secret})
        return int(rows.scalar_one())


@app.get("/sql")
def sql(secret: str) -> dict[str, int]:
    return {"length": query(secret)}


@app.get("/log")
async def log() -> dict[str, str]:
    logging.getLogger("service").warning("said in a request")
    return {}


@app.get("/error")
async def error() -> dict[str, str]:
    raise RuntimeError("as asked for")


@app.get("/own-id")
async def own_id() -> Response:
    return StreamingResponse(iter(["x"]), headers={"X-Request-ID": "of-the-application"})


mounted = FastAPI()


@mounted.get("/answer")
async def mounted_answer() -> dict[str, Any]:
    return {"answer": await whole_answer(0)}


app.mount("/mounted", mounted)


async def _through(request: Request, call_next: Any) -> Any:
    return await call_next(request)


behind = FastAPI()
behind.add_middleware(BaseHTTPMiddleware, dispatch=_through)
behind.add_api_route("/healthz", healthz)
behind.add_api_route("/stream", stream)


class NewerServer:
    """Makes an application believe in a server that follows version 2.4: `send` raises once the client is gone."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        gone = asyncio.Event()

        async def listen() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            gone.set()

        async def send_or_raise(message: Any) -> None:
            if gone.is_set():
                raise OSError("client is gone")
            await send(message)

        async def empty() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        listener = asyncio.create_task(listen())
        try:
            await self.inner({**scope, "asgi": {**scope["asgi"], "spec_version": "2.4"}}, empty, send_or_raise)
        finally:
            listener.cancel()


newer = NewerServer(app)


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """An application of no framework that anybody instruments."""
    if scope["type"] == "http":
        response = (await stream(100_000, 0.01)) if scope["path"] == "/stream" else JSONResponse(await healthz())
        await response(scope, receive, send)


def wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The same answer and the same stream for gunicorn's own workers."""
    if environ["PATH_INFO"] == "/stream":
        start_response("200 OK", [("content-type", "text/plain")])
        return (token.encode() for token in blocking_tokens(100_000, 0.01))
    if environ["PATH_INFO"] == "/answer":
        with otelext.inference("chat", model="m"):
            pass
    start_response("200 OK", [("content-type", "application/json")])
    return [json.dumps({"pid": os.getpid()}).encode()]
