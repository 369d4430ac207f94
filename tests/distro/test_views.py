"""Our views bound attributes; the user's go before ours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import DropAggregation, ExplicitBucketHistogramAggregation, View

from otelext import semconv
from otelext.distro.views import add_views
from tests.distro.processes import plain, run_program

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def test_attributes_are_the_catalogues() -> None:
    found = measured()
    assert dict(found[semconv.INFERENCES.name].attributes) == {semconv.OUTCOME: "completed"}
    assert dict(found[semconv.TTFT.name].attributes) == {semconv.REQUEST_MODEL: "m"}


def test_buckets_stay_those_of_the_instrument() -> None:
    assert measured()[semconv.TTFT.name].explicit_bounds == semconv.TTFT_BUCKETS


def test_other_libraries_metrics_are_left_alone() -> None:
    assert measured(scope="another")[semconv.INFERENCES.name].attributes["user"] == "u"


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
    assert len(provider._sdk_config.views) == len(semconv.METRICS)
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
