"""Small servers that speak one protocol, or none, on free ports of loopback."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.stack.certificates import Certificate

    Answer = tuple[int, Mapping[str, str], bytes]


@contextmanager
def http_server(
    answer: Callable[[str, str, Mapping[str, str], bytes], Answer],
    certificate: Certificate | None = None,
    *,
    asks: bool = False,
    host: str = "127.0.0.1",
) -> Iterator[int]:
    """Answers method, path, headers and body; with a certificate over TLS, and `asks` for the client's too."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            names = {name.lower(): value for name, value in self.headers.items()}
            status, headers, content = answer(self.command, self.path, names, body)
            self.send_response(status)
            for name, value in {"content-length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer  # noqa: N815 the standard library's names

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:  # a handshake that failed, as it should
            pass

    server = Server((host, 0), Handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.chain, certificate.key)
        if asks:
            context.load_verify_locations(certificate.authority)
            context.verify_mode = ssl.CERT_REQUIRED
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def raw_server(speak: Callable[[socket.socket], None]) -> Iterator[int]:
    """Hands each connection to `speak`, and closes it when that returns."""
    listening = socket.create_server(("127.0.0.1", 0))
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            with suppress(OSError):
                connection, _ = listening.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            speak(connection)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        ended.set()
        with suppress(OSError), socket.create_connection(listening.getsockname(), 1):
            pass
        listening.close()
        thread.join(5)


def closed_port() -> int:
    """A port at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
