from __future__ import annotations

import bisect
import itertools
import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from otelext.viewer.distribution import ExponentialHistogram, Histogram, Quantile

values = st.lists(st.floats(0.001, 50), min_size=1, max_size=60)
bounds = st.lists(st.floats(0.01, 40), min_size=1, max_size=8, unique=True).map(lambda found: tuple(sorted(found)))


def histogram(of: list[float], at: tuple[float, ...]) -> Histogram:
    counts = [0.0] * (len(at) + 1)
    for value in of:
        counts[bisect.bisect_left(at, value)] += 1
    return Histogram(at, tuple(counts), sum(of))


def exponential(of: list[float], scale: int) -> ExponentialHistogram:
    counts: dict[int, float] = {}
    for value in of:
        index = math.ceil(math.log2(value) * 2**scale) - 1
        counts[index] = counts.get(index, 0) + 1
    return ExponentialHistogram(scale, 0, counts, {}, sum(of))


@pytest.mark.parametrize(
    ("counts", "q", "expected"),
    [
        # histogram_quantile of buckets le=1: 10, le=2: 30, le=4: 40, +Inf: 40
        ((10, 20, 10, 0), 0.5, Quantile(1.5)),
        ((10, 20, 10, 0), 0.125, Quantile(0.5)),
        ((10, 20, 10, 0), 1.0, Quantile(4.0)),
        ((10, 20, 10, 0), 0.0, Quantile(0.0)),
        ((0, 0, 0, 5), 0.5, Quantile(4.0, beyond=True)),
        ((1, 0, 0, 9), 0.5, Quantile(4.0, beyond=True)),
        ((0, 0, 0, 0), 0.5, None),
    ],
)
def test_quantiles_are_those_of_histogram_quantile(
    counts: tuple[float, ...], q: float, expected: Quantile | None
) -> None:
    assert Histogram((1.0, 2.0, 4.0), counts, 0.0).quantile(q) == expected


@given(values, bounds, st.floats(0, 1))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(of: list[float], at: tuple[float, ...], q: float) -> None:
    found = histogram(of, at).quantile(q)
    true = sorted(of)[max(0, math.ceil(q * len(of)) - 1)]
    assert found is not None
    if true > at[-1]:
        assert found == Quantile(at[-1], beyond=True)
    else:
        edges = (0.0, *at)
        i = bisect.bisect_left(at, true)
        assert edges[i] - 1e-9 <= found.value <= edges[i + 1] + 1e-9


@given(values, values, bounds)
def test_adding_is_the_histogram_of_both_and_subtracting_undoes_it(
    left: list[float], right: list[float], at: tuple[float, ...]
) -> None:
    both = histogram(left, at).plus(histogram(right, at))
    assert both.counts == histogram(left + right, at).counts
    assert both.minus(histogram(right, at)).counts == histogram(left, at).counts


@given(values, values, bounds, bounds)
def test_histograms_of_other_bounds_add_up_without_losing_a_value(
    left: list[float], right: list[float], at: tuple[float, ...], other: tuple[float, ...]
) -> None:
    assume(at != other)
    both = histogram(left, at).plus(histogram(right, other))
    assert both.count == pytest.approx(len(left) + len(right))
    assert both.sum == pytest.approx(sum(left) + sum(right))
    assert all(count >= 0 for count in both.counts)
    # Below a bound that both know, nothing is guessed.
    for shared in set(at) & set(other):
        i = both.bounds.index(shared)
        assert sum(both.counts[: i + 1]) == pytest.approx(sum(1 for v in left + right if v <= shared))


@given(values, st.integers(-2, 6), st.sampled_from([0.5, 0.9, 0.99]))
def test_an_exponential_histogram_is_as_close_as_its_scale(of: list[float], scale: int, q: float) -> None:
    explicit = exponential(of, scale).explicit()
    assert explicit.count == len(of)
    found = explicit.quantile(q)
    assert found is not None
    assert not found.beyond
    true = sorted(of)[math.ceil(q * len(of)) - 1]
    base = 2**2**-scale
    assert true / base * 0.999 <= found.value <= true * base * 1.001


@given(values, values, st.integers(0, 5), st.integers(0, 4))
def test_readings_of_other_scales_subtract(old: list[float], new: list[float], scale: int, coarser: int) -> None:
    later = exponential(old + new, scale)
    found = later.minus(exponential(old, scale + coarser))
    assert found.scale == scale
    expected = exponential(new, scale).positive
    assert {i: c for i, c in found.positive.items() if c} == expected


def test_negative_values_and_zeros_keep_their_order() -> None:
    found = ExponentialHistogram(0, 2, {0: 1}, {0: 1}, 0.0).explicit()
    assert found.count == 4
    assert list(itertools.accumulate(found.counts))[-1] == 4
    lowest, highest = found.quantile(0.1), found.quantile(1.0)
    assert lowest is not None
    assert highest is not None
    assert lowest.value < 0 < highest.value <= 2


def test_counts_that_do_not_fit_the_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="must be one more than bounds"):
        Histogram((1.0,), (1.0,))
