"""The light span: a complete `opentelemetry.trace.Span` in slots, which builds no SDK object in the request.

The worker makes the SDK's `ReadableSpan` of it after the request. It follows
https://opentelemetry.io/docs/specs/otel/trace/api/#span and, in limits and warnings, the SDK's own span.
"""

from __future__ import annotations

import logging
import traceback
from time import time_ns
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from otelext import semconv
from otelext.capture.context import SPAN_KEY
from otelext.capture.outcome import type_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from opentelemetry.context import Context
    from opentelemetry.util.types import Attributes, AttributeValue
    from typing_extensions import Self

    from otelext.capture.binding import Binding

_logger = logging.getLogger(__name__)

_SAMPLED = TraceFlags.SAMPLED
_RANDOM = 0x02  # https://www.w3.org/TR/trace-context-2/#random-trace-id-flag
_FLAGS = tuple(TraceFlags(bits) for bits in range(4))
_UNSET = Status(StatusCode.UNSET)


class Span:
    """A recording span of the light lane.

    Attributes:
        name: The span's name.
        parent: Span that was current at the start, or None for a root; its context is only asked for by the worker.
        start_time: Start, Unix time in nanoseconds.
        end_time: End likewise, None while the span runs.
        limits: The provider's `SpanLimits`.
        trace_id: Id of the trace.
        span_id: Id of the span.
        initial: Attributes of the start, as the sampler returned them.
        given: The attributes with those set later, made when the first one comes; until then None.
        events: (name, attributes, Unix time in ns) of each event, within the limit.
        links: Links, within the limit.
        dropped_events: Events beyond the limit.
        dropped_links: Links beyond the limit.
        status: The status set last.
        sealed: Whether the worker adds nothing more: all is there, or came after the user had ended the span.
    """

    __slots__ = (
        "_context",
        "_flags",
        "_parent_context",
        "_trace_state",
        "dropped_events",
        "dropped_links",
        "end_time",
        "events",
        "given",
        "initial",
        "limits",
        "links",
        "name",
        "sealed",
        "span_id",
        "start_time",
        "status",
        "trace_id",
    )

    def __init__(
        self,
        name: str,
        trace_id: int,
        span_id: int,
        flags: int,
        trace_state: Any,  # TraceState or None; passed through
        parent: trace.Span | Span | None,
        start_time: int,
        limits: Any,  # the SDK's SpanLimits, which this room does not know
        initial: Mapping[str, Any],
    ) -> None:
        self.name = name
        self.trace_id = trace_id
        self.span_id = span_id
        self._flags = flags
        self._trace_state = trace_state
        self._parent_context = parent
        self.start_time = start_time
        self.limits = limits
        self.initial = initial
        self.end_time: int | None = None
        self.given: BoundedAttributes | None = None
        self.events: list[tuple[str, BoundedAttributes | None, int]] | None = None
        self.links: list[trace.Link] | None = None
        self.dropped_events = self.dropped_links = 0
        self.sealed = False
        self.status = _UNSET
        self._context: SpanContext | None = None

    def __repr__(self) -> str:
        return f'Span(name="{self.name}", context={self.get_span_context()})'

    @property
    def context(self) -> SpanContext:
        """The span's context."""
        return self.get_span_context()

    @property
    def parent(self) -> SpanContext | None:
        """The parent's context, None for a root."""
        parent = self._parent_context
        return None if parent is None else parent.get_span_context()

    @property
    def parent_span(self) -> trace.Span | Span | None:
        """The span that was current at the start, None for a root."""
        return self._parent_context

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Attributes set so far."""
        return MappingProxyType(self.all_attributes())

    @property
    def kind(self) -> SpanKind:
        """Always INTERNAL."""
        return SpanKind.INTERNAL

    def get_span_context(self) -> SpanContext:
        """The span's context: its ids are fixed at the start, the object is made when first asked for."""
        context = self._context
        if context is None:
            # Two threads may both make one; they are equal.
            context = self._context = SpanContext(
                self.trace_id,
                self.span_id,
                is_remote=False,
                trace_flags=_FLAGS[self._flags],
                trace_state=self._trace_state,
            )
        return context

    @property
    def sampled(self) -> bool:
        """Whether the sampled flag is set."""
        return bool(self._flags & _SAMPLED)

    def child(self, name: str, span_id: int, start_time: int, initial: Mapping[str, Any]) -> Span:
        """A span below this one with the same decision, as a stage's is."""
        return Span(
            name, self.trace_id, span_id, self._flags, self._trace_state, self, start_time, self.limits, initial
        )

    def is_recording(self) -> bool:
        """Whether the span has not ended."""
        return self.end_time is None

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Set one attribute; on an ended span it is refused with a warning."""
        if self.end_time is not None:
            _logger.warning("Setting attribute on ended span.")
            return
        self.all_attributes()[key] = value

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set several attributes."""
        if self.end_time is not None:
            _logger.warning("Setting attribute on ended span.")
            return
        for key, value in attributes.items():
            self.all_attributes()[key] = value

    def all_attributes(self) -> BoundedAttributes:
        """The attributes as the SDK's span keeps them, within the provider's limits."""
        given = self.given
        if given is None:
            limits = self.limits
            given = self.given = BoundedAttributes(
                limits.max_span_attributes,
                self.initial,
                immutable=False,
                max_value_len=limits.max_span_attribute_length,
            )
        return given

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        """Add an event; beyond the provider's limit the oldest goes, as in the SDK."""
        if self._refused("add_event"):
            return
        limits = self.limits
        bounded = BoundedAttributes(limits.max_event_attributes, attributes, max_value_len=limits.max_attribute_length)
        if self.events is None:
            self.events = []
        self.events.append((name, bounded, time_ns() if timestamp is None else timestamp))
        if limits.max_events is not None and len(self.events) > limits.max_events:
            del self.events[0]
            self.dropped_events += 1

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        """Add a link; an invalid context without attributes or trace state is ignored."""
        if not context or not (context.is_valid or attributes or context.trace_state) or self._refused("add_link"):
            return
        limits = self.limits
        bounded = BoundedAttributes(limits.max_link_attributes, attributes, max_value_len=limits.max_attribute_length)
        if self.links is None:
            self.links = []
        self.links.append(trace.Link(context, bounded))
        if limits.max_links is not None and len(self.links) > limits.max_links:
            del self.links[0]
            self.dropped_links += 1

    def update_name(self, name: str) -> None:
        """Rename the span."""
        if not self._refused("update_name"):
            self.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status; OK is final and UNSET is ignored."""
        if self._refused("set_status"):
            return
        if not isinstance(status, (Status, StatusCode)):
            return
        code = status.status_code if isinstance(status, Status) else status
        if self.status.status_code is StatusCode.OK or code is StatusCode.UNSET:
            return
        if isinstance(status, StatusCode):
            self.status = Status(status, description)
            return
        if description is not None:
            _logger.warning("Description %s ignored. Use either `Status` or `(StatusCode, Description)`", description)
        self.status = status

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,  # the API's signature
    ) -> None:
        """Record an exception as the API defines it. Redaction happens at the exporters."""
        recorded: dict[str, Any] = {
            semconv.EXCEPTION_TYPE: type_name(exception),
            semconv.EXCEPTION_MESSAGE: str(exception),
            semconv.EXCEPTION_STACKTRACE: "".join(traceback.format_exception(exception)),
            "exception.escaped": str(escaped),
        }
        self.add_event(semconv.EXCEPTION_EVENT, {**recorded, **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        """End the span. The worker exports it with the inference or stage that it belongs to."""
        if self.end_time is not None:
            _logger.warning("Calling end() on an ended span.")
            return
        self.end_time = time_ns() if end_time is None else end_time

    def _refused(self, call: str) -> bool:
        if self.end_time is None:
            return False
        _logger.warning("Tried calling %s on an ended span.", call)
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if exc is not None and self.is_recording():
            self.record_exception(exc, escaped=True)
            self.set_status(Status(StatusCode.ERROR, f"{type(exc).__name__}: {exc}"))
        self.end()


# A virtual subclass: the API's class has no slots, and inheriting from it would give every span a dictionary.
trace.Span.register(Span)


def start_span(
    binding: Binding, name: str, context: Context, attributes: Mapping[str, Any], start_time: int
) -> trace.Span | Span:
    """A started span of the light lane, or a non-recording one, as the provider's sampler decides.

    Mirrors the SDK tracer's `start_span`: enabled tracer, parent, ids, sampler, flags, trace state.
    """
    tracer: Any = binding.tracer  # the SDK's tracer; this room knows the API only
    current = context.get(SPAN_KEY)
    parent = current if type(current) is Span else trace.get_current_span(context)
    parent_context = parent.get_span_context()
    if not tracer._is_enabled():  # noqa: SLF001  # the SDK offers no public way to ask
        return NonRecordingSpan(parent_context)
    ids = tracer.id_generator
    valid = parent_context is not None and parent_context.is_valid
    if valid:
        trace_id = parent_context.trace_id
        flags = parent_context.trace_flags & _RANDOM
    else:
        trace_id = ids.generate_trace_id()
        flags = _RANDOM if ids.is_trace_id_random() else 0
    result = tracer.sampler.should_sample(context, trace_id, name, SpanKind.INTERNAL, attributes, ())
    if result.decision.is_sampled():
        flags |= _SAMPLED
    if not result.decision.is_recording():
        return NonRecordingSpan(
            SpanContext(
                trace_id,
                ids.generate_span_id(),
                is_remote=False,
                trace_flags=_FLAGS[flags],
                trace_state=result.trace_state,
            )
        )
    span = Span(
        name,
        trace_id,
        ids.generate_span_id(),
        flags,
        result.trace_state,
        parent if valid else None,
        start_time,
        tracer._span_limits,  # noqa: SLF001  # the SDK offers no public way to ask
        result.attributes,
    )
    if result.attributes != attributes:
        span.all_attributes()  # what a sampler adds may need the cleaning that ours do not
    return span
