from __future__ import annotations

from otelext.gpu.energy.inferences import SLICES, Interval, work

GPUS = frozenset({"GPU-0"})


def test_slices_are_cut_to_the_time_that_is_asked() -> None:
    (only,) = work([Interval("vlm", 0, None)], GPUS, 10, 20)
    assert only.slice == (10, 20, 1, GPUS)
    assert only.models == {"vlm": 1}


def test_times_without_an_inference_have_no_slice() -> None:
    found = work([Interval("vlm", 0, 5), Interval("vlm", 10, 12), Interval("vlm", 30, None)], GPUS, 0, 20)
    assert [one.slice[:3] for one in found] == [(0, 5, 1), (10, 12, 1)]


def test_an_interval_that_ends_before_it_begins_is_none() -> None:
    assert work([Interval("vlm", 12, 10), Interval("vlm", 10, 10)], GPUS, 0, 20) == ()


def test_many_changes_become_means_over_equal_times() -> None:
    found = work([Interval("vlm", place * 100, place * 100 + 25) for place in range(1500)], GPUS, 0, 150_000)
    assert len(found) == SLICES
    assert {one.slice.number for one in found} == {0.25}
