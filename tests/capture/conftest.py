"""What every test of capture shares: providers in memory, a clock that only moves when told, and checks for leaks."""

from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING

import pytest
from opentelemetry import metrics, trace
from opentelemetry.context import get_current
from opentelemetry.sdk.trace import SpanProcessor

import otelext
from otelext.capture import failure
from otelext.capture.inference import OPEN
from otelext.testing import capture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

    from otelext.testing import Captured


class StartListener(SpanProcessor):
    """Looks at the start of each span, so that ordinary SDK spans have to be made."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: that the hook is there is what counts."""


class Clock:
    """Stands for `perf_counter_ns`: nanoseconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000_000

    def __call__(self) -> int:
        return self.now

    def tick(self, ns: int) -> None:
        self.now += ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock in place of the one that capture reads."""
    import importlib

    found = Clock()
    for name in ("inference", "delivery", "drive", "stream", "stage", "decorate"):
        monkeypatch.setattr(importlib.import_module(f"otelext.capture.{name}"), "perf_counter_ns", found)
    return found


@pytest.fixture(params=["light", "sdk"])
def lane(request: pytest.FixtureRequest) -> str:
    """Each of the two ways in which spans are made."""
    return str(request.param)


@pytest.fixture
def lane_capture(lane: str) -> Callable[..., AbstractContextManager[Captured]]:
    """`otelext.testing.capture` on providers that open the lane."""

    def capture_lane(**options: object) -> AbstractContextManager[Captured]:
        processors = [StartListener()] if lane == "sdk" else []
        return capture(span_processors=processors, **options)  # type: ignore[arg-type]  # passed on as they are

    return capture_lane


@pytest.fixture
def captured() -> Iterator[Captured]:
    """Providers in memory, in the light lane."""
    with capture() as found:
        yield found


@pytest.fixture(autouse=True)
def nothing_left_behind(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test gives back the context that it found, leaves no inference open and detaches nothing wrongly."""
    monkeypatch.setattr(failure, "_last", {})  # its limit of a line a minute would hide one test's lines from the next
    before = get_current()
    providers = trace.get_tracer_provider(), metrics.get_meter_provider()
    caplog.set_level(logging.INFO)
    yield
    assert get_current() is before
    assert (trace.get_tracer_provider(), metrics.get_meter_provider()) == providers
    assert not trace.get_current_span().get_span_context().is_valid
    assert otelext.current_inference().outcome is None
    if OPEN:
        gc.collect()
    left = [inference.span_name for inference in OPEN]
    OPEN.clear()
    assert not left
    assert "detach" not in caplog.text
