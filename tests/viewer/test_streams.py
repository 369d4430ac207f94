from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelext.viewer.selection import Selection
from otelext.viewer.signals import METRICS
from otelext.viewer.store import Store
from otelext.viewer.streams import increases, merged, total
from tests.viewer.messages import CUMULATIVE, DELTA, counter, histogram

if TYPE_CHECKING:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

    from otelext.viewer.distribution import Histogram

S = 10**9
T0 = 1_700_000_000 * S
ALL = Selection(None, 2**62)


def keep(store: Store, *requests: ExportMetricsServiceRequest) -> None:
    for request in requests:
        store.submit(METRICS.flatten(request, 5).rows).result(30)


def sum_of(store: Store, span: Selection = ALL, *keys: str) -> dict[tuple[str, ...], float]:
    with store.reading() as reader:
        return total(increases(reader, "c", span), *keys)


def merged_of(store: Store, span: Selection = ALL) -> Histogram:
    with store.reading() as reader:
        return merged(increases(reader, "h", span))[()]


def at(
    value: float,
    time_s: float,
    start_s: float = 0,
    *,
    temporality: AggregationTemporality.ValueType = CUMULATIVE,
    instance: str = "one",
    model: str | None = None,
) -> ExportMetricsServiceRequest:
    return counter(
        "c",
        value,
        start_ns=T0 + int(start_s * S),
        time_ns=T0 + int(time_s * S),
        instance=instance,
        temporality=temporality,
        model=model,
    )


def test_cumulative_counters_add_up_across_instances_and_attributes(store: Store) -> None:
    keep(store, at(3, 15), at(10, 30), at(4, 30, instance="two"), at(5, 30, model="m"))
    assert sum_of(store) == {(): 19}
    assert sum_of(store, ALL, "model") == {("",): 14, ("m",): 5}


def test_a_restart_with_a_new_start_time_begins_anew(store: Store) -> None:
    keep(store, at(10, 15), at(4, 30, 20), at(6, 45, 20))
    assert sum_of(store) == {(): 16}
    # Also where the new process has overtaken the old one, which a falling value would not show.
    keep(store, at(100, 60, 50))
    assert sum_of(store) == {(): 116}


def test_a_value_that_falls_is_a_reset_even_with_the_same_start_time(store: Store) -> None:
    keep(store, at(10, 15), at(3, 30), at(5, 45))
    assert sum_of(store) == {(): 15}


def test_readings_that_arrive_late_or_twice_change_nothing(store: Store) -> None:
    keep(store, at(10, 45), at(3, 15), at(7, 30), at(7, 30), at(10, 45))
    assert sum_of(store) == {(): 10}


def test_a_range_counts_from_the_last_reading_before_it(store: Store) -> None:
    keep(store, at(10, 15), at(25, 30), at(27, 45))
    assert sum_of(store, Selection(T0 + 20 * S, T0 + 40 * S)) == {(): 15}
    assert sum_of(store, Selection(T0 + 30 * S, T0 + 60 * S)) == {(): 2}
    assert sum_of(store, Selection(T0 + 50 * S, T0 + 60 * S)) == {}


def test_a_stream_that_began_in_the_range_counts_in_full(store: Store) -> None:
    keep(store, at(10, 45, 40))
    assert sum_of(store, Selection(T0 + 30 * S, T0 + 60 * S)) == {(): 10}


def test_what_a_stream_held_before_it_was_first_seen_cannot_be_dated(store: Store) -> None:
    keep(store, at(1000, 45), at(1003, 60))
    assert sum_of(store, Selection(T0 + 30 * S, T0 + 60 * S)) == {(): 3}
    assert sum_of(store) == {(): 1003}


def test_delta_counters_add_their_points_in_the_range(store: Store) -> None:
    keep(store, *(at(1, t, t - 15, temporality=DELTA) for t in (15, 30, 45)))
    assert sum_of(store) == {(): 3}
    assert sum_of(store, Selection(T0 + 15 * S, T0 + 30 * S)) == {(): 1}


def test_a_point_without_recorded_value_and_one_that_is_no_number_are_left_out(store: Store) -> None:
    keep(store, at(5, 15), at(float("nan"), 30))
    keep(store, counter("c", 0, start_ns=T0, time_ns=T0 + 45 * S, flags=1))
    assert sum_of(store) == {(): 5}


