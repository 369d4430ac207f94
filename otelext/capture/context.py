"""The one context variable: which inference or stage runs here, carried in OpenTelemetry's own context.

Values are swapped by `attach` alone and never by a token: a token is bound to the `contextvars.Context`
that made it, so detaching in another task or thread fails and logs "Failed to detach context".
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final, Protocol

from opentelemetry import context as context_api
from opentelemetry import trace
from opentelemetry.context import Context, create_key
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext

from otelext.capture.collector import COLLECTOR, collecting

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelext.capture.inference import Inference
    from otelext.capture.span import Span

SPAN_KEY: Final[str] = next(iter(trace.set_span_in_context(trace.INVALID_SPAN, Context())))
"""The API's key for the current span, learned through its public function: span and scope go in by one copy."""

SCOPE_KEY: Final = create_key("otelext-scope")
REQUEST_KEY: Final = create_key("otelext-request")


_RUNTIME: Final[object] = getattr(context_api, "_RUNTIME_CONTEXT", None)
_VARIABLE: Final[object] = getattr(_RUNTIME, "_current_context", None)
_get, _put = (
    (_VARIABLE.get, _VARIABLE.set)
    if type(_RUNTIME) is ContextVarsRuntimeContext and isinstance(_VARIABLE, ContextVar)
    else (context_api.get_current, context_api.attach)
)


def accessors() -> tuple[Callable[[], Context], Callable[[Context], object]]:
    """The API's `get_current` and `attach`, or those of its own context variable: a quarter of the cost.

    For who calls them often. Another library may put a runtime context of its own in the API's place at any time.
    """
    if context_api._RUNTIME_CONTEXT is _RUNTIME:  # noqa: SLF001  # the API offers no public way to ask
        return _get, _put
    return context_api.get_current, context_api.attach


def get_current() -> Context:
    """The current context: an empty one where the garbage collector came in between, whose is somebody else's."""
    if COLLECTOR.thread and collecting():
        return Context()
    return _get() if context_api._RUNTIME_CONTEXT is _RUNTIME else context_api.get_current()  # noqa: SLF001  # as above


def attach(context: Context) -> None:
    """Make `context` the current one, unless the garbage collector came in between."""
    if COLLECTOR.thread and collecting():
        return
    if context_api._RUNTIME_CONTEXT is _RUNTIME:  # noqa: SLF001  # as above
        _put(context)
    else:
        context_api.attach(context)


class Scope(Protocol):
    """What stands under `SCOPE_KEY`: an inference or a running stage."""

    @property
    def outer(self) -> Context:
        """The context around it."""
        ...

    @property
    def end_ns(self) -> int | None:
        """Its end, None while it runs."""
        ...

    @property
    def owner(self) -> Inference | None:
        """The inference that this scope belongs to."""
        ...


def enclosing(context: Context) -> Scope | None:
    """The innermost inference or stage of `context`, ended or not."""
    return context.get(SCOPE_KEY)  # type: ignore[return-value]  # nothing else is ever stored under the key


def open_inference(context: Context) -> Inference | None:
    """The innermost inference of `context` that has not ended."""
    scope = enclosing(context)
    while scope is not None:
        owner = scope.owner
        if owner is not None and owner.end_ns is None:
            return owner
        scope = enclosing((owner or scope).outer)
    return None


def entered(context: Context, scope: Scope, span: trace.Span | Span | None) -> Context:
    """`context` with `scope` as the innermost, and `span` as the current span unless it is None."""
    if span is None:
        return Context({**context, SCOPE_KEY: scope})
    return Context({**context, SPAN_KEY: span, SCOPE_KEY: scope})


def leave(inner: Context, outer: Context) -> None:
    """Make `outer` current again, if `inner` still is.

    Where scopes were left out of order, `outer` may belong to one that has ended: then the nearest
    one still open is restored, so that nothing of ours stays behind.
    """
    if get_current() is not inner:
        return
    scope = enclosing(outer)
    while scope is not None and scope.end_ns is not None:
        outer = scope.outer
        scope = enclosing(outer)
    attach(outer)


def restore(scope: Scope, outer: Context) -> None:
    """Make `outer` current again, if what is current lies within `scope`.

    A suspended coroutine that is closed rather than resumed, as the garbage collector does, runs its last lines in
    the context of whoever closed it, which must stay as it is.
    """
    within = enclosing(get_current())
    while within is not None and within is not scope:
        within = enclosing(within.outer)
    if within is not None:
        attach(outer)
