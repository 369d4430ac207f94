"""What listens at a port, told by its first bytes: each kind is a real socket."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from unittest import mock

import grpc
import pytest

from otelext.doctor.canary import Canary, Preferences
from otelext.doctor.endpoint import endpoints
from otelext.doctor.listener import Listener, bundle, listener, tls_trouble
from otelext.doctor.sender import send
from tests.doctor.sockets import closed_port, http_server, raw_server

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from tests.stack.certificates import Certificate, Certificates


def fine(*_: Any) -> Any:
    return 404, {}, b"no such page"


@pytest.fixture
def grpc_port() -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(None).wait(5)


def test_nothing() -> None:
    assert listener("127.0.0.1", closed_port()).speech == "nothing"


def test_a_name_without_an_address() -> None:
    assert listener("no-such-host.invalid", 4318).speech == "unresolved"


@pytest.mark.parametrize("name", ["a" * 70 + ".invalid", "\N{SNOWMAN}.invalid", "no..dots"])
def test_a_name_that_can_be_none(name: str) -> None:
    assert listener(name, 4318).speech in {"unresolved", "unreachable"}


def test_http() -> None:
    with http_server(fine) as port:
        assert listener("127.0.0.1", port) == Listener("http")


def test_grpc(grpc_port: int) -> None:
    assert listener("127.0.0.1", grpc_port) == Listener("http2")


def test_tls(certificates: Certificates) -> None:
    with http_server(fine, certificates.server) as port:
        assert listener("127.0.0.1", port) == Listener("tls")


def test_tls_that_asks_for_the_client_s_certificate(certificates: Certificates) -> None:
    with http_server(fine, certificates.server, asks=True) as port:
        assert listener("127.0.0.1", port) == Listener("tls")


def test_tls_of_a_grpc_server(certificates: Certificates) -> None:
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    made = certificates.server
    credentials = grpc.ssl_server_credentials([(made.key.read_bytes(), made.chain.read_bytes())])
    port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        assert listener("127.0.0.1", port) == Listener("tls")
    finally:
        server.stop(None).wait(5)


def test_a_server_that_wants_tls_and_says_so_in_plain_text() -> None:
    # As Go's do.
    def answer(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")

    with raw_server(answer) as port:
        assert listener("127.0.0.1", port) == Listener("tls")


@pytest.mark.parametrize("said", [b"", b"220 mail.example ESMTP\r\n", b"\x00\x00", b"\x16\x03"])
def test_something_else(said: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        connection.sendall(said)
        connection.recv(4096)

    with raw_server(answer) as port:
        assert listener("127.0.0.1", port) == Listener("silence")


def test_one_that_says_nothing_is_not_waited_for_long() -> None:
    def wait(connection: socket.socket) -> None:
        while connection.recv(4096):
            pass

    with raw_server(wait) as port:
        begun = time.monotonic()
        assert listener("127.0.0.1", port, 0.3) == Listener("silence")
        assert time.monotonic() - begun < 3


def test_one_that_answers_byte_by_byte_is_not_waited_for_long() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.05)

    with raw_server(drip) as port:
        begun = time.monotonic()
        assert listener("127.0.0.1", port, 0.4) == Listener("http")
        assert time.monotonic() - begun < 2


def trouble_with(
    port: int, certificates: Certificates, shown: Certificate | None = None, host: str = "127.0.0.1"
) -> Any:
    environ = {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(certificates.server.authority)}
    if shown is not None:
        environ |= {
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(shown.chain),
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(shown.key),
        }
    return tls_trouble(endpoints(environ, endpoint=f"https://{host}:{port}")["traces"], {})


def test_tls_that_works(certificates: Certificates) -> None:
    with http_server(fine, certificates.server) as port:
        assert trouble_with(port, certificates) is None
    with http_server(fine, certificates.server, asks=True) as port:
        assert trouble_with(port, certificates, certificates.client) is None


def test_tls_that_fails_by_the_server_s_certificate(certificates: Certificates) -> None:
    for wrong, word in ((certificates.foreign, "unable to get local issuer"), (certificates.expired, "expired")):
        with http_server(fine, wrong) as port:
            found = trouble_with(port, certificates)
            assert found.kind == "untrusted"
            assert word in found.text
    # It is for localhost and 127.0.0.1.
    with http_server(fine, certificates.server, host="127.0.0.2") as port:
        found = trouble_with(port, certificates, host="127.0.0.2")
        assert found.kind == "untrusted"
        assert "mismatch" in found.text.lower()


def test_tls_that_fails_by_the_client_s_certificate(certificates: Certificates) -> None:
    with http_server(fine, certificates.server, asks=True) as port:
        for shown in (None, certificates.foreign, certificates.expired):
            found = trouble_with(port, certificates, shown)
            assert found is not None, shown
            assert found.kind != "untrusted"


def test_a_file_that_is_missing(certificates: Certificates) -> None:
    with http_server(fine, certificates.server) as port:
        environ = {"OTEL_EXPORTER_OTLP_CERTIFICATE": "/no/such/file"}
        found = tls_trouble(endpoints(environ, endpoint=f"https://127.0.0.1:{port}")["traces"], {})
        assert found is not None
        assert found.kind == "file"


def test_another_file_of_authorities_goes_before_the_exporter_s_over_http(certificates: Certificates) -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_CERTIFICATE": str(certificates.server.authority),
        "REQUESTS_CA_BUNDLE": str(certificates.foreign.authority),
    }
    with http_server(fine, certificates.server) as port:
        over_http = endpoints(environ, endpoint=f"https://127.0.0.1:{port}")["traces"]
        found = tls_trouble(over_http, environ)
        assert found is not None
        assert found.kind == "untrusted"
        with mock.patch.dict(os.environ, environ):
            answer = send(over_http, Canary.made(Preferences()).request("traces"))
            assert answer.trouble == found, "as the exporter fails too"
        assert bundle(over_http, environ) == "REQUESTS_CA_BUNDLE"
        over_grpc = endpoints(environ, endpoint=f"https://127.0.0.1:{port}", protocol="grpc")["traces"]
        assert bundle(over_grpc, environ) is None
