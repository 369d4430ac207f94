"""Runs the service: `python -m document_vlm.serve [--host] [--port] [--send-buffer BYTES]`.

`uvicorn --factory document_vlm.app:create_app` serves it as well; what this adds is the size of the send buffers.
A socket swallows megabytes before its writer feels a slow reader, and the server another 64 KiB: with small
buffers the wait for a slow client shows within a few kilobytes.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import logging
import socket
import sys
from typing import cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from .app import create_app
from .language import MissingWeights, weights
from .settings import BadSetting, Settings

EXIT_CANNOT_START = 2


def listener(settings: Settings) -> socket.socket:
    """A bound socket whose connections inherit the send buffer's size (socket(7), SO_SNDBUF).

    Raises:
        OSError: The address is taken or can't be bound.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if settings.send_buffer:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, settings.send_buffer)
        bound.bind((settings.host, settings.port))
    except OSError:
        bound.close()
        raise
    return bound


def protocol(settings: Settings) -> type[asyncio.Protocol] | str:
    """Uvicorn's HTTP protocol, without a write buffer of its own where small buffers were asked for."""
    return UnbufferedProtocol if settings.send_buffer else "auto"


class UnbufferedProtocol(H11Protocol):
    """Lets the application wait while there is anything that the socket did not take."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Set the transport's high-water mark to zero."""
        transport.set_write_buffer_limits(high=0)
        super().connection_made(transport)


async def serve(settings: Settings, bound: socket.socket) -> None:
    """Serve on a bound socket until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        create_app(settings),
        http=cast("type[asyncio.Protocol]", protocol(settings)),
        log_level="info",
        access_log=False,
        timeout_graceful_shutdown=settings.shutdown_grace,
    )
    await uvicorn.Server(config).serve(sockets=[bound])


def main() -> int:
    """Serve with the settings of the environment and the command line; the exit status."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        settings = _with_arguments(Settings.from_environment())
        weights()
    except (BadSetting, MissingWeights) as error:
        print(f"document_vlm: {error}", file=sys.stderr)
        return EXIT_CANNOT_START
    try:
        bound = listener(settings)
    except (OSError, OverflowError) as error:
        print(f"document_vlm: can't listen on {settings.host}:{settings.port}: {error}", file=sys.stderr)
        return EXIT_CANNOT_START
    host, port = bound.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"document_vlm: listening on http://{shown}:{port}", flush=True)
    asyncio.run(serve(settings, bound))
    return 0


def _with_arguments(settings: Settings) -> Settings:
    parser = argparse.ArgumentParser(prog="python -m document_vlm.serve", description=__doc__.partition("\n")[0])
    parser.add_argument("--host", default=settings.host)
    parser.add_argument("--port", type=int, default=settings.port, help="0 takes a free one")
    parser.add_argument("--send-buffer", type=int, default=settings.send_buffer, metavar="BYTES")
    return dataclasses.replace(settings, **vars(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
