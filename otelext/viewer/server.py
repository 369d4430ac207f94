"""The viewer's process: binds the ports, runs the three servers on one store, stops them together."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import signal
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import uvicorn

from otelext.viewer.api import api_app
from otelext.viewer.errors import PortInUseError
from otelext.viewer.otlp_grpc import start_grpc
from otelext.viewer.otlp_http import otlp_http_app
from otelext.viewer.retention import Bounds
from otelext.viewer.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

    from starlette.applications import Starlette

_GRACE_S: Final = 3
_BACKLOG: Final = 2048


@dataclass(frozen=True)
class Settings:
    """What `otelext view` was asked for; a port of 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 8321
    otlp_http_port: int = 4318
    otlp_grpc_port: int = 4317
    store: Path | None = None
    bounds: Bounds = field(default_factory=Bounds)


@dataclass(frozen=True)
class Addresses:
    """Where a running viewer listens, as URLs."""

    viewer: str
    otlp_http: str
    otlp_grpc: str

    def write(self, path: Path) -> None:
        """Write the addresses and the process id as JSON, at once or not at all."""
        content = {"viewer": self.viewer, "otlp_http": self.otlp_http, "otlp_grpc": self.otlp_grpc, "pid": os.getpid()}
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.write_text(json.dumps(content) + "\n", encoding="utf-8")
        partial.replace(path)


def serve(settings: Settings, ready: Callable[[Addresses], None]) -> None:
    """Run the viewer until SIGTERM or SIGINT.

    Args:
        settings: What to run.
        ready: Called once with the addresses, when all ports answer.

    Raises:
        StoreError: The store cannot be used.
        PortInUseError: A port cannot be bound; nothing runs any more.
    """
    with contextlib.ExitStack() as stack:
        api = stack.enter_context(_bound(settings.host, settings.port, "--port"))
        otlp = stack.enter_context(_bound(settings.host, settings.otlp_http_port, "--otlp-http-port"))
        with _bound(settings.host, settings.otlp_grpc_port, "--otlp-grpc-port"):
            pass  # gRPC writes several lines of its own about a port in use
        store = stack.enter_context(Store(settings.store, settings.bounds))
        try:
            grpc_server, grpc_port = start_grpc(store, settings.host, settings.otlp_grpc_port)
        except PortInUseError as error:
            raise PortInUseError(_in_use(settings.host, settings.otlp_grpc_port, "--otlp-grpc-port")) from error
        stack.callback(lambda: grpc_server.stop(_GRACE_S).wait())
        addresses = Addresses(
            _url(settings.host, api[0].getsockname()[1]),
            _url(settings.host, otlp[0].getsockname()[1]),
            _url(settings.host, grpc_port),
        )
        named = {"http": addresses.otlp_http, "grpc": addresses.otlp_grpc}
        receiver = otlp_http_app(store, report_port=api[0].getsockname()[1])
        servers = [(_server(api_app(store, settings.host, named)), api), (_server(receiver), otlp)]
        asyncio.run(_run(servers, lambda: ready(addresses)))


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to `_run`, which stops all servers together."""
        yield


def _server(app: Starlette) -> _Server:
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    return _Server(config)


async def _run(servers: list[tuple[_Server, list[socket.socket]]], ready: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stopping.set)

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        tasks = [asyncio.create_task(server.serve(sockets=sockets)) for server, sockets in servers]
        # uvicorn sets a flag when it listens, and tells nobody.
        while not all(server.started for server, _ in servers) and not any(map(asyncio.Task.done, tasks)):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if all(server.started for server, _ in servers):
            ready()
        ended = asyncio.create_task(stopping.wait())
        await asyncio.wait([ended, *tasks], return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        for server, _ in servers:
            server.should_exit = True
        await asyncio.gather(*tasks)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _bound(host: str, port: int, option: str) -> Iterator[list[socket.socket]]:
    """Sockets on every address that `host` stands for, all on one port."""
    with contextlib.ExitStack() as stack:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        except OSError as error:
            raise PortInUseError(f"the host {host} given by --host cannot be resolved: {error.strerror}") from error
        sockets: list[socket.socket] = []
        addresses = dict.fromkeys(found)
        for family, kind, protocol, _, address in addresses:
            number = sockets[0].getsockname()[1] if sockets else port
            bound = stack.enter_context(socket.socket(family, kind, protocol))
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # Alone, `::` is every address of this machine, as it is to gRPC.
                bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, len(addresses) > 1)
            try:
                bound.bind((address[0], number, *address[2:]))
                bound.listen(_BACKLOG)
            except OSError as error:
                raise PortInUseError(_in_use(host, number, option, error)) from error
            bound.setblocking(False)
            sockets.append(bound)
        yield sockets


def _in_use(host: str, port: int, option: str, error: OSError | None = None) -> str:
    if error is not None and error.errno == errno.EADDRNOTAVAIL:
        return f"the host {host} given by --host is no address of this machine"
    why = f" ({error.strerror})" if error is not None and error.strerror else ""
    return f"port {port} of {host} cannot be used{why}: choose another with {option}, where 0 takes a free one"


def _url(host: str, port: int) -> str:
    # Nobody can connect to a wildcard address by its name; this machine's loopback is part of it.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (compared, not bound)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
