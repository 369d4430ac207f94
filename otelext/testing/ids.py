"""Ids that are the same in every run."""

from __future__ import annotations

from itertools import count

from opentelemetry.sdk.trace.id_generator import IdGenerator


class DeterministicIdGenerator(IdGenerator):
    """Counts trace ids and span ids up from 1.

    The trace ids are not random, and the generator says so: spans carry no random-trace-id flag.
    """

    def __init__(self) -> None:
        self._traces = count(1)
        self._spans = count(1)

    def generate_span_id(self) -> int:
        """The next span id."""
        return next(self._spans)

    def generate_trace_id(self) -> int:
        """The next trace id."""
        return next(self._traces)

    def is_trace_id_random(self) -> bool:
        """Always False."""
        return False
