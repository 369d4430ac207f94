"""Points that lose attributes and become the same are made one, and nothing that was counted is lost by it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.metrics import Counter, Exemplar, Histogram, MeterProvider, UpDownCounter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Buckets,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    HistogramDataPoint,
    InMemoryMetricReader,
    NumberDataPoint,
    Sum,
)
from opentelemetry.sdk.metrics.export import Histogram as HistogramData
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation

from otelext.processors.redaction.metrics import redact
from otelext.processors.redaction.points import MAX_BUCKETS, MAX_EXEMPLARS, merged
from otelext.processors.redaction.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CUMULATIVE, DELTA = AggregationTemporality.CUMULATIVE, AggregationTemporality.DELTA
TEMPORALITIES = st.sampled_from([CUMULATIVE, DELTA])
KEYS = ("a", "b", "c", "d")
ALLOWED = st.frozensets(st.sampled_from(KEYS))
VALUES = st.one_of(st.sampled_from(["x", "y", 0, 1, 1.0, True, False]), st.tuples(st.sampled_from(["x", "y"])))
ATTRIBUTES = st.dictionaries(st.sampled_from(KEYS), VALUES)
# Over all magnitudes, so that scales of exponential histograms differ as far as they can. The SDK rounds subnormal ones.
AMOUNTS = st.one_of(
    st.floats(0, 1e9, allow_subnormal=False),
    st.builds(lambda m, e: m * 10.0**e, st.floats(1, 10), st.integers(-300, 300)),
    st.just(0),
)
MEASURED = st.lists(st.tuples(ATTRIBUTES, AMOUNTS), min_size=1, max_size=40)


def exported(
    kind: str, measured: Sequence[tuple[Mapping[str, Any], float]], temporality: AggregationTemporality, **more: Any
) -> Any:
    """What a reader gets of one instrument of a real provider."""
    reader = InMemoryMetricReader(dict.fromkeys((Counter, Histogram, UpDownCounter), temporality), **more)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    instrument: Any = getattr(provider.get_meter("m"), f"create_{kind}")("n")
    for attributes, amount in measured:
        getattr(instrument, "record" if kind == "histogram" else "add")(amount, attributes)
    data = reader.get_metrics_data()
    provider.shutdown()
    return data


def points(data: Any) -> Sequence[Any]:
    ((metric,),) = [[m for s in r.scope_metrics for m in s.metrics] for r in data.resource_metrics]
    found: Sequence[Any] = metric.data.data_points
    return found


def frozen(attributes: Mapping[str, Any]) -> frozenset[Any]:
    return frozenset((key, type(value), value) for key, value in attributes.items())


def grouped(
    measured: Sequence[tuple[Mapping[str, Any], float]], allow: frozenset[str]
) -> dict[frozenset[Any], list[float]]:
    found: dict[frozenset[Any], list[float]] = {}
    for attributes, amount in measured:
        found.setdefault(frozen({k: v for k, v in attributes.items() if k in allow}), []).append(amount)
    return found


@given(st.sampled_from(["counter", "up_down_counter"]), MEASURED, ALLOWED, TEMPORALITIES)
def test_sums_are_conserved(
    kind: str, measured: list[tuple[dict[str, Any], float]], allow: frozenset[str], temporality: AggregationTemporality
) -> None:
    found = points(redact(exported(kind, measured, temporality), Rules(allow=allow)))
    expected = grouped(measured, allow)
    assert {frozen(point.attributes) for point in found} == expected.keys()
    assert len(found) == len(expected)
    for point in found:
        assert math.isclose(point.value, math.fsum(expected[frozen(point.attributes)]), rel_tol=1e-9)


@given(MEASURED, ALLOWED, TEMPORALITIES)
def test_counts_sums_and_buckets_of_histograms_are_conserved(
    measured: list[tuple[dict[str, Any], float]], allow: frozenset[str], temporality: AggregationTemporality
) -> None:
    found = points(redact(exported("histogram", measured, temporality), Rules(allow=allow)))
    expected = grouped(measured, allow)
    assert len(found) == len(expected)
    for point in found:
        alone: list[tuple[dict[str, Any], float]] = [({}, amount) for amount in expected[frozen(point.attributes)]]
        (wanted,) = points(exported("histogram", alone, temporality))
        assert (point.count, tuple(point.bucket_counts)) == (wanted.count, tuple(wanted.bucket_counts))
        assert (point.min, point.max, point.explicit_bounds) == (wanted.min, wanted.max, wanted.explicit_bounds)
        assert math.isclose(point.sum, wanted.sum, rel_tol=1e-9)


@given(MEASURED, ALLOWED, TEMPORALITIES, st.sampled_from([4, 20, 160, 320]))
def test_values_stay_within_the_buckets_of_exponential_histograms(
    measured: list[tuple[dict[str, Any], float]],
    allow: frozenset[str],
    temporality: AggregationTemporality,
    max_size: int,
) -> None:
    aggregation = {Histogram: ExponentialBucketHistogramAggregation(max_size=max_size)}
    data = exported("histogram", measured, temporality, preferred_aggregation=aggregation)
    found = points(redact(data, Rules(allow=allow)))
    expected = grouped(measured, allow)
    assert len(found) == len(expected)
    for point in found:
        values = sorted(expected[frozen(point.attributes)])
        assert point.count == len(values)
        assert (point.min, point.max) == (values[0], values[-1])
        assert math.isclose(point.sum, math.fsum(values), rel_tol=1e-9)
        assert point.zero_count == values.count(0)
        assert len(point.positive.bucket_counts) <= max(MAX_BUCKETS, max_size)
        assert not any(point.negative.bucket_counts)
        bounds = iter(values[point.zero_count :])
        for index, count in enumerate(point.positive.bucket_counts, point.positive.offset):
            for _ in range(count):
                # In units of the scale's exponent, as the boundary itself may be no float.
                place = math.log2(next(bounds)) * 2.0**point.scale
                assert index - 1e-3 <= place <= index + 1 + 1e-3
        assert next(bounds, None) is None


SIDES = st.dictionaries(st.integers(-50_000, 50_000), st.integers(1, 5), max_size=8)


def side(counts: Mapping[int, int], width: int) -> Buckets:
    first = min(counts, default=0)
    near = {index: count for index, count in counts.items() if index < first + width}
    return Buckets(first, [near.get(index, 0) for index in range(first, max(near, default=first) + 1)])


def exponential(scale: int, positive: Buckets, negative: Buckets, zeros: int = 0) -> ExponentialHistogramDataPoint:
    count = zeros + sum(positive.bucket_counts) + sum(negative.bucket_counts)
    return ExponentialHistogramDataPoint(
        {}, 1, 2, count, float(count), scale, zeros, positive, negative, 0, -1.0, 1.0, []
    )


@given(
    st.lists(
        st.builds(
            lambda scale, positive, negative, zeros: exponential(scale, side(positive, 160), side(negative, 40), zeros),
            st.integers(-10, 20),
            SIDES,
            SIDES,
            st.integers(0, 3),
        ),
        min_size=2,
        max_size=5,
    )
)
def test_each_bucket_of_either_sign_goes_into_the_one_that_holds_it(given_points: list[Any]) -> None:
    data, left_out = merged(ExponentialHistogram(given_points, DELTA))
    assert left_out == 0
    ((point,),) = [data.data_points]
    assert isinstance(point, ExponentialHistogramDataPoint)
    assert point.count == sum(p.count for p in given_points)
    assert point.zero_count == sum(p.zero_count for p in given_points)
    assert point.scale <= min((p.scale for p in given_points if p.count > p.zero_count), default=20)
    for sign in ("positive", "negative"):
        expected: dict[int, int] = {}
        for p in given_points:
            buckets = getattr(p, sign)
            for index, count in enumerate(buckets.bucket_counts, buckets.offset):
                if count:
                    place = math.floor(index / 2 ** (p.scale - point.scale))
                    expected[place] = expected.get(place, 0) + count
        got = getattr(point, sign)
        assert len(got.bucket_counts) <= MAX_BUCKETS
        assert {i: n for i, n in enumerate(got.bucket_counts, got.offset) if n} == expected


def test_values_far_apart_keep_few_buckets() -> None:
    far = [exponential(20, Buckets(offset, [1]), Buckets(0, [0])) for offset in (-(2**30), 2**30)]
    ((point,),) = [merged(ExponentialHistogram(far, CUMULATIVE))[0].data_points]
    assert isinstance(point, ExponentialHistogramDataPoint)
    assert sum(point.positive.bucket_counts) == 2
    assert len(point.positive.bucket_counts) <= MAX_BUCKETS


def test_zeros_alone_cost_no_resolution() -> None:
    some = exponential(7, Buckets(100, [3, 4]), Buckets(0, [0]))
    zeros = exponential(0, Buckets(0, [0]), Buckets(0, [0]), zeros=5)
    ((point,),) = [merged(ExponentialHistogram([zeros, some], CUMULATIVE))[0].data_points]
    assert isinstance(point, ExponentialHistogramDataPoint)
    assert (point.scale, point.positive, point.zero_count, point.count) == (7, some.positive, 5, 12)


def number(value: float, time: int = 2, start: int = 1, exemplars: Sequence[Exemplar] = (), **attributes: Any) -> Any:
    return NumberDataPoint(attributes, start, time, value, list(exemplars))


def histogram(bounds: Sequence[float], counts: Sequence[int], exemplars: Sequence[Exemplar] = ()) -> HistogramDataPoint:
    return HistogramDataPoint({}, 1, 2, sum(counts), 1.0, counts, bounds, 0.0, 1.0, list(exemplars))


def test_a_sum_is_from_the_earliest_start_to_the_latest_time_and_stays_whole() -> None:
    data = Sum([number(2**53, 5, 3), number(1, 9, 4), number(-3, 7, 1)], CUMULATIVE, is_monotonic=False)
    merged_data: Any
    merged_data, left_out = merged(data)
    (point,) = merged_data.data_points
    assert isinstance(point, NumberDataPoint)
    assert (point.value, point.start_time_unix_nano, point.time_unix_nano) == (2**53 - 2, 1, 9)
    assert (left_out, replace(merged_data, data_points=data.data_points)) == (0, data)


@pytest.mark.parametrize(("times", "stays"), [((1, 3, 2), 1), ((3, 3, 3), 2), ((3, 1, 1), 0)])
def test_a_gauge_keeps_the_latest_value(times: tuple[int, ...], stays: int) -> None:
    given_points = [number(index, time) for index, time in enumerate(times)]
    assert merged(Gauge(given_points))[0].data_points == [given_points[stays]]


def test_values_that_python_alone_takes_for_equal_are_no_duplicates() -> None:
    values = (True, 1, 1.0, "1", b"1", (1,), {"k": 1}, {"k": 1.0}, None, math.nan)
    data = Sum([number(1, k=value) for value in values], DELTA, is_monotonic=True)
    assert merged(data)[0] is data


def test_nan_is_itself() -> None:
    data = Sum([number(1, k=math.nan), number(1, k=float("nan"))], DELTA, is_monotonic=True)
    assert [point.value for point in merged(data)[0].data_points if isinstance(point, NumberDataPoint)] == [2]


def test_points_with_other_boundaries_are_left_out_and_said() -> None:
    given_points = [histogram((1, 2), (1, 1, 1)), histogram((1, 3), (2, 2, 2)), histogram([1, 2], [4, 0, 1])]
    data, left_out = merged(HistogramData(given_points, CUMULATIVE))
    (point,) = data.data_points
    assert isinstance(point, HistogramDataPoint)
    assert (tuple(point.bucket_counts), point.count, left_out) == ((5, 1, 2), 8, 1)


def test_of_many_exemplars_the_newest_stay() -> None:
    exemplars = [Exemplar({}, 1.0, time) for time in range(100)]
    data = Sum([number(1, exemplars=exemplars[:60]), number(1, exemplars=exemplars[60:])], DELTA, is_monotonic=True)
    (point,) = merged(data)[0].data_points
    assert point.exemplars == exemplars[-MAX_EXEMPLARS:]


def test_a_histogram_keeps_the_newest_exemplar_of_each_bucket() -> None:
    first = histogram((1, 2), (1, 1, 1), [Exemplar({}, 0.5, 9), Exemplar({}, 1.5, 1)])
    second = histogram((1, 2), (1, 1, 1), [Exemplar({}, 1.0, 3), Exemplar({}, 2.0, 5), Exemplar({}, 7.0, 5)])
    (point,) = merged(HistogramData([first, second], DELTA))[0].data_points
    assert point.exemplars == [first.exemplars[0], *second.exemplars[1:]]


def test_what_is_given_stays_as_it_is() -> None:
    given_points = [number(1), number(2)]
    data = Sum(given_points, DELTA, is_monotonic=True)
    merged(data)
    assert data.data_points == given_points == [number(1), number(2)]


def test_data_of_an_unknown_kind_can_not_be_merged() -> None:
    class Later(Sum):
        pass

    with pytest.raises(TypeError, match="Later"):
        merged(Later([number(1), number(2)], DELTA, is_monotonic=True))
