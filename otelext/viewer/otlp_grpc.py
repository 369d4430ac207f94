"""OTLP/gRPC: the export services of traces, metrics and logs.

Status codes are those of https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-response.
"""

from __future__ import annotations

import concurrent.futures
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import code_pb2
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc

from otelext.viewer.errors import BatchTooLargeError, PortInUseError, StoreError
from otelext.viewer.otlp_http import COMMIT_WITHIN_S, RETRY_AFTER_S
from otelext.viewer.signals import LOGS, MAX_BODY, METRICS, TRACES

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from otelext.viewer.signals import Signal
    from otelext.viewer.store import Store

_THREADS: Final = 8


def start_grpc(store: Store, host: str, port: int) -> tuple[grpc.Server, int]:
    """Start the gRPC server.

    Args:
        store: Where to keep what comes.
        host: Address to listen on.
        port: Port to listen on, 0 for a free one.

    Returns:
        The running server and its port.

    Raises:
        PortInUseError: The port cannot be bound.
    """
    server = grpc.server(
        ThreadPoolExecutor(_THREADS, thread_name_prefix="otelext-otlp-grpc"),
        interceptors=[_MalformedIsInvalid()],
        options=[
            ("grpc.max_receive_message_length", MAX_BODY),
            ("grpc.so_reuseport", 0),  # else a port in use would be shared in silence
        ],
    )
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Traces(store), server)
    metrics_service_pb2_grpc.add_MetricsServiceServicer_to_server(_Metrics(store), server)
    logs_service_pb2_grpc.add_LogsServiceServicer_to_server(_Logs(store), server)
    try:
        bound = server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except RuntimeError as error:
        raise PortInUseError(f"port {port} of {host} cannot be used for OTLP/gRPC") from error
    server.start()
    return server, bound


class _Traces(trace_service_pb2_grpc.TraceServiceServicer):  # type: ignore[misc,name-defined,unused-ignore]
    def __init__(self, store: Store) -> None:
        self._store = store

    def Export(self, request: Message, context: grpc.ServicerContext) -> Message:  # noqa: N802 (gRPC's name)
        return _export(TRACES, request, context, self._store)


class _Metrics(metrics_service_pb2_grpc.MetricsServiceServicer):  # type: ignore[misc,name-defined,unused-ignore]
    def __init__(self, store: Store) -> None:
        self._store = store

    def Export(self, request: Message, context: grpc.ServicerContext) -> Message:  # noqa: N802 (gRPC's name)
        return _export(METRICS, request, context, self._store)


class _Logs(logs_service_pb2_grpc.LogsServiceServicer):  # type: ignore[misc,name-defined,unused-ignore]
    def __init__(self, store: Store) -> None:
        self._store = store

    def Export(self, request: Message, context: grpc.ServicerContext) -> Message:  # noqa: N802 (gRPC's name)
        return _export(LOGS, request, context, self._store)


def _export(signal: Signal, request: Message, context: grpc.ServicerContext, store: Store) -> Message:
    try:
        answer, committed = signal.receive(request, store)
        committed.result(COMMIT_WITHIN_S)
    except BatchTooLargeError as error:
        context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
    except StoreError as error:
        _unavailable(context, str(error))
    except concurrent.futures.TimeoutError:
        _unavailable(context, f"the store did not commit within {COMMIT_WITHIN_S:g} s")
    return answer


def _unavailable(context: grpc.ServicerContext, text: str) -> NoReturn:
    status = Status(code=code_pb2.UNAVAILABLE, message=text)
    status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=RETRY_AFTER_S)))
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNAVAILABLE, text)
    raise AssertionError(text)  # abort raises


class _MalformedIsInvalid(grpc.ServerInterceptor):  # type: ignore[type-arg,unused-ignore]
    """Parses requests itself: gRPC answers INTERNAL to what it cannot parse, OTLP asks for INVALID_ARGUMENT."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Any],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        handler = continuation(handler_call_details)
        if handler is None or handler.unary_unary is None:
            return handler

        def behaviour(raw: bytes, context: grpc.ServicerContext) -> Any:
            try:
                request = handler.request_deserializer(raw)
            except DecodeError as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"the message is malformed: {error}")
            return handler.unary_unary(request, context)

        return grpc.unary_unary_rpc_method_handler(
            behaviour, request_deserializer=None, response_serializer=handler.response_serializer
        )
