"""Our views bound attributes; the user's go before ours."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import ExponentialHistogram, InMemoryMetricReader
from opentelemetry.sdk.metrics.view import (
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)

from otelext import semconv
from otelext.distro.views import add_views
from otelext.processors.redaction.counts import COUNTS
from otelext.processors.redaction.rules import PROCESS, Rules
from tests.distro.processes import plain, run_program

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opentelemetry.sdk.metrics.export import Metric

    from tests.otlp_receiver import OtlpReceiver

PAGE = Path(__file__).parents[2] / "docs" / "views.md"


def measured(views: Sequence[View] = (), scope: str = semconv.SCOPE_NAME) -> dict[str, Any]:
    """The data of `vlm.inferences` and of a TTFT after one measurement with an attribute too many, by metric name."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], views=views)
    assert add_views(provider)
    meter = provider.get_meter(scope)
    meter.create_counter(semconv.INFERENCES.name).add(1, {semconv.OUTCOME: "completed", "user": "u"})
    meter.create_histogram(semconv.TTFT.name, explicit_bucket_boundaries_advisory=list(semconv.TTFT.buckets)).record(
        1, {semconv.REQUEST_MODEL: "m", "user": "u"}
    )
    data = reader.get_metrics_data()
    found = {
        metric.name: metric.data.data_points[0]
        for resource in (data.resource_metrics if data else ())
        for of_scope in resource.scope_metrics
        for metric in of_scope.metrics
    }
    provider.shutdown()
    return found


def with_views(
    views: Sequence[View] = (), *, reader: InMemoryMetricReader | None = None, add: bool = True
) -> tuple[MeterProvider, InMemoryMetricReader]:
    reader = reader or InMemoryMetricReader()
    provider = MeterProvider([reader], views=views)
    assert not add or add_views(provider)
    return provider, reader


def streams(reader: InMemoryMetricReader) -> list[tuple[Metric, Sequence[Any]]]:
    data = reader.get_metrics_data()
    assert data is not None
    return [
        (metric, metric.data.data_points)
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]


def test_attributes_are_the_catalogues() -> None:
    found = measured()
    assert dict(found[semconv.INFERENCES.name].attributes) == {semconv.OUTCOME: "completed"}
    assert dict(found[semconv.TTFT.name].attributes) == {semconv.REQUEST_MODEL: "m"}


def test_buckets_stay_those_of_the_instrument() -> None:
    assert measured()[semconv.TTFT.name].explicit_bounds == semconv.TTFT_BUCKETS


def test_attributes_of_other_libraries_are_those_that_may_leave() -> None:
    assert dict(measured(scope="another")[semconv.INFERENCES.name].attributes) == {semconv.OUTCOME: "completed"}


def test_what_another_library_measures_stays_as_it_is_but_for_attributes() -> None:
    assert measured(scope="another")[semconv.TTFT.name].explicit_bounds == semconv.TTFT_BUCKETS


def test_what_is_kept_off_is_counted() -> None:
    before = COUNTS.of(semconv.REDACTED_METRIC_ATTRIBUTE)
    measured(scope="another")
    assert COUNTS.of(semconv.REDACTED_METRIC_ATTRIBUTE) == before + 2


def test_attributes_that_differ_in_what_is_kept_off_are_one_series() -> None:
    provider, reader = with_views()
    counter = provider.get_meter("another").create_counter("n", unit="{n}", description="Text.")
    for user in range(3):
        counter.add(1, {semconv.OUTCOME: "completed", "user": user, semconv.USER_ID: "u", semconv.REQUEST_ID: "r"})
    ((metric, data),) = streams(reader)
    assert (metric.name, metric.unit, metric.description) == ("n", "{n}", "Text.")
    assert [(dict(point.attributes), point.value) for point in data] == [({semconv.OUTCOME: "completed"}, 3)]
    provider.shutdown()


def test_rules_of_later_hold_for_what_is_measured_then(monkeypatch: pytest.MonkeyPatch) -> None:
    provider, reader = with_views()
    counter = provider.get_meter("another").create_counter("n")
    for rules in (Rules(), Rules(allow=frozenset({"user"})), Rules(capture=frozenset({"metric_attributes"})), Rules()):
        monkeypatch.setattr(PROCESS, "rules", rules)
        counter.add(1, {"user": "u", "other": "o", semconv.USER_ID: "u"})
    ((_, data),) = streams(reader)
    assert [(dict(point.attributes), point.value) for point in data] == [
        ({}, 2),
        ({"user": "u"}, 1),
        ({"user": "u", "other": "o"}, 1),
    ]
    provider.shutdown()


