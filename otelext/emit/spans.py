"""Light spans as the SDK's `ReadableSpan`s, handed to the provider's processors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, SpanKind

from otelext import semconv
from otelext.capture import timing
from otelext.capture.span import Span
from otelext.emit.exemplars import EXEMPLAR_TRACES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelext.capture.inference import Inference
    from otelext.capture.stage import RunningStage
    from otelext.capture.timing import Figures


def end_inference(inference: Inference, figures: Figures) -> None:
    """Hand an ended inference's light span to the processors; a span of the SDK's lane has ended already."""
    span = inference.span
    if type(span) is not Span:
        return
    if span.sealed:
        _end(inference.binding.tracer, span, {}, None)
        return
    event = None
    if inference.first_ns is not None:
        event = (semconv.FIRST_TOKEN_EVENT, inference.wall(inference.first_ns))
    _end(inference.binding.tracer, span, timing.span_attributes(inference, figures), event)


def end_stage(running: RunningStage) -> None:
    """Hand an ended stage's light span to the processors."""
    span = running.span
    if type(span) is Span:
        _end(running.binding.tracer, span, {}, None)


def _end(tracer: Any, span: Span, final: Mapping[str, Any], event: tuple[str, int] | None) -> None:
    limits = span.limits
    context = span.get_span_context()
    if EXEMPLAR_TRACES.include(context):
        final = {**final, semconv.EXEMPLAR: True}
    attributes: Any
    if span.given is None and limits.max_span_attribute_length is None:
        attributes = {**span.initial, **final}
        if limits.max_span_attributes is not None and len(attributes) > limits.max_span_attributes:
            attributes = span.all_attributes()
            attributes.update(final)
    else:
        attributes = span.all_attributes()
        attributes.update(final)
    readable = ReadableSpan(
        name=span.name,
        context=context,
        parent=span.parent,
        resource=tracer.resource,
        attributes=attributes,
        events=_events(span, event),
        links=_links(span),
        kind=SpanKind.INTERNAL,
        instrumentation_info=tracer.instrumentation_info,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=tracer._instrumentation_scope,  # noqa: SLF001  # the SDK offers no public way to ask
    )
    tracer.span_processor.on_end(readable)


def _events(span: Span, event: tuple[str, int] | None) -> Any:
    if span.events is None and not span.dropped_events and span.limits.max_events != 0:
        return () if event is None else (Event(event[0], {}, event[1]),)
    events: BoundedList[Event] = BoundedList(span.limits.max_events)
    events.extend([Event(name, attributes, timestamp) for name, attributes, timestamp in span.events or ()])
    if event is not None:
        events.append(Event(event[0], {}, event[1]))
    events.dropped += span.dropped_events
    return events


def _links(span: Span) -> Any:
    if span.links is None and not span.dropped_links:
        return ()
    links: BoundedList[Link] = BoundedList(span.limits.max_links)
    links.extend(span.links or ())
    links.dropped += span.dropped_links
    return links
