from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from otelext.viewer.waterfall import MOST_ROWS, waterfall

if TYPE_CHECKING:
    from otelext.viewer.inferences import TraceSpan


def span(span_id: str, parent_id: str = "", start: int = 0, end: int = 10) -> TraceSpan:
    made: Any = {"span_id": span_id, "parent_id": parent_id, "name": span_id, "start_ns": start, "end_ns": end}
    return {**made, "status": "unset", "stage": None, "outcome": None}  # type: ignore[typeddict-item]


def names(spans: list[TraceSpan], inference: str) -> list[tuple[str, int]]:
    return [(bar["name"], bar["depth"]) for bar in waterfall(spans, inference)[0]]


def test_what_is_above_and_below_is_drawn_and_what_is_beside_is_not() -> None:
    spans = [
        span("server"),
        span("beside", "server", 1),
        span("inference", "server", 2),
        span("late", "inference", 9),
        span("early", "inference", 3),
        span("sql", "early", 4),
    ]
    assert names(spans, "inference") == [("server", 0), ("inference", 1), ("early", 2), ("sql", 3), ("late", 2)]


def test_a_trace_whose_upper_spans_are_missing_begins_at_the_inference() -> None:
    assert names([span("inference", "elsewhere"), span("stage", "inference")], "inference") == [
        ("inference", 0),
        ("stage", 1),
    ]
    assert waterfall([], "inference") == ([], 0)


def test_a_long_trace_says_how_much_is_left_out() -> None:
    bars, more = waterfall([span("i"), *(span(f"s{n}", "i", n) for n in range(100))], "i")
    assert (len(bars), more) == (MOST_ROWS, 101 - MOST_ROWS)


ids = st.sampled_from("abcdef")


@given(st.lists(st.builds(span, ids, ids, st.integers(0, 50), st.integers(0, 50)), max_size=12), ids)
def test_any_parents_and_circles_end_and_draw_no_span_twice(spans: list[TraceSpan], inference: str) -> None:
    bars, _ = waterfall(spans, inference)
    drawn = [bar["span_id"] for bar in bars]
    assert len(drawn) == len(set(drawn))
    assert all(bar["end_s"] >= bar["start_s"] for bar in bars)
