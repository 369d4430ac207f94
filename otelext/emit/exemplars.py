"""Which traces may give exemplars: a share of them, known from the trace id alone.

Behind tail sampling most traces are gone, and an exemplar of one of them leads nowhere. So each process of a
distributed trace comes to the same choice without asking the others, and the trace's spans carry `otelext.exemplar`,
by which a gateway keeps it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.trace import SpanContext

_ALL: Final = 1 << 32
_LAST: Final = _ALL - 1


class ExemplarTraces:
    """The chosen traces. One that is chosen at a ratio is chosen at every greater one.

    The algorithm is that of the SDK's `TraceIdRatioBased` sampler, on the last 32 bits of the trace id. Samplers decide
    by the leading ones of its random bits (`TraceIdRatioBased` of 64, OTEP 235 of 56), so that the ratio is that of the
    sampled traces too, however few they are. W3C trace context demands that these bits are random:
    https://www.w3.org/TR/trace-context-2/#random-trace-id-flag
    """

    __slots__ = ("_bound",)

    def __init__(self) -> None:
        self._bound: int | None = None

    def choose(self, ratio: float | None) -> None:
        """Choose a share of all traces.

        Args:
            ratio: From 0 to 1; None if nobody asked for a choice, and no span is to say that it was chosen.
        """
        self._bound = None if ratio is None else round(ratio * _ALL)

    def include(self, span: SpanContext | None) -> bool:
        """Whether a span of this context is sampled and of a chosen trace."""
        bound = self._bound
        return bound is not None and span is not None and span.trace_id & _LAST < bound and span.trace_flags.sampled


EXEMPLAR_TRACES: Final = ExemplarTraces()
"""The process's choice."""
