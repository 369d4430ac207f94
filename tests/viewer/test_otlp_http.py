from __future__ import annotations

import gzip
import http.client
import io
import json
import socket
import time
import zlib
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import pytest
from google.protobuf import json_format
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from otelext.viewer import otlp_http
from otelext.viewer.errors import StoreBusyError
from otelext.viewer.otlp_http import gunzip, otlp_http_app
from otelext.viewer.signals import MAX_BODY
from otelext.viewer.store import Store
from tests.viewer import messages
from tests.viewer.running import ask

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from tests.viewer.running import RunningViewer

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}
START = 10**18

REQUESTS: dict[str, tuple[Message, type[Message]]] = {
    "traces": (messages.traces(3), ExportTraceServiceResponse),
    "metrics": (messages.counter("m", 1, start_ns=START, time_ns=START + 1), ExportMetricsServiceResponse),
    "logs": (messages.logs(2), ExportLogsServiceResponse),
}


def post(viewer: RunningViewer, path: str, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(f"{viewer.otlp_http}/v1/{path}", content=body, headers=headers, trust_env=False, timeout=30)


@pytest.mark.parametrize("signal", REQUESTS)
@pytest.mark.parametrize("packed", [False, True])
def test_protobuf_is_answered_in_protobuf(receiver: RunningViewer, signal: str, packed: bool) -> None:
    request, response = REQUESTS[signal]
    body = request.SerializeToString()
    headers = {**PROTOBUF, "content-encoding": "gzip"} if packed else PROTOBUF
    answer = post(receiver, signal, gzip.compress(body) if packed else body, headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-protobuf")
    assert response.FromString(answer.content) == response()


@pytest.mark.parametrize("signal", REQUESTS)
def test_json_is_answered_in_json(receiver: RunningViewer, signal: str) -> None:
    document = json_format.MessageToDict(REQUESTS[signal][0])
    for group in document.get("resourceSpans", []):
        for span in group["scopeSpans"][0]["spans"]:
            span.update(traceId="0af7651916cd43dd8448eb211c80319c", spanId="b7ad6b7169203331")
    answer = post(receiver, signal, json.dumps(document).encode(), {"content-type": "application/json; charset=utf-8"})
    assert (answer.status_code, answer.headers["content-type"], answer.json()) == (200, "application/json", {})


def test_an_empty_request_is_accepted(receiver: RunningViewer) -> None:
    assert post(receiver, "traces", b"", PROTOBUF).status_code == 200
    assert post(receiver, "traces", b"{}", JSON).status_code == 200


@pytest.mark.parametrize("headers", [PROTOBUF, JSON])
def test_a_malformed_body_is_400_with_a_status_in_the_request_s_type(
    receiver: RunningViewer, headers: dict[str, str]
) -> None:
    answer = post(receiver, "traces", b"\x0a\xff\xff\xff{", headers)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == headers["content-type"]
    status = Status()
    if headers is JSON:
        json_format.Parse(answer.text, status)
    else:
        status.ParseFromString(answer.content)
    assert status.code == 3
    assert status.message


@pytest.mark.parametrize(
    "body", [b"no gzip", gzip.compress(b"x" * 1000)[:-9], gzip.compress(b"x" * 1000)[:-4] + b"abcd", b""]
)
def test_damaged_gzip_is_400_and_an_empty_body_nothing(receiver: RunningViewer, body: bytes) -> None:
    answer = post(receiver, "traces", body, {**PROTOBUF, "content-encoding": "gzip"})
    assert answer.status_code == (400 if body else 200)


def test_a_gzip_bomb_is_413_and_the_viewer_lives(receiver: RunningViewer) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join([*(packer.compress(bytes(10**7)) for _ in range(100)), packer.flush()])
    assert len(bomb) < 1_100_000
    answer = post(receiver, "traces", bomb, {**PROTOBUF, "content-encoding": "gzip"})
    assert answer.status_code == 413
    assert Status.FromString(answer.content).message.startswith("the body has more than")
    assert post(receiver, "traces", b"", PROTOBUF).status_code == 200


def test_an_oversized_body_is_413_announced_or_not(receiver: RunningViewer) -> None:
    where = urlsplit(receiver.otlp_http)
    connection = http.client.HTTPConnection(str(where.hostname), where.port or 0, timeout=30)
    connection.putrequest("POST", "/v1/traces")
    connection.putheader("content-type", "application/x-protobuf")
    connection.putheader("content-length", str(MAX_BODY + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()

    with socket.create_connection((where.hostname, where.port), timeout=30) as raw:
        raw.sendall(
            b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/x-protobuf\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
        chunk = b"100000\r\n" + bytes(0x100000) + b"\r\n"
        try:
            for _ in range(MAX_BODY // 0x100000 + 2):
                raw.sendall(chunk)
        except OSError:
            pass  # the answer came before the end of the body
        assert raw.recv(100).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/v1/traces", {"content-type": "text/plain"}, 415),
        ("POST", "/v1/traces", {}, 415),
        ("POST", "/v1/traces", {**PROTOBUF, "content-encoding": "br"}, 415),
        ("GET", "/v1/traces", PROTOBUF, 405),
        ("PUT", "/v1/logs", PROTOBUF, 405),
        ("POST", "/v1/profiles", PROTOBUF, 404),
        ("POST", "/", PROTOBUF, 404),
    ],
)
def test_what_is_no_otlp_gets_the_status_of_the_specification(
    receiver: RunningViewer, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    answer = httpx.request(method, f"{receiver.otlp_http}{path}", headers=headers, trust_env=False)
    assert answer.status_code == status


def test_records_without_valid_ids_are_a_partial_success(receiver: RunningViewer) -> None:
    request = messages.traces(3)
    request.resource_spans[0].scope_spans[0].spans[1].span_id = b""
    request.resource_spans[0].scope_spans[0].spans[2].trace_id = bytes(16)
    answer = ExportTraceServiceResponse.FromString(
        post(receiver, "traces", request.SerializeToString(), PROTOBUF).content
    )
    assert answer.partial_success.rejected_spans == 2
    assert "trace_id" in answer.partial_success.error_message


def test_a_histogram_that_contradicts_itself_is_a_partial_success(receiver: RunningViewer) -> None:
    request = messages.histogram("h", [1, 2], [1.0, 2.0, 3.0], start_ns=START, time_ns=START + 1)
    body = post(receiver, "metrics", request.SerializeToString(), PROTOBUF).content
    answer = ExportMetricsServiceResponse.FromString(body)
    assert answer.partial_success.rejected_data_points == 1
    assert "metric h: 2 bucket counts for 3 bounds" in answer.partial_success.error_message


class FullStore(Store):
    def submit(self, rows: Any) -> Future[None]:
        raise StoreBusyError("100000 records wait to be written")


def test_a_store_that_cannot_keep_up_is_503_with_retry_after() -> None:
    body = messages.traces().SerializeToString()
    with FullStore() as store:
        answer = ask(otlp_http_app(store), "POST", "/v1/traces", content=body, headers=PROTOBUF)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert Status.FromString(answer.content).code == 14


class StuckStore(Store):
    def submit(self, rows: Any) -> Future[None]:
        return Future()


def test_a_commit_that_does_not_come_is_503_with_retry_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp_http, "COMMIT_WITHIN_S", 0.05)
    body = messages.traces().SerializeToString()
    with StuckStore() as store:
        answer = ask(otlp_http_app(store), "POST", "/v1/traces", content=body, headers=PROTOBUF)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "did not commit within 0.05 s" in Status.FromString(answer.content).message


def test_records_that_are_too_large_once_flattened_are_413(receiver: RunningViewer) -> None:
    body = messages.traces(1000, resource_padding=100_000).SerializeToString()
    assert len(body) < 300_000
    answer = post(receiver, "traces", body, PROTOBUF)
    assert answer.status_code == 413
    assert "1,000 records came to" in Status.FromString(answer.content).message


@pytest.mark.parametrize(
    "bounds", [[1.0, float("inf")], [float("-inf"), 1.0], [float("nan")], [float("nan"), float("nan")], [1.7e308]]
)
def test_bounds_that_are_not_finite_are_a_partial_success(receiver: RunningViewer, bounds: list[float]) -> None:
    request = messages.histogram("h", [1] * (len(bounds) + 1), bounds, start_ns=START, time_ns=START + 1)
    body = post(receiver, "metrics", request.SerializeToString(), PROTOBUF).content
    partial = ExportMetricsServiceResponse.FromString(body).partial_success
    assert partial.rejected_data_points == 1
    assert "explicit bounds must be finite" in partial.error_message


def test_a_body_of_a_million_members_takes_no_longer_than_they_do() -> None:
    def packed(members: int) -> float:
        body = gzip.compress(b"") * members
        begin = time.process_time()
        assert gunzip(body) == b""
        return time.process_time() - begin

    # Five times as many are 25 times the work where each copies what follows it.
    assert packed(200_000) < 12 * max(packed(40_000), 0.01)


@given(st.lists(st.binary(max_size=2000), max_size=4))
def test_gzip_of_any_members_is_what_was_packed(parts: list[bytes]) -> None:
    assert gunzip(b"".join(map(gzip.compress, parts))) == b"".join(parts)


@given(st.binary(min_size=1, max_size=3000), st.integers(0, 3000))
def test_a_limit_lets_through_what_fits_and_nothing_more(content: bytes, limit: int) -> None:
    packed = io.BytesIO(gzip.compress(content)).getvalue()
    if len(content) <= limit:
        assert gunzip(packed, limit) == content
    else:
        with pytest.raises(OverflowError, match=str(limit)):
            gunzip(packed, limit)
