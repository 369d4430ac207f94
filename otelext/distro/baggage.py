"""Baggage as the settings have it: which entries are used, on the SDK's spans too, and which are from outside."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import get_current

from otelext.capture.baggage import BAGGAGE, MAX_ENTRIES, entries, from_outside
from otelext.capture.failure import report
from otelext.distro.awaited import when_imported
from otelext.processors.baggage import add
from otelext.processors.redaction.counts import COUNTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.context import Context

_PROPAGATION: Final = "opentelemetry.baggage.propagation"


def prepare(keys: Sequence[str], *, trust: bool, provider: Any) -> None:
    """Use baggage as the settings say, and have what is read from headers known as come from outside.

    Args:
        keys: The entries that become attributes.
        trust: Whether those from outside are used too.
        provider: The global tracer provider, whose spans get the attributes where it is the SDK's.
    """
    if len(keys) > MAX_ENTRIES:
        report("otelext: of %d keys of baggage the first %d are used", len(keys), MAX_ENTRIES)
    BAGGAGE.keys = tuple(keys)
    BAGGAGE.trust = trust
    BAGGAGE.count = COUNTS.add
    when_imported(_PROPAGATION, _mark)
    if keys:
        add(provider)


def _mark(module: Any) -> None:
    """Mark what the propagator reads, whichever server or consumer it reads for: not all of them stand behind ours."""
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
