"""The middleware against the ASGI protocol itself; real servers and real hang-ups are in `distro/test_hang_ups.py`."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import MutableMapping
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import attach, detach, get_current

import otelext
from otelext import semconv
from otelext.asgi import OtelextMiddleware
from otelext.capture.baggage import BAGGAGE, read
from otelext.capture.request import Request, request_of
from otelext.testing import capture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

Message = MutableMapping[str, Any]
START: Message = {"type": "http.response.start", "status": 200, "headers": []}
END: Message = {"type": "http.response.body", "body": b"", "more_body": False}


class Connection:
    """A server's side of one connection: gives messages, keeps what is sent, and can fail to send."""

    def __init__(self, *messages: Message, kind: str = "http", request_id: bytes | None = None) -> None:
        headers = [] if request_id is None else [(b"x-request-id", request_id)]
        self.scope: dict[str, Any] = {"type": kind, "headers": headers}
        self.messages = list(messages)
        self.sent: list[Message] = []
        self.broken = False

    async def receive(self) -> Message:
        if not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)

    async def send(self, message: Message) -> None:
        await asyncio.sleep(0)
        if self.broken:
            raise OSError("connection lost")
        self.sent.append(message)

    async def run(self, app: Any) -> Request:
        await OtelextMiddleware(app)(self.scope, self.receive, self.send)
        return self.request

    @property
    def request(self) -> Request:
        request: Request = self.scope["otelext.request"]
        return request

    def headers(self, name: bytes) -> list[bytes]:
        return [value for message in self.sent for key, value in message.get("headers", ()) if key.lower() == name]


