"""What is sent, and what is made of the answer."""

from __future__ import annotations

import gzip
import json
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsPartialSuccess, ExportLogsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from otelext.doctor.canary import Canary, Preferences
from otelext.doctor.endpoint import SIGNALS, endpoints
from otelext.doctor.sender import Answer, send
from tests.doctor.sockets import closed_port, http_server, raw_server
from tests.otlp_receiver import OtlpReceiver

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from otelext.doctor.endpoint import Signal

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}


def sent(endpoint: str, signal: Signal = "traces", /, **environ: str) -> Answer:
    found = endpoints({"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, **environ})[signal]
    return send(found, Canary.made(Preferences()).request(signal), environ)


def answered(status: int, headers: Mapping[str, str], body: bytes, signal: Signal = "traces") -> Answer:
    with http_server(lambda *_: (status, headers, body)) as port:
        return sent(f"http://127.0.0.1:{port}", signal)


def test_a_receiver_takes_it() -> None:
    canary = Canary.made(Preferences())
    with OtlpReceiver() as receiver:
        for signal in SIGNALS:
            found = send(endpoints({"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint})[signal], canary.request(signal))
            assert found.accepted
            assert found.status == "200"
            assert 0 < found.seconds < 10
            assert found.date == pytest.approx(time.time(), abs=3)
        (span,) = receiver.spans
        assert span.message.trace_id.hex() == canary.trace_id
        assert [record.trace_id.hex() for record in receiver.logs] == [canary.trace_id]


@pytest.mark.parametrize(
    ("compression", "unpack"), [("gzip", gzip.decompress), ("deflate", zlib.decompress), ("", bytes)]
)
def test_headers_and_compression(compression: str, unpack: Any) -> None:
    seen: list[Any] = []

    def take(*request: Any) -> Any:
        seen.append(request)
        return 200, PROTOBUF, b""

    with http_server(take) as port:
        headers = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x,x-tenant=clinic"}
        assert sent(f"http://127.0.0.1:{port}/base", OTEL_EXPORTER_OTLP_COMPRESSION=compression, **headers).accepted
    ((method, path, given, body),) = seen
    assert (method, path) == ("POST", "/base/v1/traces")
    assert (given["authorization"], given["x-tenant"]) == ("Bearer x", "clinic")
    assert given["content-type"] == PROTOBUF["content-type"]
    assert given.get("content-encoding", "") == compression
    assert ExportTraceServiceRequest.FromString(unpack(body)).resource_spans


@pytest.mark.parametrize(
    ("headers", "body"),
    [(PROTOBUF, b""), ({}, b""), (JSON, b"{}"), (JSON, b'{"partialSuccess":{}}'), (PROTOBUF, b"\n\x00")],
)
def test_success_as_receivers_write_it(headers: Mapping[str, str], body: bytes) -> None:
    found = answered(200, headers, body)
    assert found.accepted
    assert not found.foreign


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"content-type": "text/html; charset=utf-8"}, b"<html>a page</html>"),
        ({"content-type": "text/plain"}, b"ok"),
        (JSON, b'{"status":"Server available"}'),
        (JSON, b"[]"),
        (JSON, b"{"),
        (PROTOBUF, b"\xff\xff\xff"),
        ({}, b"hello"),
    ],
)
def test_success_of_something_else_is_none(headers: Mapping[str, str], body: bytes) -> None:
    found = answered(200, headers, body)
    assert not found.accepted
    assert found.foreign
    assert found.status == "200"


def test_a_partial_success_is_a_refusal_with_its_words() -> None:
    traces = ExportTraceServiceResponse(
        partial_success=ExportTracePartialSuccess(rejected_spans=1, error_message="too old")
    )
    found = answered(200, PROTOBUF, traces.SerializeToString())
    assert (found.accepted, found.text) == (False, "too old")
    logs = ExportLogsServiceResponse(partial_success=ExportLogsPartialSuccess(error_message="a warning"))
    found = answered(200, PROTOBUF, logs.SerializeToString(), "logs")
    assert (found.accepted, found.text) == (True, "a warning")
    assert not answered(200, JSON, b'{"partialSuccess":{"rejectedSpans":"2"}}').accepted


@pytest.mark.parametrize(
    ("headers", "body", "text"),
    [
        (
            PROTOBUF,
            Status(code=14, message="data refused due to high memory usage").SerializeToString(),
            "data refused",
        ),
        (JSON, json.dumps({"code": 16, "message": "missing header"}).encode(), "missing header"),
        ({"content-type": "text/plain"}, b"404 page\nnot found", "404 page not found"),
        ({"content-type": "text/html"}, b"<html>", "Service Unavailable"),
        (PROTOBUF, b"\xff\xff", "Service Unavailable"),
    ],
)
def test_the_words_of_a_refusal(headers: Mapping[str, str], body: bytes, text: str) -> None:
    found = answered(503, headers, body)
    assert (found.accepted, found.foreign, found.status) == (False, False, "503")
    assert text in found.text


def test_a_redirect_is_not_followed() -> None:
    found = answered(307, {"location": "https://elsewhere/v1/traces"}, b"")
    assert (found.accepted, found.location) == (False, "https://elsewhere/v1/traces")


def test_nobody_answers() -> None:
    found = sent(f"http://127.0.0.1:{closed_port()}")
    assert found.trouble is not None
    assert (found.trouble.kind, found.trouble.text) == ("refused", "Connection refused")
    found = sent("http://no-such-host.invalid")
    assert found.trouble is not None
    assert found.trouble.kind == "unresolved"


def test_no_answer_comes_in_time() -> None:
    def wait(connection: socket.socket) -> None:
        while connection.recv(4096):
            pass

    with raw_server(wait) as port:
        begun = time.monotonic()
        found = sent(f"http://127.0.0.1:{port}", OTEL_EXPORTER_OTLP_TIMEOUT="0.5")
        assert time.monotonic() - begun < 5
        assert found.trouble is not None
        assert found.trouble.kind == "timeout"
        found = sent(f"http://127.0.0.1:{port}", OTEL_EXPORTER_OTLP_TIMEOUT="0.5", OTEL_EXPORTER_OTLP_PROTOCOL="grpc")
        assert found.status in {"DEADLINE_EXCEEDED", "UNAVAILABLE"}


def test_an_endless_answer_is_not_read_to_its_end() -> None:
    def drip(connection: socket.socket) -> None:
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n")
        for _ in range(200):
            connection.sendall(b"x" * 100)
            time.sleep(0.05)

    with raw_server(drip) as port:
        begun = time.monotonic()
        found = sent(f"http://127.0.0.1:{port}", OTEL_EXPORTER_OTLP_TIMEOUT="0.5")
        assert time.monotonic() - begun < 5
        assert not found.accepted


def test_a_proxy_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    for name in ("NO_PROXY", "no_proxy", "http_proxy"):
        monkeypatch.delenv(name, raising=False)
    with OtlpReceiver() as receiver:
        found = sent(receiver.endpoint)
        assert found.trouble is not None
        assert found.trouble.kind == "proxy"
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert sent(receiver.endpoint).accepted


class Receiver(TraceServiceServicer):
    """Answers what it is told, and keeps what it was sent."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.code: grpc.StatusCode | None = None
        self.rejects = 0

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 the protocol's name
        self.metadata = dict(context.invocation_metadata())
        if self.code is not None:
            context.abort(self.code, "in these words")
        return ExportTraceServiceResponse(partial_success=ExportTracePartialSuccess(rejected_spans=self.rejects))


def test_over_grpc() -> None:
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    add_TraceServiceServicer_to_server(receiver := Receiver(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()

    def over_grpc(signal: Signal = "traces") -> Answer:
        return sent(
            f"http://127.0.0.1:{port}",
            signal,
            OTEL_EXPORTER_OTLP_PROTOCOL="grpc",
            OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20x",
            OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        )

    try:
        assert over_grpc().accepted
        assert receiver.metadata["authorization"] == "Bearer x"
        receiver.rejects = 1
        assert not over_grpc().accepted
        receiver.code = grpc.StatusCode.UNAUTHENTICATED
        found = over_grpc()
        assert (found.accepted, found.status, found.text) == (False, "UNAUTHENTICATED", "in these words")
        assert over_grpc("logs").status == "UNIMPLEMENTED"
    finally:
        server.stop(None).wait(5)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_certificate_that_is_missing(protocol: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # These go before the exporter's own.
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    found = sent(
        f"https://127.0.0.1:{closed_port()}",
        OTEL_EXPORTER_OTLP_PROTOCOL=protocol,
        OTEL_EXPORTER_OTLP_CERTIFICATE="/no/such/ca.crt",
    )
    assert found.trouble is not None
    assert found.trouble.kind == "file"
    assert "/no/such/ca.crt" in found.trouble.text


def test_a_plug_in_for_credentials_that_is_not_installed() -> None:
    variable = "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER"
    found = sent("http://127.0.0.1:1", **{variable: "nobody"})
    assert found.trouble is not None
    assert "nobody" in found.trouble.text