@pytest.mark.parametrize("kind", ["counter", "up_down_counter", "histogram", "gauge"])
def test_every_kind_of_instrument_is_aggregated_as_without_views(kind: str) -> None:
    found = []
    for ours in (True, False):
        provider, reader = with_views(add=ours)
        instrument: Any = getattr(provider.get_meter("another"), f"create_{kind}")("n")
        for value in (1, 7):
            getattr(instrument, {"histogram": "record", "gauge": "set"}.get(kind, "add"))(value, {"http.route": "/r"})
        ((metric, (point,)),) = streams(reader)
        found.append((type(metric.data), replace(point, start_time_unix_nano=0, time_unix_nano=0)))
        provider.shutdown()
    assert found[0] == found[1]


def test_the_aggregation_that_a_reader_prefers_stays() -> None:
    prefers = InMemoryMetricReader(preferred_aggregation={Histogram: ExponentialBucketHistogramAggregation()})
    provider, reader = with_views(reader=prefers)
    provider.get_meter("another").create_histogram("n").record(1)
    ((metric, _),) = streams(reader)
    assert type(metric.data) is ExponentialHistogram
    provider.shutdown()


def test_instruments_of_one_name_in_two_scopes_are_no_conflict(caplog: pytest.LogCaptureFixture) -> None:
    provider, reader = with_views()
    for scope in ("one", "two", semconv.SCOPE_NAME):
        provider.get_meter(scope).create_counter(semconv.INFERENCES.name).add(1)
    assert len(streams(reader)) == 3
    assert not caplog.records
    provider.shutdown()


def test_an_instrument_that_a_view_of_the_users_matches_has_one_stream() -> None:
    provider, reader = with_views(
        [View(instrument_name="other*", aggregation=ExplicitBucketHistogramAggregation((1.0,)))]
    )
    provider.get_meter("another").create_histogram("other.time").record(1, {"user": "u"})
    ((_, (point,)),) = streams(reader)
    assert (dict(point.attributes), point.explicit_bounds) == ({"user": "u"}, (1.0,))
    provider.shutdown()


def test_a_view_that_drops_drops() -> None:
    view = View(instrument_name=semconv.INFERENCES.name, aggregation=DropAggregation())
    assert set(measured([view])) == {semconv.TTFT.name}


def test_a_view_that_renames_leaves_nothing_under_the_old_name() -> None:
    view = View(instrument_name=semconv.INFERENCES.name, name="renamed")
    assert set(measured([view])) == {"renamed", semconv.TTFT.name}


def test_a_view_that_changes_buckets_is_the_only_one() -> None:
    view = View(instrument_name="gen_ai.*", aggregation=ExplicitBucketHistogramAggregation((1.0, 2.0)))
    assert measured([view])[semconv.TTFT.name].explicit_bounds == (1.0, 2.0)


def test_views_are_added_once() -> None:
    provider = MeterProvider()
    assert add_views(provider)
    assert add_views(provider)
    assert len(provider._sdk_config.views) == len(semconv.METRICS) + 1
    provider.shutdown()


@pytest.mark.parametrize("provider", [object(), None])
def test_a_foreign_provider_is_left_alone(provider: object) -> None:
    assert not add_views(provider)


def test_the_documented_file_drops_renames_and_changes_buckets(receiver: OtlpReceiver, tmp_path: Path) -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    path = tmp_path / "otel.yaml"
    path.write_text(block)
    program = """
import otelext

@otelext.inference("chat", model="m")
def tokens():
    yield "a"
    yield "b"

list(tokens())
"""
    done = run_program(program, plain(receiver.endpoint, OTEL_CONFIG_FILE=str(path)))
    assert (done.returncode, done.stderr) == (0, "")
    names = {point.metric for point in receiver.points}
    assert semconv.CONSUMER_WAIT_TIME.name not in names
    assert semconv.INFERENCES.name not in names
    (renamed,) = receiver.last_points("documents.answered")
    assert renamed.attributes == {semconv.OUTCOME: "completed"}
    (ttft,) = receiver.last_points(semconv.TTFT.name)
    assert tuple(ttft.message.explicit_bounds) == (0.1, 0.5, 1, 5)
    (tpot,) = receiver.last_points(semconv.TPOT.name)
    assert tuple(tpot.message.explicit_bounds) == semconv.TPOT_BUCKETS
    assert [span.name for span in receiver.spans] == ["chat m"]
