from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext.gpu.energy.inferences import Interval, work
from otelext.gpu.energy.shares import Piece, Slice, Work, shares

GPUS = frozenset({"GPU-0"})
END = 1000
moment = st.integers(0, END)
interval = st.tuples(st.sampled_from(["a", "b", None]), moment, st.none() | st.integers(0, 2 * END)).map(
    lambda told: Interval(*told)
)
process = st.lists(interval, max_size=20)
curve = st.tuples(st.sets(moment, min_size=2, max_size=8), st.lists(st.floats(0, 1e6), min_size=7, max_size=7))


def pieces_of(told: tuple[set[int], list[float]]) -> list[Piece]:
    return [
        Piece(left, right, joules, "counter" if joules > 10 else "power")
        for (left, right), joules in zip(pairwise(sorted(told[0])), told[1], strict=False)
    ]


def works_of(processes: list[list[Interval]], limit: int = 50) -> list[tuple[Work, ...]]:
    return [work(intervals, GPUS, 0, END, limit) for intervals in processes]


def each_share(pieces: list[Piece], works: list[tuple[Work, ...]], window: tuple[int, int]) -> list[float]:
    """What each process gets, and at the end what nobody does."""
    told = []
    for own in works:
        others = [[one.slice for one in other] for other in works if other is not own]
        told.append(shares(pieces, own, others, window, window))
    assert all(joules >= 0 for one in told for joules in [*one.active.values(), *one.idle.values()])
    assert all(one.idle == pytest.approx(told[0].idle) for one in told)
    return [*(sum(one.active.values()) for one in told), sum(told[0].idle.values())]


@given(told=curve, processes=st.lists(process, min_size=1, max_size=4), window=st.tuples(moment, moment))
def test_shares_and_idle_energy_add_up_to_that_of_the_window(
    told: tuple[set[int], list[float]], processes: list[list[Interval]], window: tuple[int, int]
) -> None:
    start, end = sorted(window)
    used = sum(
        piece.joules * max(0, min(end, piece.end_ns) - max(start, piece.start_ns)) / (piece.end_ns - piece.start_ns)
        for piece in pieces_of(told)
    )
    assert sum(each_share(pieces_of(told), works_of(processes), (start, end))) == pytest.approx(used, rel=1e-9)


@given(told=curve, processes=st.lists(process, min_size=2, max_size=4), seed=st.integers())
def test_the_order_of_processes_and_inferences_is_irrelevant(
    told: tuple[set[int], list[float]], processes: list[list[Interval]], seed: int
) -> None:
    first = each_share(pieces_of(told), works_of(processes), (0, END))
    shuffled = [random.Random(seed).sample(one, len(one)) for one in reversed(processes)]
    *active, idle = each_share(pieces_of(told), works_of(shuffled), (0, END))
    assert [*reversed(active), idle] == pytest.approx(first)


@given(told=curve, processes=st.lists(process, min_size=1, max_size=3), cut=moment)
def test_two_windows_give_what_one_gives(
    told: tuple[set[int], list[float]], processes: list[list[Interval]], cut: int
) -> None:
    pieces, works = pieces_of(told), works_of(processes)
    parts = zip(each_share(pieces, works, (0, cut)), each_share(pieces, works, (cut, END)), strict=True)
    assert [sum(part) for part in parts] == pytest.approx(each_share(pieces, works, (0, END)))


@given(intervals=process, limit=st.integers(1, 10))
def test_merged_slices_keep_the_inferences_time(intervals: list[Interval], limit: int) -> None:
    exact, merged = work(intervals, GPUS, 0, END, 100), work(intervals, GPUS, 0, END, limit)
    assert len(merged) <= limit
    assert all(left.slice.end_ns <= right.slice.start_ns for left, right in pairwise(merged))
    for model in ("a", "b", None):
        time, of_merged = (
            sum(one.models.get(model, 0) * (one.slice.end_ns - one.slice.start_ns) for one in told)
            for told in (exact, merged)
        )
        assert of_merged == pytest.approx(time)
    assert all(one.slice.number == pytest.approx(sum(one.models.values())) for one in merged)


def test_overlapping_inferences_share_equally() -> None:
    own = work([Interval("a", 0, 20), Interval("b", 10, 30)], GPUS, 0, 100)
    other = [Slice(20, 60, 2, GPUS)]
    told = shares([Piece(0, 100, 100, "counter")], own, [other], (0, 100), (0, 100))
    assert told.active == {
        ("a", "counter"): pytest.approx(10 + 5),
        ("b", "counter"): pytest.approx(5 + 10 / 3),
    }
    assert told.idle == {"counter": pytest.approx(40)}


def test_idle_energy_has_a_window_of_its_own() -> None:
    own = work([Interval("a", 0, 50)], GPUS, 0, 100)
    told = shares([Piece(0, 100, 100, "power")], own, [], (40, 100), (90, 90))
    assert told.active == {("a", "power"): pytest.approx(10)}
    assert told.idle == {}
