"""Which recording spans of the SDK are inside which, so that a request which several libraries measure counts once."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final
from weakref import ref

from opentelemetry.context import Context, get_current

from otelext.capture.context import SPAN_KEY, open_inference
from otelext.capture.inference import OPEN
from otelext.capture.span import Span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from opentelemetry import trace
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace import Span as SDKSpan
    from opentelemetry.trace import SpanContext

    from otelext.capture.inference import Inference

_MAX_DEPTH: Final = 128  # an agent that starts each step inside the last one would grow a chain without an end


class Node:
    """One span's place.

    Attributes:
        parent: The node of the span around it, None where there is none that is known.
        depth: Nodes above it.
        span_id: The span's id.
        unknown_parent: Span id of a parent that has no node: another process's, or a light span of ours.
        inside: Whether it started in an inference of ours that was open.
        around: That inference, while it lives.
        claimed: Whether it was counted already, or never will be.
        taken: Figures that were counted for the span itself.
        below: Figures that were counted for spans inside it.
        ours: Whether an inference of ours is inside it.
    """

    __slots__ = (
        "around",
        "below",
        "claimed",
        "depth",
        "inside",
        "ours",
        "parent",
        "span_id",
        "taken",
        "unknown_parent",
    )

    def __init__(self, span_id: int, parent: Node | None, unknown_parent: int | None, around: Inference | None) -> None:
        self.span_id = span_id
        if parent is not None and parent.depth >= _MAX_DEPTH:
            parent = None
        self.parent = parent
        self.depth: int = 0 if parent is None else parent.depth + 1
        self.unknown_parent = unknown_parent
        # Weak, since an inference holds spans, and they hold their nodes.
        self.around = None if around is None else ref(around)
        self.inside = around is not None
        self.claimed = self.ours = False
        self.taken = self.below = 0

    @property
    def inference(self) -> Inference | None:
        """The inference of ours that the span started in, if it is open still."""
        found = None if self.around is None else self.around()
        return None if found is None or found.end_ns is not None else found

    def ancestors(self) -> Iterator[Node]:
        """The nodes above this one, innermost first."""
        node = self.parent
        while node is not None:
            yield node
            node = node.parent

    def take(self, figures: int) -> int:
        """Those of `figures` that nothing inside or around the span was counted for; from now on they are the span's.

        Called by the worker alone.
        """
        if self.ours:
            return 0
        free = figures & ~self.below & ~self.taken
        for node in self.ancestors():
            free &= ~node.taken
        self.taken |= free
        for node in self.ancestors():
            node.below |= free
        return free


class _Place(ref["SDKSpan"]):
    """A span's node, for as long as the span object lives."""

    __slots__ = ("key", "node")

    key: tuple[int, int]
    node: Node


class Lineage:
    """The nodes of spans that are alive. They go with the span objects, so nothing here needs a bound."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Forget every span: what began before a fork is the parent's to count."""
        places: dict[tuple[int, int], _Place] = {}

        def leave(place: ref[SDKSpan]) -> None:
            if isinstance(place, _Place) and places.get(place.key) is place:
                del places[place.key]

        self._places = places
        self._leave = leave

    def started(self, span: SDKSpan, parent_context: Context | None) -> None:
        """Remember a span that starts in `parent_context`, the current one if None."""
        own = span.get_span_context()
        if own is None:
            return
        context = get_current() if parent_context is None else parent_context
        parent = self._of(span.parent) or self._nearest(context)
        unknown = None if parent is not None or span.parent is None else span.parent.span_id
        around = open_inference(context)
        if around is None and parent is not None:
            around = parent.inference
        place = _Place(span, self._leave)
        place.key = (own.trace_id, own.span_id)
        place.node = Node(own.span_id, parent, unknown, around)
        self._places[place.key] = place

    def find(self, span: ReadableSpan) -> Node | None:
        """The node of a span, None if its start was not seen."""
        return self._of(span.get_span_context())

    def cover(self, inference: Inference) -> None:
        """Say that every span around `inference` has an inference of ours inside."""
        node = self._nearest(inference.outer)
        while node is not None and not node.ours:
            node.ours = True
            node = node.parent

    def cover_open(self, trace_id: int) -> None:
        """The same for each inference of the trace that is open now."""
        for inference in _open_in(trace_id):
            self.cover(inference)

    def is_inside(self, node: Node, trace_id: int) -> bool:
        """Whether the span of the trace started inside an open inference of ours."""
        if node.inside:
            return True
        # A context that was propagated within the process (trace headers handed to an engine) names the parent by
        # its id alone.
        above: set[int | None] = {node.unknown_parent}
        for ancestor in node.ancestors():
            above.update((ancestor.span_id, ancestor.unknown_parent))
        above.discard(None)
        if not above:
            return False
        return any(span_id in above for inference in _open_in(trace_id) for span_id in _span_ids(inference))

    def _of(self, context: SpanContext | None) -> Node | None:
        if context is None:
            return None
        place = self._places.get((context.trace_id, context.span_id))
        return None if place is None else place.node

    def _nearest(self, context: Context) -> Node | None:
        span: trace.Span | Span | None = context.get(SPAN_KEY)  # type: ignore[assignment]  # the API's key
        while type(span) is Span:  # light spans have no node
            span = span.parent_span
        return None if span is None else self._of(span.get_span_context())


def _open_in(trace_id: int) -> Iterator[Inference]:
    # Of one trace alone: the caller is a request, and thousands of inferences may be open.
    for inference in OPEN.copy():
        span = inference.span
        if span is None or span.get_span_context().trace_id == trace_id:
            yield inference


def _span_ids(inference: Inference) -> Iterator[int]:
    for span in (inference.span, *(running.span for running in tuple(inference.stages))):
        if span is not None:
            yield span.get_span_context().span_id


LINEAGE: Final = Lineage()
"""The spans of this process, whichever provider they are of."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=LINEAGE.forget)
