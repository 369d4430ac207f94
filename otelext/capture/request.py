"""What the ASGI middleware knows of a request before any inference of it has started."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelext.capture.context import REQUEST_KEY

if TYPE_CHECKING:
    from opentelemetry.context import Context


class Request:
    """One request of an ASGI application.

    Attributes:
        entered_ns: `perf_counter_ns` at the moment the middleware was entered.
        request_id: Well-formed id, taken from the client or made.
        disconnected: Set once the server says that the client is gone; still read after the application returned.
        admitted: Whether an inference of this request has started, so that only the first has an admission time.
    """

    __slots__ = ("admitted", "disconnected", "entered_ns", "request_id")

    def __init__(self, entered_ns: int, request_id: str | None = None) -> None:
        self.entered_ns = entered_ns
        self.request_id = request_id
        self.disconnected = False
        self.admitted = False


def request_of(context: Context) -> Request | None:
    """The request that `context` belongs to."""
    return context.get(REQUEST_KEY)  # type: ignore[return-value]  # nothing else is ever stored under the key
