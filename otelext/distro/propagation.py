"""A global propagator that propagates nothing and breaks no request; and baggage that is known as come from outside."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from opentelemetry.context import get_current
from opentelemetry.propagate import extract, set_global_textmap
from opentelemetry.propagators.textmap import TextMapPropagator

from otelext.capture.baggage import entries, from_outside

if TYPE_CHECKING:
    from opentelemetry.context import Context


class NoPropagation(TextMapPropagator):
    """Reads nothing from a request and writes nothing into one."""

    def extract(self, carrier: Any, context: Context | None = None, getter: Any = None) -> Context:  # noqa: ARG002  # the API's signature
        """The context as it is."""
        return get_current() if context is None else context

    def inject(self, carrier: Any, context: Context | None = None, setter: Any = None) -> None:
        """Nothing."""

    @property
    def fields(self) -> set[str]:
        """No fields."""
        return set()


def keep_contexts() -> None:
    """Replace a global propagator that gives no context.

    A declarative file without propagators sets an empty composite, whose `extract` returns None; instrumentations
    attach that, and from then on every request fails.
    """
    extracted: object = extract({})
    if extracted is None:
        set_global_textmap(NoPropagation())


def mark_baggage(module: Any) -> None:
    """Have baggage that is read from headers known as such, whichever server or consumer reads it.

    Args:
        module: `opentelemetry.baggage.propagation`.
    """
    propagator = module.W3CBaggagePropagator
    original = propagator.extract
    if getattr(original, "_otelext", False):
        return

    @functools.wraps(original)
    def extract(self: Any, carrier: Any, context: Context | None = None, *args: Any, **kwargs: Any) -> Context:
        before = get_current() if context is None else context
        found: Context = original(self, carrier, before, *args, **kwargs)
        return found if found is before else from_outside(found, entries(before))

    extract._otelext = True  # type: ignore[attr-defined]  # noqa: SLF001
    propagator.extract = extract
