"""What goes into a histogram by the short way is what `Histogram.record` would have put there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    AlwaysOnExemplarFilter,
    ExemplarFilter,
    Histogram,
    MeterProvider,
    TraceBasedExemplarFilter,
)
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import (
    Aggregation,
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    SumAggregation,
    View,
)
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, set_span_in_context

from otelext import semconv
from otelext.emit.instruments import Instruments
from otelext.emit.limits import ValueLimits
from otelext.emit.series import HistogramSeries

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.util.types import Attributes

METRIC = semconv.TTFT
NAME = METRIC.name
DELTA: dict[type, AggregationTemporality] = {Histogram: AggregationTemporality.DELTA}

Recorded = tuple[float, str, bool]
"""Value, model, whether its span is sampled."""

VALUES: list[Recorded] = [
    (0.0, "a", True),
    (0.0007, "a", False),
    (0.3, "b", True),
    (0.3, "a", True),
    (1000.0, "b", False),
    (0.02, "b", True),
]


class OnlySlow(ExemplarFilter):
    """A filter of a user's own."""

    def should_sample(self, value: float, time_unix_nano: int, attributes: Attributes, context: Context) -> bool:
        return value > 0.1


class Pair:
    """The same values into two providers: by series, and by `Histogram.record`."""

    def __init__(
        self,
        readers: Callable[[], Sequence[InMemoryMetricReader]] = lambda: [InMemoryMetricReader()],
        **settings: Any,
    ) -> None:
        self.readers = readers(), readers()
        self.providers = [MeterProvider(found, shutdown_on_exit=False, **settings) for found in self.readers]
        self.instruments = Instruments(self.providers[0], ValueLimits())
        self.plain = (
            self.providers[1]
            .get_meter("otelext")
            .create_histogram(
                NAME,
                unit=METRIC.unit,
                description=METRIC.description,
                explicit_bucket_boundaries_advisory=list(METRIC.buckets),
            )
        )
        self.spans = 0

    def record(self, recorded: Sequence[Recorded]) -> None:
        """Record values of one batch."""
        for value, model, sampled in recorded:
            self.spans += 1
            flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
            span = NonRecordingSpan(SpanContext(7, self.spans, is_remote=False, trace_flags=flags))
            context = set_span_in_context(span, Context())
            key = ((semconv.OPERATION, "chat"), (semconv.REQUEST_MODEL, model))
            self.instruments.attribute_set(key).histogram(METRIC).record(value, 1, context, sampled=sampled)
            self.plain.record(value, dict(key), context)
        self.instruments.flush()

    def assert_same(self) -> None:
        for ours, plain in zip(*self.readers, strict=True):
            assert collected(ours) == collected(plain)


def collected(reader: InMemoryMetricReader) -> Any:
    data = reader.get_metrics_data()
    if data is None:
        return None
    return [
        (metric.name, metric.unit, metric.description, type(metric.data), temporality(metric.data), points(metric.data))
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]


def temporality(data: Any) -> Any:
    return getattr(data, "aggregation_temporality", None)


def points(data: Any) -> list[Any]:
    kept = ("count", "sum", "min", "max", "bucket_counts", "explicit_bounds", "scale", "zero_count", "value")
    return sorted(
        (
            sorted(point.attributes.items()),
            {name: getattr(point, name) for name in kept if hasattr(point, name)},
            sorted(
                (exemplar.value, exemplar.trace_id, exemplar.span_id, sorted(exemplar.filtered_attributes.items()))
                for exemplar in point.exemplars
            ),
        )
        for point in data.data_points
    )


@pytest.mark.parametrize(
    "views",
    [
        [],
        [View(instrument_name=NAME, name="renamed", description="another")],
        [View(instrument_name=NAME, aggregation=DropAggregation())],
        [View(instrument_name=NAME, aggregation=ExplicitBucketHistogramAggregation([0.1, 1]))],
        [
            View(instrument_name=NAME, name="one"),
            View(instrument_name=NAME, name="two", attribute_keys={semconv.REQUEST_MODEL}),
        ],
    ],
    ids=["none", "rename", "drop", "buckets", "two"],
)
def test_views_hold(views: list[View]) -> None:
    pair = Pair(views=views)
    pair.record(VALUES)
    pair.assert_same()
    pair.record(VALUES)
    pair.assert_same()


@pytest.mark.parametrize("keys", [{semconv.OPERATION}, set()], ids=["one", "none"])
def test_a_view_that_leaves_attributes_out_holds(keys: set[str]) -> None:
    """Of the same batch and bucket either model's exemplar may stay, so that here each value is a batch."""
    pair = Pair(views=[View(instrument_name=NAME, attribute_keys=keys)])
    for _ in range(2):
        for recorded in VALUES:
            pair.record([recorded])
        pair.assert_same()


@pytest.mark.parametrize("aggregation", [ExponentialBucketHistogramAggregation(), SumAggregation()])
def test_another_aggregation_holds(aggregation: Aggregation) -> None:
    pair = Pair(
        views=[View(instrument_name=NAME, aggregation=aggregation)],
        exemplar_filter=AlwaysOffExemplarFilter(),  # their reservoirs keep a random choice
    )
    pair.record(VALUES)
    pair.assert_same()


@pytest.mark.parametrize(
    "exemplar_filter", [TraceBasedExemplarFilter(), AlwaysOnExemplarFilter(), AlwaysOffExemplarFilter(), OnlySlow()]
)
def test_the_exemplar_filter_holds(exemplar_filter: ExemplarFilter) -> None:
    pair = Pair(exemplar_filter=exemplar_filter)
    pair.record(VALUES)
    pair.assert_same()


