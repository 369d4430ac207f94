"""The request by hand exports what otelext does: else the ratio of the two would compare different things."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from otelext.testing import capture

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelext.testing import Captured

REQUESTS = 3
OWN = ("otelext.", "hw.")
"""What otelext tells of itself, not of a request."""


@pytest.fixture(autouse=True)
def _programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmarks are programs, which import each other by bare names."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture
def by_hand() -> Captured:
    from raw_otel import RawRequest

    with capture() as captured:
        request = RawRequest(captured.tracer_provider, captured.meter_provider)
        for _ in range(REQUESTS):
            request()
    return captured


@pytest.fixture
def ours() -> Captured:
    from request_path import with_otelext

    with capture() as captured:
        for _ in range(REQUESTS):
            with_otelext()
    return captured


def is_a_time(name: str) -> bool:
    return "time_" in name or name in {"vlm.consumer_wait", "vlm.unattributed"}


def spans(captured: Captured) -> Counter[Any]:
    """Name, parent's name, kind, status, attributes (of times the name alone) and events."""
    found = captured.spans()
    names = {span.context.span_id: span.name for span in found if span.context is not None}
    return Counter(
        (
            span.name,
            names[span.parent.span_id] if span.parent else None,
            span.kind,
            span.status.status_code,
            tuple(sorted((k, "a time" if is_a_time(k) else v) for k, v in (span.attributes or {}).items())),
            tuple(event.name for event in span.events),
        )
        for span in found
    )


def points(captured: Captured) -> Counter[Any]:
    """Metric, attributes, and a histogram's count and bounds, or a counter's value unless it is a time."""
    found: Counter[Any] = Counter()
    for metric, of_metric in captured.metrics().items():
        if metric.startswith(OWN) or metric == "vlm.inferences.active":
            continue
        for point in of_metric:
            histogram = hasattr(point, "count")
            value = (point.count, tuple(point.explicit_bounds)) if histogram else point.value
            if not histogram and is_a_time(metric):
                value = "a time"
            found[metric, tuple(sorted(point.attributes.items())), value] += 1
    return found


@pytest.mark.parametrize("read", [spans, points])
def test_by_hand_exports_the_same(by_hand: Captured, ours: Captured, read: Callable[[Captured], Any]) -> None:
    assert read(ours)
    assert read(by_hand) == read(ours)


def test_a_request_has_all_its_spans(ours: Captured) -> None:
    assert sum(spans(ours).values()) == 6 * REQUESTS
