"""Baggage in this process: which entries become attributes, and whether those of requests are trusted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry import trace

from otelext.capture.baggage import BAGGAGE
from otelext.distro.awaited import when_imported
from otelext.distro.propagation import mark_baggage
from otelext.processors import baggage
from otelext.processors.redaction.counts import COUNTS

if TYPE_CHECKING:
    from otelext.distro.config import Config


def prepare(config: Config) -> None:
    """Let entries of baggage become attributes of spans and log records."""
    BAGGAGE.keys = config.baggage_keys
    BAGGAGE.trust = config.baggage_trust
    BAGGAGE.count = COUNTS.add
    when_imported("opentelemetry.baggage.propagation", mark_baggage)
    baggage.add(trace.get_tracer_provider())
