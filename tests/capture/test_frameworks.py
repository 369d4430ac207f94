"""Decorated endpoints, dependencies and streamed bodies under FastAPI and Starlette."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import anyio.lowlevel
import httpx
import pytest
from fastapi import Depends, FastAPI
from opentelemetry import trace
from starlette.responses import StreamingResponse

import otelext

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from otelext.testing import Captured

app = FastAPI()


@otelext.inference("chat", model=lambda prompt: prompt)
def tokens(prompt: str) -> Iterator[str]:
    with otelext.stage("decode"):
        yield from prompt


@otelext.inference("chat", model="m")
async def async_tokens(prompt: str) -> AsyncIterator[str]:
    with otelext.stage("decode"):
        for token in prompt:
            await anyio.lowlevel.checkpoint()
            yield token


@app.get("/sync-generator")
def sync_generator(prompt: str) -> StreamingResponse:
    return StreamingResponse(tokens(prompt))


@app.get("/async-generator")
async def async_generator(prompt: str) -> StreamingResponse:
    return StreamingResponse(async_tokens(prompt))


@app.get("/endpoint")
@otelext.inference("chat", model="m")
async def endpoint(prompt: str) -> dict[str, str]:
    with otelext.stage("decode"):
        return {"answer": prompt}


@app.get("/sync-endpoint")
@otelext.inference("chat", model="m")
def sync_endpoint(prompt: str) -> dict[str, str]:
    with otelext.stage("decode"):
        return {"answer": prompt}


@app.get("/streaming-endpoint")
@otelext.inference("chat", model="m")
async def streaming_endpoint(prompt: str) -> StreamingResponse:
    async def body() -> AsyncIterator[str]:
        with otelext.stage("decode"):
            for token in prompt:
                yield token

    return StreamingResponse(body())


@app.get("/sync-streaming-endpoint")
@otelext.inference("chat", model="m")
def sync_streaming_endpoint(prompt: str) -> StreamingResponse:
    def body() -> Iterator[str]:
        with otelext.stage("decode"):
            yield from prompt

    return StreamingResponse(body())


class Body:
    """An async iterable that is no iterator."""

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt

    async def __aiter__(self) -> AsyncIterator[str]:
        with otelext.stage("decode"):
            for token in self.prompt:
                yield token


@app.get("/iterable-endpoint")
@otelext.inference("chat", model="m")
async def iterable_endpoint(prompt: str) -> StreamingResponse:
    return StreamingResponse(Body(prompt))


@otelext.stage("fetch")
async def session() -> AsyncIterator[str]:
    yield "session"


@otelext.stage("fetch")
def sync_session() -> Iterator[str]:
    yield "session"


@otelext.stage("fetch")
async def user(prompt: str) -> str:
    return prompt


@otelext.stage("fetch")
def sync_user(prompt: str) -> str:
    return prompt


class Documents:
    """A dependency that is a method."""

    @otelext.stage("fetch")
    async def load(self, prompt: str) -> str:
        return prompt


@app.get("/dependencies")
@otelext.inference("chat")
async def dependencies(
    prompt: str,
    one: Annotated[str, Depends(session)],
    two: Annotated[str, Depends(sync_session)],
    three: Annotated[str, Depends(user)],
    four: Annotated[str, Depends(sync_user)],
    five: Annotated[str, Depends(Documents().load)],
) -> list[str]:
    return [prompt, one, two, three, four, five]


async def get(path: str, prompt: str = "abc") -> httpx.Response:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path, params={"prompt": prompt})


@pytest.mark.parametrize(
    "path",
    ["/sync-generator", "/async-generator", "/streaming-endpoint", "/sync-streaming-endpoint", "/iterable-endpoint"],
)
async def test_a_streamed_answer(captured: Captured, path: str) -> None:
    response = await get(path)
    assert response.text == "abc"
    (ended,) = captured.inferences()
    assert ended.outcome == "completed"
    assert ended.output_tokens == 3
    assert [s.name for s in ended.stages] == ["decode"]
    decode, chat = captured.spans("decode")[0], captured.spans(ended.span_name)[0]
    assert decode.parent is not None
    assert chat.context is not None
    assert decode.parent.span_id == chat.context.span_id


@pytest.mark.parametrize("path", ["/endpoint", "/sync-endpoint"])
async def test_an_answer_at_once(captured: Captured, path: str) -> None:
    assert (await get(path)).json() == {"answer": "abc"}
    assert [i.outcome for i in captured.inferences()] == ["completed"]
    assert (len(captured.spans("chat m")), len(captured.spans("decode"))) == (1, 1)


async def test_parameters_are_read_from_the_decorated_signature(captured: Captured) -> None:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        assert (await client.get("/endpoint")).status_code == 422
        schema = (await client.get("/openapi.json")).json()
    assert [p["name"] for p in schema["paths"]["/endpoint"]["get"]["parameters"]] == ["prompt"]
    assert schema["paths"]["/streaming-endpoint"]["get"]["summary"] == "Streaming Endpoint"
    assert captured.inferences() == []


async def test_dependencies_of_every_kind(captured: Captured) -> None:
    assert (await get("/dependencies")).json() == ["abc", "session", "session", "abc", "abc", "abc"]
    assert len(captured.spans("fetch")) == 5
    assert len(captured.spans("chat")) == 1


class Disconnect:
    """An ASGI server whose client reads some messages and hangs up."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.gone = anyio.Event()

    async def receive(self) -> dict[str, Any]:
        if self.left == 3:
            self.left -= 1
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, _: Any) -> None:
        self.left -= 1
        if self.left <= 0:
            self.gone.set()
            await anyio.sleep_forever()  # nobody reads any more


@pytest.mark.parametrize(
    "path", ["/sync-generator", "/async-generator", "/streaming-endpoint", "/sync-streaming-endpoint"]
)
async def test_a_client_that_hangs_up_abandons_what_is_left(captured: Captured, path: str) -> None:
    import gc

    server = Disconnect(3)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"prompt=" + b"x" * 5000,
        "headers": [],
        "scheme": "http",
        "server": ("test", 80),
        "client": ("test", 1),
    }
    await app(scope, server.receive, server.send)
    deadline = time.monotonic() + 10
    while not captured.inferences() and time.monotonic() < deadline:
        gc.collect()
        await anyio.sleep(0.01)
    assert [i.outcome for i in captured.inferences()] in (["abandoned"], ["cancelled"])
    assert (captured.inferences()[0].output_tokens or 0) < 5000
    assert not trace.get_current_span().get_span_context().is_valid


def make_iterator(kind: str) -> Callable[[], Any]:
    def source() -> Iterator[str]:
        yield "a"

    return {"generator": source, "list": lambda: iter(["a"]), "map": lambda: map(str, ["a"])}[kind]


@pytest.mark.parametrize("kind", ["generator", "list", "map"])
async def test_a_returned_iterator_can_be_a_body(captured: Captured, kind: str) -> None:
    body = otelext.inference("chat")(make_iterator(kind))()
    response = StreamingResponse(body)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        await anyio.sleep_forever()

    await response({"type": "http", "asgi": {"spec_version": "2.4"}}, receive, send)
    assert b"".join(m.get("body", b"") for m in sent) == b"a"
    assert [i.outcome for i in captured.inferences()] == ["completed"]
