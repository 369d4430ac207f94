"""The tree of one inference inside its trace, in the order in which a waterfall draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otelext.viewer.inferences import TraceSpan

MOST_ROWS: Final = 40


class Bar(TypedDict):
    """One span on the time axis; times in seconds from the inference's start, so earlier ones are negative."""

    span_id: str
    name: str
    depth: int
    start_s: float
    end_s: float
    status: str
    stage: str | None
    outcome: str | None


def waterfall(spans: Sequence[TraceSpan], inference: str) -> tuple[list[Bar], int]:
    """The spans above an inference, the inference, and everything below it, depth first and by start.

    Args:
        spans: The trace's spans, in any order, complete or not.
        inference: Span id of the inference.

    Returns:
        The bars, `MOST_ROWS` at most, and how many more there are.
    """
    by_id = {span["span_id"]: span for span in spans}
    centre = by_id.get(inference)
    if centre is None:
        return [], 0
    children: dict[str, list[TraceSpan]] = {}
    for span in sorted(spans, key=lambda span: (span["start_ns"], span["end_ns"], span["span_id"])):
        children.setdefault(span["parent_id"], []).append(span)
    above = _ancestors(by_id, centre)
    bars = [_bar(span, depth, centre["start_ns"]) for depth, span in enumerate(above)]
    bars += [_bar(span, depth, centre["start_ns"]) for depth, span in _below(children, centre, above)]
    return bars[:MOST_ROWS], max(0, len(bars) - MOST_ROWS)


def _ancestors(by_id: dict[str, TraceSpan], span: TraceSpan) -> list[TraceSpan]:
    found: list[TraceSpan] = []
    seen = {span["span_id"]}  # senders can make circles
    parent = by_id.get(span["parent_id"])
    while parent is not None and parent["span_id"] not in seen:
        seen.add(parent["span_id"])
        found.append(parent)
        parent = by_id.get(parent["parent_id"])
    return found[::-1]


def _below(
    children: dict[str, list[TraceSpan]], root: TraceSpan, above: list[TraceSpan]
) -> Iterator[tuple[int, TraceSpan]]:
    seen = {span["span_id"] for span in above}
    stack = [(len(above), root)]
    while stack:
        level, span = stack.pop()
        if span["span_id"] in seen:
            continue
        seen.add(span["span_id"])
        yield level, span
        stack.extend((level + 1, child) for child in reversed(children.get(span["span_id"], [])))


def _bar(span: TraceSpan, depth: int, zero_ns: int) -> Bar:
    return {
        "span_id": span["span_id"],
        "name": span["name"],
        "depth": depth,
        "start_s": (span["start_ns"] - zero_ns) / 1e9,
        "end_s": (max(span["end_ns"], span["start_ns"]) - zero_ns) / 1e9,
        "status": span["status"],
        "stage": span["stage"],
        "outcome": span["outcome"],
    }
