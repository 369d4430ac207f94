"""Counters of a driver, and energy from power, through wraps, resets, gaps and rests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext.gpu.counters import Counter, Integral

SECOND = 10**9


@given(st.lists(st.integers(0, 2**62)), st.booleans())
def test_a_counter_begins_at_0_and_never_goes_down(raws: list[int], wraps: bool) -> None:
    counter = Counter(wraps=wraps)
    totals = [counter.take(raw) for raw in raws]
    assert totals == sorted(totals)
    assert not totals or totals[0] == 0


@given(st.lists(st.integers(0, 2**40), min_size=1))
def test_a_counter_that_only_rises_is_followed(steps: list[int]) -> None:
    counter, raw = Counter(), 0
    for step in steps:
        raw += step
        counter.take(raw)
    assert counter.total == raw - steps[0]


@given(st.lists(st.integers(0, 2**30), min_size=1))
def test_a_counter_of_32_bits_is_followed_over_its_wraps(steps: list[int]) -> None:
    counter, raw = Counter(wraps=True), 0
    for step in steps:
        raw += step
        counter.take(raw % 2**32)
    assert counter.total == raw - steps[0]


@pytest.mark.parametrize("last", [2**31, 4_000_000_000, 2**40])
def test_a_counter_of_64_bits_that_goes_down_begins_anew(last: int) -> None:
    # A driver that is loaded anew while an energy counter is about to pass 2^32 mJ is no wrap.
    counter = Counter()
    counter.take(last)
    assert counter.take(1_000) == 1_000


def test_a_counter_of_32_bits_that_goes_down_from_its_middle_begins_anew() -> None:
    counter = Counter(wraps=True)
    counter.take(2**31)
    assert counter.take(1_000) == 1_000


def test_what_comes_while_a_counter_rests_is_left_out() -> None:
    counter = Counter()
    counter.take(10)
    counter.take(15)
    counter.rest()
    assert counter.take(1_000) == 5
    assert counter.take(1_001) == 6


@given(st.lists(st.tuples(st.integers(1, SECOND), st.floats(0, 2_000)), min_size=1), st.floats(0, 2_000))
def test_energy_lies_between_the_least_and_the_most_power_over_the_time(
    steps: list[tuple[int, float]], first: float
) -> None:
    integral, at = Integral(longest_ns=SECOND), 0
    integral.take(at, first)
    for step, watts in steps:
        at += step
        integral.take(at, watts)
    powers = [first, *(watts for _, watts in steps)]
    assert min(powers) * at / 1e9 - 1e-6 <= integral.joules <= max(powers) * at / 1e9 + 1e-6


def test_power_is_integrated_by_trapezoids_and_not_over_a_gap() -> None:
    integral = Integral(longest_ns=SECOND)
    assert integral.take(0, 100.0) == 0
    assert integral.take(SECOND, 200.0) == 150.0
    assert integral.take(3 * SECOND, 200.0) == 150.0
    assert integral.take(4 * SECOND, 200.0) == 350.0


def test_what_comes_while_an_integral_rests_is_left_out() -> None:
    integral = Integral(longest_ns=SECOND)
    integral.take(0, 100.0)
    integral.rest()
    assert integral.take(SECOND // 2, 100.0) == 0
    assert integral.take(SECOND, 100.0) == 50.0
