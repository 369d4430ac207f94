"""The receiver of the tests, over gRPC."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import grpc

from tests.otlp_receiver import OtlpReceiver

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Self

_SERVICES: Final = {
    "trace.v1.TraceService": "/v1/traces",
    "metrics.v1.MetricsService": "/v1/metrics",
    "logs.v1.LogsService": "/v1/logs",
}


class GrpcReceiver(OtlpReceiver):
    """Receives over gRPC on a loopback port; what came is read as from an `OtlpReceiver`.

    Args:
        port: To listen on; 0 for a free one.
        before: Called with the call's context before a request is taken: it may wait, or end the call.
    """

    def __init__(self, port: int = 0, before: Callable[[grpc.ServicerContext], object] = lambda _: None) -> None:
        super().__init__()

        def handlers(service: str, path: str) -> grpc.GenericRpcHandler:  # type: ignore[type-arg]  # not at run time
            def export(request: bytes, context: grpc.ServicerContext) -> bytes:
                before(context)
                return self._take(path, request) or b""

            method = grpc.unary_unary_rpc_method_handler(export)
            return grpc.method_handlers_generic_handler(f"opentelemetry.proto.collector.{service}", {"Export": method})

        services = [handlers(service, path) for service, path in _SERVICES.items()]
        options = [("grpc.so_reuseport", 0)]  # else a port in use would be shared in silence
        self._grpc = grpc.server(ThreadPoolExecutor(4), handlers=services, options=options)
        self.port = self._grpc.add_insecure_port(f"127.0.0.1:{port}")
        self.endpoint = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._grpc.start()
        return super().__enter__()

    def __exit__(self, *args: object) -> None:
        self._grpc.stop(None).wait()
        super().__exit__(*args)
