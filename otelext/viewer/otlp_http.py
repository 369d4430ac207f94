"""OTLP/HTTP: `POST /v1/traces`, `/v1/metrics`, `/v1/logs`, in protobuf or JSON, plain or gzip.

Status codes and bodies are those of https://opentelemetry.io/docs/specs/otlp/#otlphttp-response.
"""

from __future__ import annotations

import asyncio
import zlib
from typing import TYPE_CHECKING, Final

from google.rpc import code_pb2
from google.rpc.status_pb2 import Status
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from otelext.viewer import otlp_json
from otelext.viewer.errors import BatchTooLargeError, StoreError
from otelext.viewer.signals import JSON, MAX_BODY, PROTOBUF, SIGNALS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from concurrent.futures import Future

    from google.protobuf.message import Message
    from starlette.requests import Request

    from otelext.viewer.signals import Signal
    from otelext.viewer.store import Store

RETRY_AFTER_S: Final = 1
"""When a sender that found the store busy should come again, in seconds."""

COMMIT_WITHIN_S: Final = 30.0
"""How long a sender waits for its records to be committed before it is told to come again, in seconds."""

_GZIP: Final = 31  # zlib's window bits for a gzip header
_CHUNK: Final = 1 << 18
# zlib copies what follows a member, so it sees little at a time: a body may be a million empty members.
_PIECE: Final = 1 << 12


class _TooLargeError(Exception):
    pass


def otlp_http_app(store: Store, report_port: int | None = None) -> Starlette:
    """The ASGI application that receives OTLP/HTTP into a store.

    Args:
        store: Where to keep what comes.
        report_port: Port of the report and API, told to who asks for them here.
    """

    async def elsewhere(_: Request) -> Response:
        text = f"this port receives OTLP; the report and API are at port {report_port}"
        return JSONResponse({"error": text, "report_port": report_port}, 404)

    routes = [Route(signal.path, _endpoint(signal, store), methods=["POST"]) for signal in SIGNALS]
    if report_port is not None:
        routes.append(Route("/api/{rest:path}", elsewhere))
    return Starlette(routes=routes)


def gunzip(body: bytes, limit: int = MAX_BODY) -> bytes:
    """Decompress a gzip body of one or several members.

    Args:
        body: The compressed bytes.
        limit: Bytes that may come out.

    Raises:
        ValueError: Not gzip, damaged, or cut short.
        OverflowError: More than `limit` bytes would come out; the rest was not decompressed.
    """
    parts: list[bytes] = []
    total = 0
    view = memoryview(body)
    read = 0
    while read < len(view):
        member = zlib.decompressobj(_GZIP)
        piece: bytes | memoryview = b""
        while not member.eof:
            if not piece:
                piece = view[read : read + _PIECE]
                read += len(piece)
            at_end = not piece
            try:
                part = member.decompress(piece, _CHUNK)
            except zlib.error as error:
                raise ValueError(f"the body is not gzip: {error}") from error
            piece = member.unconsumed_tail
            total += len(part)
            if total > limit:
                raise OverflowError(f"the body has more than {limit} bytes when decompressed")
            if at_end and not part and not member.eof:
                raise ValueError("the gzip body is cut short")
            parts.append(part)
        read -= len(member.unused_data)
    return b"".join(parts)


def _endpoint(signal: Signal, store: Store) -> Callable[[Request], Awaitable[Response]]:
    async def export(request: Request) -> Response:
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type not in {PROTOBUF, JSON}:
            return PlainTextResponse(
                f"content type {content_type or '(none)'} is not supported, must be {PROTOBUF} or {JSON}\n", 415
            )
        encoding = request.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in {"identity", "gzip"}:
            text = f"content encoding {encoding} is not supported, must be gzip or none"
            return _failure(415, code_pb2.UNIMPLEMENTED, text, content_type)
        try:
            body = await _body(request)
        except _TooLargeError:
            text = f"the body has more than {MAX_BODY} bytes"
            response = _failure(413, code_pb2.RESOURCE_EXHAUSTED, text, content_type)
            response.headers["connection"] = "close"
            return response
        return await _accept(signal, store, body, content_type, gzip=encoding == "gzip")

    return export


async def _accept(signal: Signal, store: Store, body: bytes, content_type: str, *, gzip: bool) -> Response:
    def work() -> tuple[Message, Future[None]]:
        plain = gunzip(body) if gzip else body
        return signal.receive(signal.parse(plain, content_type), store)

    try:
        answer, committed = await run_in_threadpool(work)
        # The answer promises that the records are kept, so it waits for the commit.
        await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(committed)), COMMIT_WITHIN_S)
    except (OverflowError, BatchTooLargeError) as error:
        return _failure(413, code_pb2.RESOURCE_EXHAUSTED, str(error), content_type)
    except ValueError as error:
        return _failure(400, code_pb2.INVALID_ARGUMENT, str(error), content_type)
    except StoreError as error:
        return _unavailable(str(error), content_type)
    except asyncio.TimeoutError:
        return _unavailable(f"the store did not commit within {COMMIT_WITHIN_S:g} s", content_type)
    return _message(answer, 200, content_type)


async def _body(request: Request) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > MAX_BODY:
        raise _TooLargeError
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise _TooLargeError
    return bytes(body)


def _unavailable(text: str, content_type: str) -> Response:
    response = _failure(503, code_pb2.UNAVAILABLE, text, content_type)
    response.headers["retry-after"] = str(RETRY_AFTER_S)
    return response


def _failure(http: int, code: int, text: str, content_type: str) -> Response:
    return _message(Status(code=code, message=text), http, content_type)


def _message(message: Message, http: int, content_type: str) -> Response:
    body = otlp_json.encode(message) if content_type == JSON else message.SerializeToString()
    return Response(body, http, media_type=content_type)
