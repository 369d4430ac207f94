"""Baggage as the settings have it: which entries become attributes, and which of them came from outside."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace
from opentelemetry.context import get_current

from otelext.capture.baggage import BAGGAGE, MAX_ENTRIES, entries, from_outside
from otelext.capture.failure import report_setup
from otelext.distro.awaited import when_imported
from otelext.processors import baggage
from otelext.processors.redaction.counts import COUNTS

if TYPE_CHECKING:
    from opentelemetry.context import Context

    from otelext.distro.config import Config

# The one that reads the `baggage` header, and the one that several, such as Jaeger's, are put together in.
_PROPAGATORS: Final = {
    "opentelemetry.baggage.propagation": "W3CBaggagePropagator",
    "opentelemetry.propagators.composite": "CompositePropagator",
}


def prepare(config: Config) -> None:
    """Let entries of baggage become attributes of spans and log records, and know those that headers brought."""
    if len(config.baggage_keys) > MAX_ENTRIES:
        report_setup("otelext: of %d keys of baggage the first %d are used", len(config.baggage_keys), MAX_ENTRIES)
    BAGGAGE.keys = config.baggage_keys
    BAGGAGE.trust = config.baggage_trust
    BAGGAGE.count = COUNTS.add
    # Not imported for it: the propagators cost a start, and without them no header is read.
    for module, propagator in _PROPAGATORS.items():
        when_imported(module, functools.partial(_mark, propagator))
    if config.baggage_keys:
        baggage.add(trace.get_tracer_provider())


def _mark(name: str, module: Any) -> None:
    """Mark what a propagator reads, whichever server or consumer it reads for: not all of them stand behind ours."""
    propagator = getattr(module, name)
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
