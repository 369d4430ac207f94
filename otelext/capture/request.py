"""What the ASGI middleware knows of a request before any inference of it has started."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

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


_FAILED: Final[ContextVar[tuple[int, type, Context] | None]] = ContextVar("otelext-failed", default=None)
"""The last exception that left a request in this task, by identity, and the context of that request."""


def note_failure(error: BaseException, context: Context) -> None:
    """Remember for whoever catches an exception outside, such as the server that logs it, whose it was.

    Beside the exception, which may be one object that several requests raise, and without keeping it alive: it is
    caught in the same task, whose variables die with it.

    Args:
        error: What leaves the request.
        context: The request's.
    """
    _FAILED.set((id(error), type(error), context))


def origin_of(error: BaseException) -> Context | None:
    """The context of the request that an exception left in this task; None for any other exception."""
    failed = _FAILED.get()
    return failed[2] if failed is not None and failed[0] == id(error) and failed[1] is type(error) else None


def request_of(context: Context) -> Request | None:
    """The request that `context` belongs to."""
    return context.get(REQUEST_KEY)  # type: ignore[return-value]  # nothing else is ever stored under the key
