"""Baggage as attributes: which entries of a context are used, and which of them came from outside.

https://opentelemetry.io/docs/specs/otel/baggage/api/. What leaves of their values is decided at the exporters. An entry
that a request or a message brought is known by its very object: the service's own `set_baggage` puts another one there,
and copying contexts keeps it. Propagation is untouched: what is ignored here goes on with outgoing requests as before.
"""

from __future__ import annotations

import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context, create_key

from otelext import semconv
from otelext.capture.request import request_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_ENTRIES: Final = 16
"""Keys of baggage that become attributes; those named after them are left out."""
MAX_LENGTH: Final = 256
"""Characters of a value; longer ones are left out, since a part of an id would be another id."""

NONE: Final[Mapping[str, str]] = MappingProxyType({})
"""No entries."""

_OUTSIDE_KEY: Final = create_key("otelext-baggage-from-outside")
_MODULE: Final = "opentelemetry.baggage"
_LOADED: Final = sys.modules


class _Baggage:
    """What is used of baggage in this process; the distro sets it.

    Attributes:
        keys: The entries that become attributes, under their own names.
        trust: Whether entries that came from outside are used too.
        count: Takes `semconv.REDACTED_BAGGAGE` and how many named entries were ignored or over the bounds.
        key: The API's key for baggage in a context, once its module is loaded.
    """

    __slots__ = ("count", "key", "keys", "trust")

    def __init__(self) -> None:
        self.keys: tuple[str, ...] = (semconv.TENANT_ID, semconv.USER_ID, semconv.REQUEST_ID)
        self.trust = False
        self.count: Callable[[str, int], object] | None = None
        self.key: str | None = None


BAGGAGE: Final = _Baggage()
"""The process's."""


def _learn_key() -> str | None:
    # The module takes as long to import as a fifth of the SDK; without it nobody can have set baggage.
    set_baggage = getattr(_LOADED.get(_MODULE), "set_baggage", None)
    if set_baggage is not None:  # None: another thread is importing it
        BAGGAGE.key = next(iter(set_baggage("k", "v", Context())))
    return BAGGAGE.key


def entries(context: Context) -> Mapping[str, Any]:
    """Every baggage entry of `context`, whatever its value."""
    key = BAGGAGE.key or _learn_key()
    found = None if key is None else context.get(key)
    return found if isinstance(found, dict) else NONE


def from_outside(context: Context, before: Mapping[str, Any] = NONE) -> Context:
    """`context`, with its baggage known as come from outside.

    Args:
        context: A context as it was made of a request's or a message's headers.
        before: Entries that were there before; they stay what they were.
    """
    known: Any = context.get(_OUTSIDE_KEY) or NONE
    fresh = {key: value for key, value in entries(context).items() if before.get(key) is not value}
    return Context({**context, _OUTSIDE_KEY: {**known, **fresh}}) if fresh else context


def read(context: Context, *, outside: bool = False) -> Mapping[str, str]:
    """The entries of `context` that become attributes: named, within the bounds, and the service's own or trusted.

    The id of the request that `context` belongs to goes before one in the baggage.

    Args:
        context: The context.
        outside: Whether all of its baggage came from outside, known from elsewhere.
    """
    state = BAGGAGE
    key = state.key
    if key is None and (_MODULE not in _LOADED or (key := _learn_key()) is None):
        return NONE
    if key not in context:
        return NONE
    given = entries(context)
    foreign: Any = NONE if state.trust else context.get(_OUTSIDE_KEY) or NONE
    outside = outside and not state.trust
    found: dict[str, str] = {}
    left_out = 0
    for name in state.keys[:MAX_ENTRIES]:
        value = given.get(name)
        if value is None:
            continue
        if type(value) is not str or len(value) > MAX_LENGTH or outside or foreign.get(name) is value:
            left_out += 1
        else:
            found[name] = value
    if left_out and state.count is not None:
        state.count(semconv.REDACTED_BAGGAGE, left_out)
    if semconv.REQUEST_ID in found and (request := request_of(context)) is not None and request.request_id is not None:
        found[semconv.REQUEST_ID] = request.request_id
    return found


def whose(context: Context) -> dict[str, str]:
    """What says whose request `context` belongs to: the entries that `read` gives, and the request's id."""
    found = dict(read(context))
    request = request_of(context)
    if request is not None and request.request_id is not None:
        found[semconv.REQUEST_ID] = request.request_id
    return found