def test_a_filter_that_raises_costs_no_value() -> None:
    class Picky(ExemplarFilter):
        def should_sample(self, value: float, *_: Any) -> bool:
            if value > 0.5:
                raise ValueError(value)
            return True

    reader = InMemoryMetricReader()
    instruments = Instruments(MeterProvider([reader], exemplar_filter=Picky(), shutdown_on_exit=False), ValueLimits())
    series = instruments.attribute_set(((semconv.OPERATION, "chat"),)).histogram(METRIC)
    for value in (0.1, 1.0, 0.1):
        series.record(value, 1, Context(), sampled=True)
    with pytest.raises(ValueError, match=r"1\.0"):  # which the worker counts and logs
        instruments.flush()
    ((*_, found),) = collected(reader)
    assert found[0][1]["count"] == 3


def test_delta_temporality_and_several_readers_hold() -> None:
    pair = Pair(lambda: [InMemoryMetricReader(), InMemoryMetricReader(preferred_temporality=DELTA)])
    for part in (VALUES[:2], VALUES[2:], [], VALUES):
        pair.record(part)
        pair.assert_same()


def test_a_reader_that_is_added_later_sees_what_follows() -> None:
    pair = Pair()
    pair.record(VALUES)
    later = [InMemoryMetricReader(), InMemoryMetricReader()]
    for provider, reader in zip(pair.providers, later, strict=True):
        provider.add_metric_reader(reader)
    pair.record(VALUES)
    pair.record(VALUES[:3])
    pair.assert_same()
    assert collected(later[0]) == collected(later[1])


def test_a_reader_that_is_removed_costs_the_others_nothing() -> None:
    pair = Pair(lambda: [InMemoryMetricReader(), InMemoryMetricReader()])
    pair.record(VALUES)
    for provider, readers in zip(pair.providers, pair.readers, strict=True):
        provider.remove_metric_reader(readers[1])
    pair.record(VALUES)
    assert collected(pair.readers[0][0]) == collected(pair.readers[1][0])


def test_without_readers_nothing_is_recorded_and_nothing_fails() -> None:
    pair = Pair(list)
    pair.record(VALUES)


recorded_values = st.tuples(st.floats(min_value=0, max_value=1e6), st.sampled_from(["a", "b", "c"]), st.booleans())


@given(st.lists(st.one_of(st.lists(recorded_values, max_size=6), st.none()), max_size=15))
def test_any_values_hold(steps: list[list[Recorded] | None]) -> None:
    """None collects."""
    pair = Pair(lambda: [InMemoryMetricReader(), InMemoryMetricReader(preferred_temporality=DELTA)])
    for step in steps:
        if step is None:
            pair.assert_same()
        else:
            pair.record(step)
    pair.assert_same()


def test_another_library_s_histogram_is_recorded_to_as_the_api_says() -> None:
    class Foreign:
        def __init__(self) -> None:
            self.seen: list[tuple[float, Any, Any]] = []

        def record(self, amount: float, attributes: Any = None, context: Any = None) -> None:
            self.seen.append((amount, attributes, context))

    histogram = Foreign()
    series = HistogramSeries(histogram, {"key": "value"}, [])  # type: ignore[arg-type]  # what is called of it is there
    context = Context()
    series.record(1.0, 1, context, sampled=True)
    series.record(2.0, 1, context, sampled=True)
    series.flush()
    assert histogram.seen == [(1.0, {"key": "value"}, context), (2.0, {"key": "value"}, context)]


def test_an_sdk_whose_storage_looks_different_is_recorded_to_as_the_api_says(monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry.sdk.metrics._internal.metric_reader_storage import MetricReaderStorage

    found: Any = MetricReaderStorage._get_or_init_view_instrument_match

    def consume(self: MetricReaderStorage, measurement: Any, keep: bool = True) -> None:
        for match in found(self, measurement.instrument):
            match.consume_measurement(measurement, keep)

    monkeypatch.setattr(MetricReaderStorage, "consume_measurement", consume)
    monkeypatch.delattr(MetricReaderStorage, "_get_or_init_view_instrument_match")
    pair = Pair()
    pair.record(VALUES)
    pair.record(VALUES)
    pair.assert_same()


def test_an_sdk_whose_consumer_looks_different_is_recorded_to_as_the_api_says() -> None:
    class Renamed:
        _measurement_consumer = object()

        def __init__(self) -> None:
            self.seen: list[float] = []

        def record(self, amount: float, attributes: Any = None, context: Any = None) -> None:
            self.seen.append(amount)

    histogram = Renamed()
    series = HistogramSeries(histogram, {}, [])  # type: ignore[arg-type]  # what is called of it is there
    for value in (1.0, 2.0):
        series.record(value, 1, Context(), sampled=True)
    series.flush()
    assert histogram.seen == [1.0, 2.0]


def test_an_sdk_whose_aggregations_look_different_is_recorded_to_as_the_api_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from opentelemetry.sdk.metrics._internal.aggregation import _ExplicitBucketHistogramAggregation
    from opentelemetry.sdk.metrics._internal.measurement import Measurement

    aggregate: Any = _ExplicitBucketHistogramAggregation.aggregate

    def stricter(self: Any, measurement: Any, keep: bool = True) -> None:
        if not isinstance(measurement, Measurement):
            raise TypeError
        aggregate(self, measurement, keep)

    monkeypatch.setattr(_ExplicitBucketHistogramAggregation, "aggregate", stricter)
    pair = Pair()
    pair.record(VALUES)
    pair.record(VALUES)
    pair.assert_same()
