"""A trace backend that answers as Tempo's API does, since no Tempo can be built here: OTLP in, traces by id out.

https://grafana.com/docs/tempo/latest/api_docs/#query-v2: the JSON is protobuf's, with ids as bytes in base64.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from tests.doctor.sockets import http_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class _Traces(TraceServiceServicer):
    def __init__(self) -> None:
        self.kept: dict[str, list[Any]] = {}

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802 the protocol's name
        for of_resource in request.resource_spans:
            for of_scope in of_resource.scope_spans:
                for span in of_scope.spans:
                    self.kept.setdefault(span.trace_id.hex(), []).append(MessageToDict(span))
        return ExportTraceServiceResponse()


@contextmanager
def tempo(token: str) -> Iterator[tuple[str, str]]:
    """Its address for OTLP over gRPC, and that of its API, which asks for a bearer token."""
    traces = _Traces()

    def answer(_method: str, path: str, headers: Mapping[str, str], _body: bytes) -> Any:
        if headers.get("authorization") != f"Bearer {token}":
            return 401, {}, b"invalid token"
        if path == "/api/echo":
            return 200, {}, b"echo"
        spans = traces.kept.get(path.removeprefix("/api/v2/traces/"))
        if spans is None:
            return 404, {}, b"trace not found"
        found = {"trace": {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}, "metrics": {}}
        return 200, {"content-type": "application/json"}, json.dumps(found).encode()

    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    add_TraceServiceServicer_to_server(traces, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with http_server(answer) as api:
            yield f"127.0.0.1:{port}", f"http://127.0.0.1:{api}"
    finally:
        server.stop(None).wait(10)
