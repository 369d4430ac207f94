from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2_grpc import MetricsServiceStub
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from otelext.viewer.errors import PortInUseError, StoreBusyError
from otelext.viewer.otlp_grpc import start_grpc
from otelext.viewer.signals import MAX_BODY
from otelext.viewer.store import Store
from tests.viewer import messages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

    from tests.viewer.running import RunningViewer

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


@pytest.fixture
def channel(receiver: RunningViewer) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(receiver.otlp_grpc.removeprefix("http://")) as opened:
        yield opened


def raw(channel: grpc.Channel, method: str) -> Any:
    """A call that sends bytes as they are."""
    return channel.unary_unary(method, request_serializer=None, response_deserializer=None)


def test_a_request_is_accepted_plain_and_gzip(channel: grpc.Channel) -> None:
    stub = TraceServiceStub(channel)
    for packed in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        answer = stub.Export(messages.traces(5), compression=packed, timeout=30)
        assert not answer.HasField("partial_success")


def test_records_that_cannot_be_kept_are_a_partial_success(channel: grpc.Channel) -> None:
    request = messages.histogram("h", [1, 2], [3.0, 2.0], start_ns=1, time_ns=2)
    answer = MetricsServiceStub(channel).Export(request, timeout=30)
    assert answer.partial_success.rejected_data_points == 1


def test_a_malformed_message_is_invalid_argument(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        raw(channel, EXPORT)(b"\x0a\xff\xff\xff{", timeout=30)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("packed", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_an_oversized_message_is_resource_exhausted(channel: grpc.Channel, packed: grpc.Compression) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        raw(channel, EXPORT)(bytes(MAX_BODY + 1), compression=packed, timeout=30)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_an_unknown_service_is_unimplemented(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        raw(channel, "/opentelemetry.proto.collector.profiles.v1.ProfilesService/Export")(b"", timeout=30)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


class FullStore(Store):
    def submit(self, rows: Any) -> Future[None]:
        raise StoreBusyError("100000 records wait to be written")


def test_a_store_that_cannot_keep_up_is_unavailable_and_says_when_to_come_again() -> None:
    with FullStore() as store:
        server, port = start_grpc(store, "127.0.0.1", 0)
        try:
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel, pytest.raises(grpc.RpcError) as raised:
                TraceServiceStub(channel).Export(messages.traces(), timeout=30)
        finally:
            server.stop(0).wait()
    assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
    metadata: Any = raised.value.trailing_metadata()
    details = dict(metadata)["grpc-status-details-bin"]
    retry = RetryInfo()
    assert Status.FromString(details).details[0].Unpack(retry)
    assert retry.retry_delay.seconds == 1


def test_records_that_are_too_large_once_flattened_are_resource_exhausted(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        TraceServiceStub(channel).Export(messages.traces(1000, resource_padding=100_000), timeout=30)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_port_in_use_is_an_error_and_never_shared(store: Store) -> None:
    server, port = start_grpc(store, "127.0.0.1", 0)
    try:
        with pytest.raises(PortInUseError, match=str(port)):
            start_grpc(store, "127.0.0.1", port)
    finally:
        server.stop(0).wait()
