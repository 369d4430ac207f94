"""In a flood as many lines pass as the bucket gives, and every other one is told of."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from otelext.logs.rate import RateLimit

SECOND = 1_000_000_000


class Clock:
    """Nanoseconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 5 * SECOND

    def __call__(self) -> int:
        return self.now

    def tick(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)


RATES = st.one_of(
    st.just(0.0), st.just(100.0), st.floats(0.01, 1e6, allow_nan=False), st.integers(0, 1000), st.just(math.inf)
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("line"), st.booleans()),
        st.tuples(st.just("wait"), st.integers(0, 3 * SECOND)),
        st.tuples(st.just("poll"), st.booleans()),
    ),
    max_size=200,
)


@given(RATES, STEPS)
def test_what_is_written_and_what_is_left_out_is_what_was_seen(per_second: float, steps: list[tuple[str, int]]) -> None:
    clock = Clock()
    limit = RateLimit(per_second, clock)
    seen = written = told = 0
    for what, value in steps:
        if what == "wait":
            clock.now += value
        elif what == "poll":
            told += limit.over(at_once=bool(value))
        else:
            seen += 1
            left_out = limit.admit(always=bool(value))
            if left_out is None:
                assert not value
            else:
                written += 1
                told += left_out
    told += limit.over(at_once=True)
    assert written + told == seen
    assert limit.over(at_once=True) == 0


@given(RATES, st.lists(st.integers(0, SECOND), max_size=300), st.data())
def test_never_more_pass_than_the_burst_and_the_rate_give(
    per_second: float, waits: list[int], data: st.DataObject
) -> None:
    clock = Clock()
    limit = RateLimit(per_second, clock)
    passed: list[int] = []
    for wait in waits:
        clock.now += wait
        if limit.admit(always=False) is not None:
            passed.append(clock.now)
        if data.draw(st.booleans()):
            limit.admit(always=True)  # takes nothing from the others
    burst = 0 if per_second == 0 else max(1, int(min(per_second, 1e9)))
    for first in range(len(passed)):  # in every stretch of time, not from the start alone
        for last in range(first, len(passed)):
            elapsed = (passed[last] - passed[first]) / SECOND
            assert last - first + 1 <= burst + (0 if elapsed == 0 else per_second * elapsed)


@given(st.integers(1, 500), st.integers(1, 10))
def test_a_steady_flood_gets_its_whole_rate(per_second: int, seconds: int) -> None:
    clock = Clock()
    limit = RateLimit(per_second, clock)
    passed = 0
    for _ in range(seconds * 1000):
        passed += limit.admit() is not None
        clock.tick(0.001)
    # One a second less at most: a millisecond is not always a whole share.
    assert passed >= min(seconds * per_second, seconds * 1000) - seconds


def test_after_a_pause_a_burst_passes_and_no_more() -> None:
    clock = Clock()
    limit = RateLimit(10, clock)
    assert [limit.admit() is not None for _ in range(12)] == [True] * 10 + [False] * 2
    clock.tick(3600)
    assert limit.admit() == 2
    assert [limit.admit() is not None for _ in range(12)] == [True] * 9 + [False] * 3


def test_a_flood_is_over_after_a_second_without_one_left_out() -> None:
    clock = Clock()
    limit = RateLimit(1, clock)
    limit.admit()
    for _ in range(3):
        clock.tick(0.2)
        assert limit.admit() is None
    clock.tick(0.9)
    assert limit.over() == 0
    clock.tick(0.1)
    assert limit.over() == 3
    assert limit.over(at_once=True) == 0


def test_a_flood_without_an_end_is_told_each_minute() -> None:
    clock = Clock()
    limit = RateLimit(0, clock)
    told = []
    for _ in range(250):
        assert limit.admit() is None
        clock.tick(0.5)
        told.append(limit.over())
    assert [count for count in told if count] == [120, 120]
    assert limit.over(at_once=True) == 10


def test_what_could_not_be_told_is_told_later() -> None:
    limit = RateLimit(1, Clock())
    assert [limit.admit(), limit.admit(), limit.admit(always=True)] == [0, None, 1]
    limit.untold(2)  # that line and what it was to tell
    assert limit.admit(always=True) == 2


def test_a_forked_child_has_nothing_to_tell_and_a_full_bucket() -> None:
    limit = RateLimit(1, Clock())
    assert [limit.admit(), limit.admit()] == [0, None]
    limit.reset()
    assert [limit.admit(), limit.over(at_once=True)] == [0, 0]
