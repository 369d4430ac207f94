"""A peer's spans are counted, as one that emits nothing, or drops what its queue can't hold, would look cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cpu import measuring
from opentelemetry.sdk.trace.export import SpanExportResult
from peers.request import AFTER_IT, BEFORE_FIRST_TOKEN
from providers import Discard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.trace import ReadableSpan
    from rounds import Figures, Measure

_SPANS = len((*BEFORE_FIRST_TOKEN, AFTER_IT)) + 1


class Counted(Discard):
    """Takes spans and keeps their number."""

    def __init__(self) -> None:
        self.spans = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Count."""
        self.spans += len(spans)
        return SpanExportResult.SUCCESS


def measuring_counted(request: Callable[[], None], flush: Callable[[], object], exporter: Counted) -> Measure:
    """What a request costs, given that its spans all reach the exporter."""
    measure = measuring(request, flush)

    def measured(repetitions: int) -> Figures:
        before = exporter.spans
        figures = measure(repetitions)
        if exporter.spans - before != repetitions * _SPANS:
            raise RuntimeError(f"{repetitions} requests gave {exporter.spans - before} spans and not {_SPANS} each")
        return figures

    return measured
