"""What listens at an address, found out without any library's opinion: by the first bytes that come back.

Plain HTTP answers a request in words, gRPC greets with a frame of HTTP/2's settings, and TLS with an alert or not at
all. So two protocols that were mixed up are told from a firewall or a dead process.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from otelext.doctor import otlp_variables
from otelext.doctor.trouble import Trouble, trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelext.doctor.endpoint import Endpoint

Speech: TypeAlias = Literal["nothing", "unresolved", "unreachable", "silence", "http", "http2", "tls"]

TIMEOUT_S: Final = 2.0
CLOSED: Final = "the connection is closed after the handshake"
"""What a server of gRPC does to who offers the older HTTP alone."""
_REQUEST: Final = b"GET / HTTP/1.1\r\nHost: %s\r\nUser-Agent: otelext-doctor\r\nConnection: close\r\n\r\n"
# https://www.rfc-editor.org/rfc/rfc9113#name-frame-format: length in three bytes, then the type.
_SETTINGS: Final = 4
_FRAME_HEADER: Final = 9
# https://www.rfc-editor.org/rfc/rfc8446#section-5.1
_TLS_ALERT: Final = b"\x15"
# How Go's servers, and so the Collector, answer what is not TLS.
_WANTS_TLS: Final = b"HTTPS server"


@dataclass(frozen=True)
class Listener:
    """What speaks at a port.

    Attributes:
        speech: `nothing` listens there, the name is `unresolved`, or there is no way: `unreachable`. Else what it
            speaks: `http` (the first version, without TLS), `http2` (without TLS: gRPC), `tls`, or `silence`.
        text: What the system said where there was no connection.
    """

    speech: Speech
    text: str = ""


def listener(host: str, port: int, timeout: float = TIMEOUT_S) -> Listener:
    """Connect and say hello, within twice `timeout` seconds."""
    try:
        with socket.create_connection((host, port), timeout) as connection:
            first = _first_bytes(connection, _REQUEST % host.encode("ascii", errors="ignore"), timeout)
    except (OSError, UnicodeError) as error:
        found = trouble(error)
        kinds: dict[str, Speech] = {"unresolved": "unresolved", "refused": "nothing"}
        return Listener(kinds.get(found.kind, "unreachable"), found.text)
    if first.startswith(b"HTTP/1."):
        return Listener("tls" if _WANTS_TLS in first else "http")
    if len(first) >= _FRAME_HEADER and first[3] == _SETTINGS:
        return Listener("http2")
    if first.startswith(_TLS_ALERT) or _shakes_hands(host, port, timeout):
        return Listener("tls")
    return Listener("silence")


def bundle(endpoint: Endpoint, environ: Mapping[str, str]) -> str | None:
    """The variable by which other authorities go before the exporter's own, None without one."""
    return None if endpoint.protocol == "grpc" else otlp_variables.bundle(environ)


def tls_trouble(endpoint: Endpoint, environ: Mapping[str, str], timeout: float = TIMEOUT_S) -> Trouble | None:
    """Why a connection as the exporter makes it fails in TLS, None where it does not."""
    import certifi  # noqa: PLC0415  # comes with the exporters, whose authorities these are

    overriding = bundle(endpoint, environ)
    authorities = environ[overriding] if overriding else endpoint.certificate or certifi.where()
    try:
        of_folder = Path(authorities).is_dir()
        context = ssl.create_default_context(
            cafile=None if of_folder else authorities, capath=authorities if of_folder else None
        )
        if endpoint.client_certificate:
            context.load_cert_chain(endpoint.client_certificate, endpoint.client_key)
        context.set_alpn_protocols(["h2"] if endpoint.protocol == "grpc" else ["http/1.1"])
        with (
            socket.create_connection((endpoint.host, endpoint.port), timeout) as connection,
            context.wrap_socket(connection, server_hostname=endpoint.host) as secured,
        ):
            # In TLS 1.3 a server looks at the client's certificate after the handshake, and objects to it at the first
            # byte that is read; one that is content waits for a request, or greets.
            secured.settimeout(timeout / 4)
            with contextlib.suppress(TimeoutError):
                if not secured.recv(1):
                    return Trouble("protocol", CLOSED)
    except Exception as error:  # noqa: BLE001  # whatever it is, it is what the exporter meets
        return trouble(error)
    return None


def _first_bytes(connection: socket.socket, request: bytes, timeout: float) -> bytes:
    """What comes back, as much as tells one protocol from another; empty where nothing does."""
    deadline = time.monotonic() + timeout
    received = b""
    try:
        connection.sendall(request)
        while len(received) < 4096 and (left := deadline - time.monotonic()) > 0:  # noqa: PLR2004  # an answer's head
            connection.settimeout(left)
            chunk = connection.recv(4096)
            received += chunk
            if not chunk or not received.startswith(b"HTTP/1."):
                break
    except OSError:  # a reset, or nothing in time: what came before counts
        pass
    return received


def _shakes_hands(host: str, port: int, timeout: float) -> bool:
    """Whether TLS is understood, with whomever."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with (
            socket.create_connection((host, port), timeout) as connection,
            context.wrap_socket(connection, server_hostname=host),
        ):
            return True
    except ssl.SSLError as error:
        # An alert is TLS too.
        return "ALERT" in (error.reason or "")
    except OSError:
        return False