def test_histograms_add_up_across_instances_and_restarts(store: Store) -> None:
    bounds = [0.1, 1.0]

    def point(counts: list[int], time_s: int, start_s: int = 0, instance: str = "one") -> ExportMetricsServiceRequest:
        return histogram(
            "h",
            counts,
            bounds,
            start_ns=T0 + start_s * S,
            time_ns=T0 + time_s * S,
            total=float(sum(counts)),
            instance=instance,
        )

    keep(store, point([1, 0, 0], 15), point([1, 2, 0], 30), point([0, 0, 5], 45, 40), point([3, 0, 0], 30, 0, "two"))
    found = merged_of(store)
    assert (found.counts, found.sum) == ((4.0, 2.0, 5.0), 11.0)
    assert merged_of(store, Selection(T0 + 20 * S, T0 + 35 * S)).counts == (0.0, 2.0, 0.0)


def test_delta_and_exponential_histograms_are_merged_too(store: Store) -> None:
    for time_s in (15, 30):
        keep(store, histogram("h", [1, 1], [2.0], start_ns=T0, time_ns=T0 + time_s * S, temporality=DELTA))
    request = histogram("h", [], [], start_ns=T0, time_ns=T0 + 40 * S)
    metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
    metric.ClearField("histogram")
    metric.exponential_histogram.aggregation_temporality = CUMULATIVE
    point = metric.exponential_histogram.data_points.add(
        scale=0, count=3, zero_count=1, start_time_unix_nano=T0, time_unix_nano=T0 + 40 * S, sum=4.0
    )
    point.positive.offset = 0
    point.positive.bucket_counts.extend([2])
    keep(store, request)
    found = merged_of(store)
    assert found.count == 7
    assert found.counts[found.bounds.index(2.0)] + found.counts[found.bounds.index(1.0)] >= 2


@settings(max_examples=25)
@given(
    st.lists(  # processes, each with the counts that it adds between its exports
        st.tuples(st.integers(0, 3), st.lists(st.integers(0, 50), min_size=1, max_size=6)), min_size=1, max_size=5
    ),
    st.integers(0, 40),
)
def test_any_processes_add_up_to_what_they_counted(processes: list[tuple[int, list[int]]], cut: int) -> None:
    """Several instances, restarted under the same or another id; the range after the cut is the sum after it."""
    events: list[tuple[float, int]] = []
    undated = 0  # what a process that began before the cut had counted when it was first heard after it
    with Store() as store:
        for number, (instance, added) in enumerate(processes):
            start = number * 10.5
            value = 0
            for step, more in enumerate(added):
                value += more
                moment = start + 1 + step
                events.append((moment, more))
                undated += more if step == 0 and start < cut < moment else 0
                keep(store, at(value, moment, start, instance=str(instance)))
        assert sum(sum_of(store).values()) == sum(more for _, more in events)
        after = sum_of(store, Selection(T0 + cut * S, T0 + 10**6 * S))
        assert sum(after.values()) == sum(more for moment, more in events if moment > cut) - undated


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1))
@settings(max_examples=25)
def test_exponential_histograms_of_any_scale_and_offset_have_finite_quantiles(
    scale: int, positive: int, negative: int
) -> None:
    request = histogram("h", [], [], start_ns=T0, time_ns=T0 + S)
    metric = request.resource_metrics[0].scope_metrics[0].metrics[0]
    metric.ClearField("histogram")
    metric.exponential_histogram.aggregation_temporality = CUMULATIVE
    point = metric.exponential_histogram.data_points.add(
        scale=scale, count=6, start_time_unix_nano=T0, time_unix_nano=T0 + S, sum=4.0
    )
    point.positive.offset, point.negative.offset = positive, negative
    point.positive.bucket_counts.extend([2, 1])
    point.negative.bucket_counts.extend([1, 2])
    with Store() as store:
        # Bounds of others, so that the two are shared out.
        keep(store, request, histogram("h", [1, 1, 1], [-1e300, 1e300], start_ns=T0, time_ns=T0 + S, instance="two"))
        found = merged_of(store)
    assert found.count == pytest.approx(9)
    for q in (0.01, 0.5, 0.99):
        quantile = found.quantile(q)
        assert quantile is not None
        assert math.isfinite(quantile.value)


def test_an_unknown_metric_is_empty(store: Store) -> None:
    assert sum_of(store) == {}
    with store.reading() as reader:
        assert merged(increases(reader, "unknown", ALL)) == {}
