"""Concurrency behind a server: what 200 streams at once cost a FastAPI application under uvicorn, against bare (1x).

Each contender is a server on a loopback port of its own, and its clients are another process, whose CPU counts for
nobody. An answer is a StreamingResponse of 200 tokens, 20 ms apart, twice as far as in `streams.py`, as a server takes
more for each; the streams start within half a second. otelext has its middleware around the application. Figures are
those of `streams.py`, of the server's process and its event loop; they have no targets.

    python benchmarks/streams_uvicorn.py [--rounds 9] [--repetitions 200] [--only NAME ...] [--json FILE]

`--repetitions` are the tokens of each stream.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from rounds import Benchmark, Process, main, serve
from streaming import BARE, OURS, STARTS_S, TOKEN, TOKENS, WAYS, measuring, watch_lag

from otelext.asgi import OtelextMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable

    from rounds import Figures, Measure, Prepare
    from streaming import Stream, Way

HOST = "127.0.0.1"
PACE_S = 0.020
LOAD = "--load"


def application(stream: Stream) -> FastAPI:
    """A service that streams as many tokens as it is asked for."""
    app = FastAPI()

    @app.get("/{tokens}")
    async def answer(tokens: int) -> StreamingResponse:
        return StreamingResponse(stream(tokens, PACE_S), media_type="text/plain")

    return app


def serve_in_thread(server: uvicorn.Server) -> tuple[asyncio.AbstractEventLoop, int]:
    """Serve in a thread of its own; its event loop and its port."""
    listener = socket.socket()
    listener.bind((HOST, 0))
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    serving = asyncio.run_coroutine_threadsafe(server.serve([listener]), loop)
    while not server.started:
        time.sleep(0.01)
        if serving.done():
            serving.result()
            sys.exit("uvicorn ended before it had started")
    return loop, listener.getsockname()[1]


def contender(name: str, make: Callable[[], Way]) -> Prepare:
    """A server whose streams are measured in one way, and the clients that it is asked by."""

    def prepare() -> Measure:
        way = make()
        app = application(way.stream)
        config = uvicorn.Config(OtelextMiddleware(app) if name == OURS else app, log_level="warning")
        loop, port = serve_in_thread(uvicorn.Server(config))
        clients = Process("the clients", [sys.executable, __file__, LOAD, str(port)], {})

        def streams(tokens: int) -> list[float]:
            late: list[float] = []
            probe = asyncio.run_coroutine_threadsafe(watch_lag(late), loop)
            clients.ask(tokens)
            probe.cancel()
            return late

        return measuring(streams, way.flush)

    return prepare


async def read(port: int, tokens: int, start: float) -> None:
    """Be a client: ask for one stream and read it to its end."""
    await asyncio.sleep(start)
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(f"GET /{tokens} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n".encode())
    told = await reader.read()
    writer.close()
    assert told.count(TOKEN.encode()) == tokens, told


def load(port: int) -> Measure:
    """All clients of a server."""

    async def at_once(tokens: int) -> None:
        await asyncio.gather(*(read(port, tokens, start) for start in STARTS_S))

    def measure(tokens: int) -> Figures:
        asyncio.run(at_once(tokens))
        return {}

    return measure


BENCHMARK = Benchmark(
    __file__, {name: contender(name, make) for name, make in WAYS.items()}, base=BARE, repetitions=TOKENS, rounds=9
)


if __name__ == "__main__":
    if sys.argv[1:2] == [LOAD]:  # no contender, but what a contender starts
        serve(load(int(sys.argv[2])))
        sys.exit(0)
    sys.exit(main(BENCHMARK, __doc__))
