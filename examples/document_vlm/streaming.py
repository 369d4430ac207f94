"""Answers on their way to the client: server-sent events, and what happens when the client hangs up."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import Any, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

_T = TypeVar("_T")


async def unless_gone(request: Request, work: Coroutine[Any, Any, _T]) -> _T:
    """Await work whose result nobody wants once the client has hung up; it is cancelled then.

    Raises:
        ClientDisconnect: The client has hung up.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.wait({task})
        raise ClientDisconnect
    finally:
        task.cancel()
        gone.cancel()
        # Until the watcher has really left `receive`, the response may not call it.
        await asyncio.gather(task, gone, return_exceptions=True)


async def with_first(pieces: AsyncGenerator[str, None], first: str | None) -> AsyncGenerator[str, None]:
    """The pieces again after the first was taken off; `first` is None when there was none."""
    try:
        if first is not None:
            yield first
            async for piece in pieces:
                yield piece
    finally:
        await pieces.aclose()


async def first_of(pieces: AsyncGenerator[str, None]) -> str | None:
    """The first piece, or None if there is none."""
    return await anext(pieces, None)


async def all_of(pieces: AsyncGenerator[str, None]) -> None:
    """Run to the end."""
    async for _ in pieces:
        pass


def event(data: object, name: str | None = None) -> bytes:
    """One server-sent event: https://html.spec.whatwg.org/multipage/server-sent-events.html."""
    head = f"event: {name}\n" if name else ""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"{head}data: {text}\n\n".encode()


class EventStream(StreamingResponse):
    """Server-sent events whose source is closed with the response, and not some time later by the collector."""

    def __init__(self, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._events.aclose()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def limited(receive: Receive, most: int, error: Exception) -> Receive:
    """`receive`, raising `error` when a body has more than `most` bytes."""
    seen = 0

    async def counted() -> Any:  # an ASGI message
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise error
        return message

    return counted


Pieces = AsyncGenerator[str, None]
Events = AsyncIterator[bytes]
