"""Whom the query API answers: a web page of another site must not read the store through DNS rebinding."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

_HOST: Final = re.compile(r"(?:\[([^\]]*)\]|([^:]*))(?::[0-9]{1,5})?")
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class HostCheck:
    """ASGI middleware that answers only requests whose `Host` names this server.

    Args:
        app: The application behind.
        bound: Host that the server listens on. With a wildcard address (`0.0.0.0`, `::`) every address and the
            machine's own name are accepted: rebinding needs a name of the attacker's.
    """

    def __init__(self, app: ASGIApp, bound: str) -> None:
        self._app = app
        self._names = _LOOPBACK_NAMES | {bound.lower()}
        self._any_address = False
        with contextlib.suppress(ValueError):  # a name
            self._any_address = ipaddress.ip_address(bound).is_unspecified
        if self._any_address:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 421 Misdirected Request."""
        if scope["type"] == "http":
            host = Headers(scope=scope).get("host", "")
            if not self._is_ours(host):
                text = f"this viewer does not answer to the host {host[:200]!r}; use localhost or the --host it was given\n"
                await PlainTextResponse(text, 421)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        name = _without_port(host).lower()
        if name in self._names:
            return True
        try:
            return bool(ipaddress.ip_address(name)) and self._any_address
        except ValueError:
            return False


def _without_port(host: str) -> str:
    """The name or address in a `Host` header, empty when it is none."""
    match = _HOST.fullmatch(host)
    return (match[1] or match[2] or "") if match else ""
