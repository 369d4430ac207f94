"""A global propagator that propagates nothing and breaks no request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.context import get_current
from opentelemetry.propagate import extract, set_global_textmap
from opentelemetry.propagators.textmap import TextMapPropagator

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
