"""What no sender should send is answered with what is wrong, and harms nobody."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Final

import grpc
import httpx
import pytest

from tests.stack.signals import SIGNALS, TRACES
from tests.stack.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROTOBUF: Final = "application/x-protobuf"
HUGE: Final = 50_000_000
EXPORT: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
MIB: Final = 2**20


@pytest.fixture(scope="module")
def stack(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The Collector alone: nothing of this goes any further."""
    with Stack(tmp_path_factory.mktemp("bad") / "stack", programs) as stack:
        stack.start("collector")
        yield stack


@pytest.fixture(autouse=True)
def unharmed(stack: Stack) -> Iterator[None]:
    before = stack.collector.anonymous_memory()
    yield
    for signal in SIGNALS:
        assert post(stack, signal.path, signal.request("well-behaved", 1, 1, 0)).status_code == 200
    # The largest body that is read, its copy while it grows, and what the collector of garbage has not seen yet.
    assert stack.collector.anonymous_memory() - before < 100 * MIB


def post(stack: Stack, path: str, body: bytes, **headers: str) -> httpx.Response:
    sent = {"content-type": PROTOBUF, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return httpx.post(stack.otlp_http + path, content=body, headers=sent, trust_env=False, timeout=60)


@pytest.mark.parametrize("path", [signal.path for signal in SIGNALS])
@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        pytest.param(b"\xff" * 1000, {}, 400, id="no protobuf"),
        pytest.param(TRACES.request("cut", 1, 10, 100)[:-7], {}, 400, id="cut off"),
        pytest.param(b'{"resourceSpans": [', {"content_type": "application/json"}, 400, id="no json"),
        pytest.param(b"hello", {"content_type": "text/plain"}, 415, id="text"),
        pytest.param(b"", {"content_type": ""}, 415, id="no type"),
        pytest.param(b"\x1f\x8bno", {"content_encoding": "gzip"}, 400, id="no gzip"),
        pytest.param(b"hello", {"content_encoding": "rot13"}, 400, id="unknown encoding"),
        pytest.param(gzip.compress(b"\0" * HUGE), {"content_encoding": "gzip"}, 400, id="huge once decompressed"),
    ],
)
def test_malformed_requests_are_answered(
    stack: Stack, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = post(stack, path, body, **headers)
    assert answer.status_code == status, answer.text
    assert answer.content


@pytest.mark.parametrize("path", [signal.path for signal in SIGNALS])
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "in chunks"])
def test_huge_bodies_are_refused(stack: Stack, path: str, announced: bool) -> None:
    chunk = b"\0" * MIB
    headers = {"content-type": PROTOBUF} | ({"content-length": str(HUGE // MIB * MIB)} if announced else {})
    chunks = (chunk for _ in range(HUGE // MIB))
    answer = httpx.post(stack.otlp_http + path, content=chunks, headers=headers, trust_env=False, timeout=60)
    assert answer.status_code == 400
    assert "too large" in answer.text


def test_other_paths_and_methods_are_refused(stack: Stack) -> None:
    assert httpx.get(stack.otlp_http + TRACES.path, trust_env=False).status_code == 405
    assert post(stack, "/v1/nothing", b"").status_code == 404


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"\xff" * 1000, grpc.StatusCode.INTERNAL, id="no protobuf"),
        pytest.param(b"\0" * HUGE, grpc.StatusCode.RESOURCE_EXHAUSTED, id="huge"),
    ],
)
def test_malformed_calls_are_answered(stack: Stack, body: bytes, code: grpc.StatusCode) -> None:
    with grpc.insecure_channel(stack.otlp_grpc) as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(EXPORT, None, None)(body, timeout=60)
    assert raised.value.code() is code
