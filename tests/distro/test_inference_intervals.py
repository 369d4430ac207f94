"""When inferences ran, as energy is shared out by it: each moment is told, whatever happens meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import otelext
from otelext import _attach
from otelext.distro.gpus import InferenceIntervals
from otelext.testing import capture

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def intervals() -> Iterator[InferenceIntervals]:
    found = InferenceIntervals(most=3)
    with capture():
        _attach.worker.observers.append(found.observe)
        try:
            yield found
        finally:
            _attach.worker.observers.remove(found.observe)


def test_what_is_open_has_no_end_and_what_has_ended_is_told_once(intervals: InferenceIntervals) -> None:
    running = otelext.inference("chat", model="m")
    with running:
        ((model, start, end),) = intervals()
        assert (model, end) == ("m", None)
    ((model, again, end),) = intervals()
    assert (model, again) == ("m", start)
    assert end is not None
    assert end > start
    assert intervals() == []


def test_one_that_ends_while_the_worker_is_waited_for_is_not_missed(
    intervals: InferenceIntervals, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = otelext.inference("chat", model="m")
    running.__enter__()
    flush = _attach.worker.force_flush

    def behind_the_flush(timeout: float) -> bool:
        running.__exit__(None, None, None)  # its record stands behind what the flush waits for
        return True

    monkeypatch.setattr(_attach.worker, "force_flush", behind_the_flush)
    ((_, start, end),) = intervals()
    assert end is None
    monkeypatch.setattr(_attach.worker, "force_flush", flush)
    ((_, again, end),) = intervals()
    assert again == start
    assert end is not None


def test_one_that_ended_and_was_open_a_moment_before_is_told_as_ended_alone(
    intervals: InferenceIntervals, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = otelext.inference("chat", model="m")
    running.__enter__()
    flush = _attach.worker.force_flush

    def before_the_flush(timeout: float) -> bool:
        running.__exit__(None, None, None)
        return flush(timeout)

    monkeypatch.setattr(_attach.worker, "force_flush", before_the_flush)
    ((_, _, end),) = intervals()
    assert end is not None


def test_of_too_many_the_oldest_are_left_out(intervals: InferenceIntervals) -> None:
    for model in "abcde":
        with otelext.inference("chat", model=model):
            pass
    assert [model for model, _, _ in intervals()] == ["c", "d", "e"]
