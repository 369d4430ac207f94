"""The gRPC channel that OTLP exporters send through: as `session.py` over HTTP, retries that end when the process does.

The exporters take no channel from outside, so that the two functions by which their module opens one are wrapped.
"""

from __future__ import annotations

import functools
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import grpc

from otelext.distro.delivery import RefusedError, UnreachedError, deliver

if TYPE_CHECKING:
    from collections.abc import Callable

_EXPORTER: Final = "opentelemetry.exporter.otlp.proto.grpc.exporter"
_SCHEMES: Final = {"insecure_channel": "http", "secure_channel": "https"}
_UNREACHED: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
_REFUSALS: Final = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
_DEFAULT_BUDGET_S: Final = 10.0
_RETRY_INFO: Final = "google.rpc.retryinfo-bin"


class ExportChannel:
    """What the exporters need of a channel; a receiver that can't be reached is tried again within their time-out."""

    def __init__(self, connect: Callable[[], grpc.Channel], place: str) -> None:
        """Connect at the first call.

        Args:
            connect: Opens the channel of gRPC's that stands behind.
            place: Scheme, host and port, for the log line.
        """
        self._connect = connect
        self._place = place
        self._channel: grpc.Channel | None = None

    def unary_unary(self, *args: Any, **kwargs: Any) -> Callable[..., Any]:
        """The remote procedure, which raises `UndeliveredError` where nobody answers, or who does refuses the sender."""

        def call(request: Any, timeout: float | None = None, **options: Any) -> Any:
            def attempt(budget: float) -> Any:
                if self._channel is None:
                    self._channel = self._connect()
                try:
                    return self._channel.unary_unary(*args, **kwargs)(request, timeout=budget, **options)
                except grpc.RpcError as error:
                    if _code(error) in _REFUSALS:
                        raise RefusedError(f"{_code(error).name}: {error.details()}") from error
                    if _code(error) not in _UNREACHED:
                        raise  # the receiver's answer, with which the exporter deals
                    delay = _retry_delay(error)
                    if delay is not None:
                        raise UnreachedError(_reason(error), delay) from error
                    # A channel that failed waits ever longer before it connects anew, or never does:
                    # https://github.com/open-telemetry/opentelemetry-python/issues/4517
                    self.close()
                    raise UnreachedError(_reason(error)) from error

            return deliver(attempt, self._place, _DEFAULT_BUDGET_S if timeout is None else timeout)

        return call

    def close(self) -> None:
        """Close the connection; an attempt that is under way ends."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()


def install() -> None:
    """Let the exporters made from now on send through an `ExportChannel`, once."""
    # What a later exporter has no longer is left out: it then retries in its own way.
    try:
        module = import_module(_EXPORTER)
    except ImportError:
        return
    for name, scheme in _SCHEMES.items():
        original = getattr(module, name, None)
        if original is not None and not getattr(original, "_otelext", False):
            setattr(module, name, _opening(original, scheme))


def _opening(original: Callable[..., grpc.Channel], scheme: str) -> Callable[..., ExportChannel]:
    @functools.wraps(original)
    def open_channel(target: str, *args: Any, **kwargs: Any) -> ExportChannel:
        place = f"{scheme}://{target.rpartition('@')[2]}"  # what stands before may be credentials
        return ExportChannel(lambda: original(target, *args, **kwargs), place)

    open_channel._otelext = True  # type: ignore[attr-defined]  # noqa: SLF001
    return open_channel


def _code(error: Any) -> grpc.StatusCode:
    code: grpc.StatusCode = error.code()  # what is raised is a call too
    return code


def _retry_delay(error: Any) -> float | None:
    """Seconds that the receiver asks for: https://opentelemetry.io/docs/specs/otlp/#otlpgrpc-throttling."""
    for key, value in error.trailing_metadata() or ():
        if key == _RETRY_INFO:
            from google.rpc.error_details_pb2 import RetryInfo  # noqa: PLC0415  # comes with the exporter

            delay = RetryInfo.FromString(value).retry_delay
            return float(delay.seconds + delay.nanos / 1e9)
    return None


def _reason(error: Any) -> str:
    """The words at the end of what gRPC wrapped, such as the operating system's."""
    details = str(error.details() or "").rpartition(": ")[2].rstrip("]")
    return details or _code(error).name
