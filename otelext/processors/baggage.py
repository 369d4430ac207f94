"""A span processor: baggage as attributes of the SDK's spans; our own spans read it themselves, in both lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import get_current
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.trace import SpanKind

from otelext import semconv
from otelext.capture.baggage import read
from otelext.capture.failure import report
from otelext.processors.genai import GenAISpanProcessor
from otelext.processors.placing import SPANS, leaves, put_once

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

_ENTRANCES: Final = frozenset({SpanKind.SERVER, SpanKind.CONSUMER})


class BaggageSpanProcessor(SpanProcessor):
    """Puts the entries of baggage that `otelext.capture.baggage` names on spans at their start.

    A span keeps its own attribute of the same name. What a span of kind SERVER or CONSUMER starts with came from
    outside, and is ignored unless trusted.
    """

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Add the attributes. Never raises."""
        try:
            scope = span.instrumentation_scope
            if scope is not None and scope.name == semconv.SCOPE_NAME:
                return
            context = get_current() if parent_context is None else parent_context
            found = read(context, outside=span.kind in _ENTRANCES)
            if not found:
                return
            given = span.attributes or {}
            span.set_attributes({key: value for key, value in found.items() if key not in given})
        except Exception:  # noqa: BLE001  # the user's span starts without
            report("otelext could not put baggage on a span", exc_info=True)


def add(provider: Any) -> bool:  # the SDK's TracerProvider, or whatever is global
    """Put a `BaggageSpanProcessor` among the processors of a tracer provider, once: before all but ours that counts.

    Returns:
        Whether one is there. It never raises.
    """
    try:
        active: Any = getattr(provider, "_active_span_processor", None)
        found = tuple(leaves(active))
        if any(isinstance(leaf, BaggageSpanProcessor) for leaf in found):
            return True
        # In front of those that look at attributes at the start.
        return put_once(
            active, SPANS, BaggageSpanProcessor, at=int(isinstance(next(iter(found), None), GenAISpanProcessor))
        )
    except Exception:  # noqa: BLE001  # spans go without
        report("otelext could not add its processor of baggage", exc_info=True)
        return False
