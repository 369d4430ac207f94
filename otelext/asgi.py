"""Pure ASGI middleware: the moment of entry, the request's id, whose baggage it is, and whether the client is gone.

https://asgi.readthedocs.io/en/latest/specs/www.html. A client's hang-up is learned from what the application itself
asks for: `http.disconnect` or `websocket.disconnect` that it receives (Starlette listens while it streams), or a `send`
that raises `OSError` (servers that follow version 2.4 or later). There is no watcher that receives on its own: it
would cost every request a task, take messages from the application, and learn nothing in time for one that neither
receives nor sends, since no known server cancels such an application when its client leaves.

A stream that is left when its client hangs up is often part of a reference cycle (a cancelled task, its exception, the
frames of that), so that the garbage collector finds it late. Where the consumer still holds the same chunk some time
after the application has returned, the inference ends here, as the garbage collector would end it: at its last
hand-over.
"""

from __future__ import annotations

import asyncio
import re
import threading
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from opentelemetry.context import attach, get_current, set_value
from opentelemetry.trace import SpanKind, get_current_span

from otelext import semconv
from otelext.capture.baggage import BAGGAGE, entries, from_outside
from otelext.capture.context import REQUEST_KEY
from otelext.capture.failure import report
from otelext.capture.inference import OPEN, Inference
from otelext.capture.request import Request, note_failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    Scope = MutableMapping[str, Any]
    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Application = Callable[[Scope, Receive, Send], Awaitable[None]]

_SCOPE_KEY: Final = "otelext.request"
_HEADER: Final = semconv.REQUEST_ID_HEADER.encode("ascii")
_BAGGAGE: Final = b"baggage"
_PATTERN: Final = re.compile(semconv.REQUEST_ID_PATTERN.encode("ascii"))
_DISCONNECTS: Final = frozenset({"http.disconnect", "websocket.disconnect"})
_WITH_HEADERS: Final = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
_BODIES: Final = frozenset({"http.response.body", "websocket.http.response.body"})
_LAST: Final = frozenset({"http.response.pathsend", "websocket.close"})
_SHUTDOWN: Final = frozenset({"lifespan.shutdown.complete", "lifespan.shutdown.failed"})
_LEFT_AFTER_S: Final = 2.0
"""A consumer that outlives its request, such as one that stores the rest of an answer, is quicker with a chunk."""


class OtelextMiddleware:
    """Makes the `Request` that inferences of an HTTP request or a WebSocket belong to.

    The request's id is the client's `x-request-id` where it is well-formed, and made otherwise; it is returned in the
    answer's header, unless the application sets one, and set on the SERVER span.
    """

    def __init__(self, app: Application, *, on_shutdown: Callable[[], object] | None = None) -> None:
        """Wrap an application.

        Args:
            app: The ASGI application.
            on_shutdown: Called before the application's lifespan ends, such as `otelext.force_flush`: some process
                managers let a worker die of the signal right afterwards.
        """
        self.app = app
        self._on_shutdown = on_shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application for one connection."""
        kind = scope["type"]
        if kind == "lifespan" and self._on_shutdown is not None:
            await self.app(scope, receive, self._flushing(send))
        elif kind not in {"http", "websocket"} or _SCOPE_KEY in scope:  # the latter: mounted inside another one
            await self.app(scope, receive, send)
        else:
            await self._run(scope, receive, send)

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(perf_counter_ns(), _request_id(scope.get("headers", ())))
        # In place: the middlewares outside read what the router inside puts there.
        scope[_SCOPE_KEY] = request
        span = get_current_span()
        if request.request_id is not None and getattr(span, "kind", None) is SpanKind.SERVER:
            span.set_attribute(semconv.REQUEST_ID, request.request_id)
        watched = _Watched(request, receive, send)
        outer = get_current()
        inner = set_value(REQUEST_KEY, request, outer)
        if not BAGGAGE.trust and entries(outer) and any(name == _BAGGAGE for name, _ in scope.get("headers", ())):
            inner = from_outside(inner)
        attach(inner)
        try:
            await self.app(scope, watched.receive, watched.send)
        except Exception as error:
            note_failure(error, inner)
            raise
        finally:
            attach(outer)  # set, not reset by a token: see otelext.capture.context
            if request.disconnected:
                _watch_what_is_left(request)

    def _flushing(self, send: Send) -> Send:
        async def flushing(message: Message) -> None:
            if message["type"] in _SHUTDOWN:
                await self._flush()
            await send(message)

        return flushing

    async def _flush(self) -> None:
        on_shutdown = self._on_shutdown
        if on_shutdown is None:
            return
        try:
            try:
                asyncio.get_running_loop()
            except RuntimeError:  # another event loop than asyncio's: nothing but the shutdown waits here
                on_shutdown()
            else:
                await asyncio.to_thread(on_shutdown)
        except Exception:  # noqa: BLE001  # the application's shutdown goes on
            report("otelext could not flush at the application's shutdown", exc_info=True)


class _Watched:
    """The two channels of one connection."""

    __slots__ = ("_finished", "_receive", "_request", "_send")

    def __init__(self, request: Request, receive: Receive, send: Send) -> None:
        self._request = request
        self._receive = receive
        self._send = send
        self._finished = False

    async def receive(self) -> Message:
        message = await self._receive()
        # Servers say so after a complete answer too; that client is not gone, it is served.
        if message["type"] in _DISCONNECTS and not self._finished:
            self._request.disconnected = True
        return message

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in _WITH_HEADERS:
            message = _with_request_id(message, self._request.request_id)
        elif kind in _LAST or (kind in _BODIES and not message.get("more_body", False)):
            self._finished = True
        try:
            await self._send(message)
        except OSError:
            if not self._finished:
                self._request.disconnected = True
            raise


def _watch_what_is_left(request: Request) -> None:
    left = [(i, i.held_since) for i in OPEN.copy() if i.request is request and i.held_since]
    if not left:
        return
    try:
        asyncio.get_running_loop().call_later(_LEFT_AFTER_S, _end_what_is_left, left)
    except RuntimeError:  # another event loop than asyncio's
        timer = threading.Timer(_LEFT_AFTER_S, _end_what_is_left, (left,))
        timer.daemon = True
        timer.start()


def _end_what_is_left(left: list[tuple[Inference, int]]) -> None:
    for inference, held_since in left:
        if inference.held_since == held_since:
            inference.fail(GeneratorExit(), holding=True, collected=True)


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == _HEADER and _PATTERN.fullmatch(value):
            return value.decode("ascii")
    return uuid4().hex


def _with_request_id(message: Message, request_id: str | None) -> Message:
    headers: list[tuple[bytes, bytes]] = list(message.get("headers") or ())
    if request_id is None or any(bytes(name).lower() == _HEADER for name, _ in headers):
        return message
    return {**message, "headers": [*headers, (_HEADER, request_id.encode("ascii"))]}
