"""Spans as they leave."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.attributes import BoundedAttributes
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.trace import Link, SpanContext, Status
from opentelemetry.trace.span import DEFAULT_TRACE_STATE

from otelext import semconv
from otelext.constant import REDACTED
from otelext.processors.redaction import each, exceptions
from otelext.processors.redaction.counts import COUNTS
from otelext.processors.redaction.names import NAMES
from otelext.processors.redaction.scopes import resource_of, scope_of
from otelext.processors.redaction.words import is_conventional

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from otelext.processors.redaction.rules import Rules


def leaving(spans: Iterable[ReadableSpan], rules: Rules) -> list[ReadableSpan]:
    """What leaves of each span."""
    return each.leaving(spans, lambda span: redact(span, rules), "a span", semconv.REDACTED_SPAN_ATTRIBUTE)


def redact(span: ReadableSpan, rules: Rules) -> ReadableSpan:
    """A span as it leaves.

    Returns:
        `span` itself where all of it may leave.
    """
    given: Any = span.attributes or {}
    scope = span.instrumentation_scope
    scope_name = None if scope is None else scope.name
    attributes: Any = exceptions.leaving(rules, given, semconv.REDACTED_SPAN_ATTRIBUTE)
    name = span.name if rules.captures("span_names") else _name(span.name, scope_name, rules.listed(attributes))
    events = _events(span.events, scope_name, rules)
    links = _links(span.links, rules)
    status = _status(span.status, rules)
    resource = resource_of(rules, span.resource)
    scope = None if scope is None else scope_of(rules, scope)
    context, parent = _context(span.context), _context(span.parent)
    if (
        attributes is given
        and name is span.name
        and events is span.events
        and links is span.links
        and status is span.status
        and resource is span.resource
        and scope is span.instrumentation_scope
        and context is span.context
        and parent is span.parent
    ):
        return span
    return ReadableSpan(
        name=name,
        context=context,
        parent=parent,
        resource=resource,
        attributes=_bounded(attributes, span.dropped_attributes),
        events=_listed(events, span.dropped_events),
        links=_listed(links, span.dropped_links),
        kind=span.kind,
        status=status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=scope,
    )


def _name(name: str, scope: str | None, attributes: Mapping[str, Any]) -> str:
    # Spans of ours are named by operation and model, or by stage.
    if NAMES.leaves(name, scope, attributes):
        return name
    COUNTS.add(semconv.REDACTED_SPAN_NAME)
    # A method or a statement says at least what it is: `SELECT` of a database that is a file, `GET` of a path.
    word = name.partition(" ")[0] if isinstance(name, str) else ""
    return word if is_conventional(word) else REDACTED


def _events(events: Sequence[Event], scope: str | None, rules: Rules) -> Sequence[Event]:
    changed: list[Event] | None = None
    for index, event in enumerate(events):
        given: Any = event.attributes or {}
        attributes: Any = exceptions.leaving(rules, given, semconv.REDACTED_EVENT_ATTRIBUTE)
        name = event.name
        if not rules.captures("span_names") and not NAMES.leaves(name, scope, rules.listed(attributes)):
            COUNTS.add(semconv.REDACTED_EVENT_NAME)
            name = REDACTED
        if attributes is given and name is event.name:
            continue
        if changed is None:
            changed = list(events)
        changed[index] = Event(name, _bounded(attributes, event.dropped_attributes), event.timestamp)
    return events if changed is None else changed


def _links(links: Sequence[Link], rules: Rules) -> Sequence[Link]:
    changed: list[Link] | None = None
    for index, link in enumerate(links):
        given: Any = link.attributes or {}
        attributes = rules.attributes(given, semconv.REDACTED_LINK_ATTRIBUTE)
        context = _context(link.context)
        if attributes is given and context is link.context:
            continue
        if changed is None:
            changed = list(links)
        changed[index] = Link(context, _bounded(attributes, link.dropped_attributes))  # type: ignore[arg-type]
    return links if changed is None else changed


def _status(status: Status, rules: Rules) -> Status:
    description = status.description
    if description is None or description == semconv.ABANDONED_STREAM or rules.captures("status_descriptions"):
        return status
    COUNTS.add(semconv.REDACTED_STATUS_DESCRIPTION)
    return Status(status.status_code)


def _context(context: SpanContext | None) -> SpanContext | None:
    """A context without its trace state, which comes with a request's header or from a sampler."""
    if context is None or not context.trace_state:
        return context
    COUNTS.add(semconv.REDACTED_TRACE_STATE)
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags, DEFAULT_TRACE_STATE)


def _bounded(attributes: Mapping[str, Any], dropped: int) -> Mapping[str, Any]:
    if not dropped or isinstance(attributes, BoundedAttributes):
        return attributes
    bounded = BoundedAttributes(attributes=attributes)
    bounded.dropped = dropped
    return bounded


def _listed(items: Sequence[Any], dropped: int) -> Sequence[Any]:
    if not dropped:
        return items
    listed: BoundedList[Any] = BoundedList(len(items))
    listed.extend(items)
    listed.dropped = dropped
    return listed