@pytest.fixture(params=["asyncio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    backend: str = request.param
    return backend


async def test_the_request_is_in_the_context_during_the_call_only() -> None:
    seen: list[Request | None] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(request_of(get_current()))

    before = perf_counter_ns()
    request = await Connection().run(app)
    assert seen == [request]
    assert before <= request.entered_ns <= perf_counter_ns()
    assert request_of(get_current()) is None


async def test_an_application_that_raises_leaves_nothing_behind() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await Connection().run(app)
    assert request_of(get_current()) is None


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_a_disconnect_that_is_received_is_seen(kind: str) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != f"{kind}.disconnect":
            pass

    message = {"type": f"{kind}.request"}
    assert (await Connection(message, {"type": f"{kind}.disconnect"}, kind=kind).run(app)).disconnected


async def test_a_send_that_fails_is_a_disconnect_and_still_raises() -> None:
    connection = Connection()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        connection.broken = True
        await send({"type": "http.response.body", "body": b"x", "more_body": True})

    with pytest.raises(OSError, match="connection lost"):
        await connection.run(app)
    assert connection.request.disconnected


async def test_an_error_of_the_applications_own_is_no_disconnect() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        raise OSError("of a file")

    connection = Connection()
    with pytest.raises(OSError, match="of a file"):
        await connection.run(app)
    assert not connection.request.disconnected


@pytest.mark.parametrize("last", [END, {"type": "http.response.pathsend", "path": "/x"}])
async def test_a_disconnect_after_the_complete_answer_is_none(last: Message) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send(last)
        assert (await receive())["type"] == "http.disconnect"

    assert not (await Connection({"type": "http.disconnect"}).run(app)).disconnected


async def test_a_disconnect_between_two_chunks_is_one() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await receive()

    assert (await Connection({"type": "http.disconnect"}).run(app)).disconnected


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send(START)
    await send(END)


async def test_a_well_formed_id_comes_back() -> None:
    connection = Connection(request_id=b"0123456789abcdef")
    await connection.run(answer)
    assert connection.headers(b"x-request-id") == [b"0123456789abcdef"]
    assert connection.request.request_id == "0123456789abcdef"


@pytest.mark.parametrize("given", [None, b"", b"short", b"x" * 65, b"0123456789abcde\n", b"\xff" * 20])
async def test_any_other_id_is_replaced(given: bytes | None) -> None:
    connection = Connection(request_id=given)
    await connection.run(answer)
    (made,) = connection.headers(b"x-request-id")
    assert uuid.UUID(made.decode()).hex == made.decode() == connection.request.request_id


async def test_the_applications_header_wins_and_its_message_stays_as_it_is() -> None:
    message = {**START, "headers": [(b"X-Request-Id", b"its-own")]}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(message)

    connection = Connection()
    await connection.run(app)
    assert connection.headers(b"x-request-id") == [b"its-own"]

    await Connection().run(answer)
    assert START["headers"] == []


async def test_a_websocket_gets_the_id_when_it_is_accepted() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.accept"})

    connection = Connection(kind="websocket", request_id=b"0123456789abcdef")
    await connection.run(app)
    assert connection.headers(b"x-request-id") == [b"0123456789abcdef"]


async def test_only_the_outermost_middleware_makes_a_request() -> None:
    connection = Connection()
    await connection.run(OtelextMiddleware(answer))
    assert len(connection.headers(b"x-request-id")) == 1


async def test_a_request_inside_anothers_context_is_its_own() -> None:
    # A server may start the next request of a connection from within the one before.
    inner = Connection()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await inner.run(answer)

    outer = Connection()
    await outer.run(app)
    assert inner.request is not outer.request


async def test_the_scope_stays_the_same_object() -> None:
    async def router(scope: Any, receive: Any, send: Any) -> None:
        scope["route"] = "found"

    connection = Connection()
    await connection.run(router)
    assert connection.scope["route"] == "found"


async def lifespan(on_shutdown: Callable[[], object] | None, last: str) -> list[str]:
    happened: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": last})

    async def send(message: Message) -> None:
        happened.append(message["type"])

    def flush() -> None:
        happened.append("flush")
        if on_shutdown is not None:
            on_shutdown()

    await OtelextMiddleware(app, on_shutdown=flush)({"type": "lifespan"}, Connection().receive, send)
    return happened


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"], indirect=True)
@pytest.mark.parametrize("last", ["lifespan.shutdown.complete", "lifespan.shutdown.failed"])
async def test_the_shutdown_flushes_before_it_is_complete(last: str) -> None:
    assert await lifespan(None, last) == ["flush", last]


async def test_the_startup_does_not_flush() -> None:
    assert await lifespan(None, "lifespan.startup.complete") == ["lifespan.startup.complete"]


async def test_a_flush_that_raises_does_not_stop_the_shutdown() -> None:
    def fail() -> None:
        raise RuntimeError("backend")

    assert await lifespan(fail, "lifespan.shutdown.complete") == ["flush", "lifespan.shutdown.complete"]


async def test_only_the_first_inference_of_a_request_has_an_admission_time() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for _ in range(2):
            async with otelext.inference("chat"):
                pass

    with capture() as captured:
        await Connection().run(app)
        first, second = captured.inferences()
    assert first.admission_ns is not None
    assert first.admission_ns >= 0
    assert second.admission_ns is None


async def left_stream(monkeypatch: pytest.MonkeyPatch, *, goes_on: bool) -> str | None:
    """A stream whose client hangs up while it holds a chunk, and that something still refers to."""
    monkeypatch.setattr("otelext.asgi._LEFT_AFTER_S", 0.05)

    @otelext.inference("chat")
    async def tokens() -> AsyncIterator[str]:
        for _ in range(3):
            yield "token"

    stream = tokens()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await stream.__anext__()
        await receive()

    with capture() as captured:
        await Connection({"type": "http.disconnect"}).run(app)
        if goes_on:
            await stream.__anext__()
            await asyncio.sleep(0.2)  # longer than what is left is watched
            async for _ in stream:
                pass
        deadline = asyncio.get_running_loop().time() + 10
        while not captured.inferences() and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110  # a timer ends it
            await asyncio.sleep(0.01)
        (inference,) = captured.inferences()
    return inference.outcome


async def test_a_stream_that_is_left_ends_without_the_garbage_collector(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await left_stream(monkeypatch, goes_on=False) == "client_disconnected"


async def test_a_consumer_that_outlives_its_request_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await left_stream(monkeypatch, goes_on=True) == "completed"


TENANT = semconv.TENANT_ID


@contextlib.contextmanager
def extracted(header: str) -> Iterator[None]:
    """The context that a server's instrumentation attaches."""
    context = W3CBaggagePropagator().extract({"baggage": header}, get_current())
    token = attach(context)
    yield
    detach(token)


async def baggage_read(*headers: tuple[bytes, bytes], own: str | None = None) -> tuple[Any, Any]:
    """What is used, and what goes on with outgoing requests, of baggage that came as a header."""
    found: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        context = get_current() if own is None else baggage.set_baggage(TENANT, own)
        await asyncio.sleep(0)
        outgoing: dict[str, str] = {}
        W3CBaggagePropagator().inject(outgoing, context)
        found.append((dict(read(context)), outgoing["baggage"]))

    connection = Connection()
    connection.scope["headers"] = list(headers)
    with extracted("tenant.id=clinic-a,user.id=u-1"):
        await connection.run(app)
    used, outgoing = found[0]
    return used, outgoing


async def test_baggage_that_a_client_sent_is_ignored_and_goes_on() -> None:
    used, outgoing = await baggage_read((b"host", b"x"), (b"baggage", b"tenant.id=clinic-a,user.id=u-1"))
    assert used == {}
    assert outgoing == "tenant.id=clinic-a,user.id=u-1"


async def test_baggage_that_the_service_sets_is_used_even_if_it_says_the_same() -> None:
    header = (b"baggage", b"tenant.id=clinic-a,user.id=u-1")
    assert (await baggage_read(header, own="clinic-a"))[0] == {TENANT: "clinic-a"}


async def test_baggage_that_no_header_brought_is_the_services_own() -> None:
    assert (await baggage_read((b"host", b"x")))[0] == {TENANT: "clinic-a", semconv.USER_ID: "u-1"}


async def test_trusted_baggage_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BAGGAGE, "trust", True)
    assert (await baggage_read((b"baggage", b"...")))[0] == {TENANT: "clinic-a", semconv.USER_ID: "u-1"}
