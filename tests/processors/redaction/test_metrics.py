"""Metrics leave with attributes of the list alone, through every exporter and reader, and each series once."""

from __future__ import annotations

import logging
import urllib.request
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, Counter, Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    InMemoryMetricReader,
    Metric,
    MetricExporter,
    MetricExportResult,
    MetricReader,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client import CollectorRegistry, generate_latest, start_http_server

from otelext import semconv
from otelext.capture import failure
from otelext.processors.redaction.counts import COUNTS
from otelext.processors.redaction.exporters import RedactingMetricExporter, redact_reader
from otelext.processors.redaction.metrics import redact
from otelext.processors.redaction.rules import PROCESS, Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

SECRET = "s3cr3t-value"
ROUTE = "http.route"
RULES = Rules(tenants=frozenset({"clinic"}))


class Exporter(MetricExporter):
    """Keeps what it gets, as what leaves the process."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.batches: list[MetricsData] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        self.calls.append(("export", {"timeout_millis": timeout_millis, **kwargs}))
        self.batches.append(metrics_data)
        return MetricExportResult.SUCCESS

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        self.calls.append(("force_flush", {"timeout_millis": timeout_millis}))
        return False

    def shutdown(self, timeout_millis: float = 30_000, **kwargs: Any) -> None:
        self.calls.append(("shutdown", {"timeout_millis": timeout_millis, **kwargs}))


@pytest.fixture(autouse=True)
def _every_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure, "_last", {})


@pytest.fixture
def providing() -> Iterator[Callable[..., MeterProvider]]:
    made: list[MeterProvider] = []

    def provide(*readers: MetricReader, **more: Any) -> MeterProvider:
        made.append(MeterProvider(readers, shutdown_on_exit=False, **more))
        return made[-1]

    yield provide
    for provider in made:
        provider.shutdown()


def collected(measure: Callable[[MeterProvider], None], **more: Any) -> MetricsData:
    """What the SDK collects, raw."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False, **more)
    measure(provider)
    data = reader.get_metrics_data()
    provider.shutdown()
    assert data is not None
    return data


def metrics_of(data: MetricsData) -> list[Metric]:
    return [m for resource in data.resource_metrics for scope in resource.scope_metrics for m in scope.metrics]


def points_of(data: MetricsData) -> list[Any]:
    return [point for metric in metrics_of(data) for point in metric.data.data_points]


def counted(data: MetricsData) -> list[tuple[dict[str, Any], float]]:
    return [(dict(point.attributes), point.value) for point in points_of(data)]


def added(*attributes: Mapping[str, Any], meter: str = __name__, **more: Any) -> Callable[[MeterProvider], None]:
    def measure(provider: MeterProvider) -> None:
        counter = provider.get_meter(meter, **more).create_counter("n")
        for given_attributes in attributes:
            counter.add(1, given_attributes)

    return measure


def plain_resource() -> Resource:
    return Resource({"service.name": "s"})


def hidden(data: MetricsData) -> bool:
    return SECRET.encode() not in encode_metrics(data).SerializeToString()


# --- what leaves --------------------------------------------------------------------------------------------------


def test_what_may_leave_is_handed_on_untouched() -> None:
    data = collected(added({ROUTE: "/a", "http.response.status_code": 200}, {}), resource=plain_resource())
    assert redact(data, RULES) is data


def test_what_is_not_changed_is_the_same_object_beside_what_is() -> None:
    def measure(provider: MeterProvider) -> None:
        added({ROUTE: "/a"})(provider)
        provider.get_meter("opentelemetry").create_counter("other").add(1, {"secret": SECRET})

    data = collected(measure, resource=plain_resource())
    redacted = redact(data, RULES)
    assert redacted.resource_metrics[0].scope_metrics[0] is data.resource_metrics[0].scope_metrics[0]
    assert hidden(redacted)
    assert not hidden(data)


def test_attributes_that_are_not_on_the_list_leave_neither_by_key_nor_by_value() -> None:
    data = collected(added({ROUTE: "/a", "secret": SECRET, SECRET: 1, "nested": (SECRET,), "b": SECRET.encode()}))
    redacted = redact(data, RULES)
    assert counted(redacted) == [({ROUTE: "/a"}, 1)]
    assert hidden(redacted)


def test_what_does_not_leave_is_counted() -> None:
    kinds = (semconv.REDACTED_METRIC_ATTRIBUTE, semconv.REDACTED_RESOURCE_ATTRIBUTE, semconv.REDACTED_SCOPE)
    before = [COUNTS.of(kind) for kind in kinds]
    resource = Resource({"service.name": "s", "patient": SECRET})
    redact(collected(added({"a": 1, "b": 2}, attributes={"c": 3}), resource=resource), RULES)
    assert [COUNTS.of(kind) for kind in kinds] == [n + more for n, more in zip(before, (2, 1, 1), strict=True)]


def test_resource_and_scope_leave_with_attributes_of_the_list() -> None:
    resource = Resource({"service.name": "s", "patient": SECRET}, "https://opentelemetry.io/schemas/1.40.0")
    data = collected(added({ROUTE: "/a"}, attributes={"patient": SECRET}), resource=resource)
    (of_resource,) = redact(data, RULES).resource_metrics
    assert dict(of_resource.resource.attributes) == {"service.name": "s"}
    assert of_resource.resource.schema_url == of_resource.schema_url == resource.schema_url
    (of_scope,) = of_resource.scope_metrics
    assert of_scope.scope.name == __name__
    assert not of_scope.scope.attributes
    assert dict(resource.attributes)["patient"] == SECRET


def test_neither_user_nor_request_is_ever_an_attribute_of_a_point() -> None:
    rules = Rules(allow=frozenset({semconv.USER_ID}), capture=frozenset({"metric_attributes"}), hash_key=b"k" * 32)
    data = collected(added(*({semconv.USER_ID: f"u{i}", semconv.REQUEST_ID: "0" * 32} for i in range(3))))
    before = COUNTS.of(semconv.REDACTED_METRIC_ATTRIBUTE)
    assert counted(redact(data, rules)) == [({}, 3)]
    assert COUNTS.of(semconv.REDACTED_METRIC_ATTRIBUTE) == before + 6


def test_tenants_that_are_not_declared_are_one_series() -> None:
    data = collected(added(*({semconv.TENANT_ID: tenant} for tenant in ("clinic", SECRET, "another", "other"))))
    assert counted(redact(data, RULES)) == [({semconv.TENANT_ID: "clinic"}, 1), ({semconv.TENANT_ID: "other"}, 3)]


def test_an_opt_out_lets_attributes_leave() -> None:
    data = collected(added({"secret": SECRET}), resource=plain_resource())
    assert redact(data, Rules(capture=frozenset({"metric_attributes"}))) is data


def test_exemplars_leave_without_what_a_view_has_moved_there() -> None:
    def measure(provider: MeterProvider) -> None:
        with TracerProvider(shutdown_on_exit=False).get_tracer("t").start_as_current_span("s"):
            added({"secret": SECRET, ROUTE: "/a", "http.request.method": "GET"})(provider)

    view = View(instrument_name="n", attribute_keys={ROUTE})
    data = collected(measure, views=[view], exemplar_filter=AlwaysOnExemplarFilter(), resource=plain_resource())
    before = COUNTS.of(semconv.REDACTED_EXEMPLAR_ATTRIBUTE)
    ((exemplar,),) = [point.exemplars for point in points_of(redact(data, RULES))]
    assert exemplar.filtered_attributes == {"http.request.method": "GET"}
    assert exemplar.trace_id is not None
    assert COUNTS.of(semconv.REDACTED_EXEMPLAR_ATTRIBUTE) == before + 1
    ((raw,),) = [point.exemplars for point in points_of(data)]
    assert raw.filtered_attributes["secret"] == SECRET


# --- duplicates ---------------------------------------------------------------------------------------------------


def test_series_that_differ_in_what_does_not_leave_are_one() -> None:
    data = collected(added({"user": "a", ROUTE: "/a"}, {"user": "b", ROUTE: "/a"}, {"user": "a", ROUTE: "/b"}))
    assert counted(redact(data, RULES)) == [({ROUTE: "/a"}, 2), ({ROUTE: "/b"}, 1)]


def test_a_kept_attribute_that_comes_in_another_order_is_no_other_series() -> None:
    data = collected(added({"x": 1, ROUTE: "/a", "server.port": 1}, {"server.port": 1, ROUTE: "/a"}))
    assert counted(redact(data, RULES)) == [({ROUTE: "/a", "server.port": 1}, 2)]


def test_meters_that_differ_in_what_does_not_leave_are_one() -> None:
    def measure(provider: MeterProvider) -> None:
        for patient in ("a", "b", "c"):
            added({ROUTE: "/a"}, attributes={"patient": patient})(provider)
            provider.get_meter(__name__, attributes={"patient": patient}).create_histogram(f"of_{patient}").record(1)
        added({ROUTE: "/a"}, meter="opentelemetry")(provider)

    redacted = redact(collected(measure), RULES)
    (of_resource,) = redacted.resource_metrics
    assert [of_scope.scope.name for of_scope in of_resource.scope_metrics] == [__name__, "opentelemetry"]
    assert [metric.name for metric in metrics_of(redacted)] == ["n", "of_a", "of_b", "of_c", "n"]
    assert [getattr(point, "value", None) for point in points_of(redacted)] == [3, None, None, None, 1]
    # OTLP's encoder keeps the last of equal scopes alone.
    (sent,) = encode_metrics(redacted).resource_metrics
    assert sum(len(scope.metrics) for scope in sent.scope_metrics) == 5


def test_metrics_of_one_name_that_are_no_duplicates_stay_apart() -> None:
    def measure(provider: MeterProvider) -> None:
        for patient, kind in (("a", "counter"), ("b", "up_down_counter")):
            meter = provider.get_meter(__name__, attributes={"patient": patient})
            getattr(meter, f"create_{kind}")("n").add(1)

    assert [point.value for point in points_of(redact(collected(measure), RULES))] == [1, 1]


def test_a_point_that_can_not_be_added_up_is_counted_and_said(caplog: pytest.LogCaptureFixture) -> None:
    bounds = iter([(1.0, 2.0), (1.0, 3.0)])
    scopes = iter("ab")

    def measure(provider: MeterProvider) -> None:
        for patient in scopes:
            meter = provider.get_meter(__name__, attributes={"patient": patient})
            meter.create_histogram("n", explicit_bucket_boundaries_advisory=next(bounds)).record(1)

    before = COUNTS.of(semconv.REDACTED_METRIC)
    (point,) = points_of(redact(collected(measure), RULES))
    assert (point.explicit_bounds, point.count) == ((1.0, 2.0), 1)
    assert COUNTS.of(semconv.REDACTED_METRIC) == before + 1
    (record,) = caplog.records
    assert "buckets differ" in record.getMessage()


# --- what can't be looked at --------------------------------------------------------------------------------------


class Angry:
    """Raises, whatever it is asked."""

    def __eq__(self, other: object) -> bool:
        raise ValueError(SECRET)

    def __hash__(self) -> int:
        raise ValueError(SECRET)

    def __str__(self) -> str:
        raise ValueError(SECRET)

    __repr__ = __str__


class AngryMapping(dict[str, Any]):
    """Raises when it is read."""

    def items(self) -> Any:
        raise ValueError(SECRET)

    __contains__ = items  # type: ignore[assignment]


def with_attributes(data: MetricsData, attributes: Any, name: str = "n") -> MetricsData:
    """The same with other attributes on each point of one metric, which the SDK itself would have cleaned."""

    def changed(metric: Metric) -> Metric:
        if metric.name != name:
            return metric
        points: Any = [replace(point, attributes=attributes) for point in metric.data.data_points]
        return replace(metric, data=replace(metric.data, data_points=points))

    (resource,) = data.resource_metrics
    scopes = [replace(scope, metrics=[changed(m) for m in scope.metrics]) for scope in resource.scope_metrics]
    return MetricsData([replace(resource, scope_metrics=scopes)])


def two_metrics(provider: MeterProvider) -> None:
    added({"a": 1}, {"a": 2})(provider)
    provider.get_meter(__name__).create_counter("other").add(1, {ROUTE: "/a", "secret": SECRET})


@pytest.mark.parametrize(
    "value", [[1, [2]], {"k": [1]}, b"b", None, {1, 2}, object(), Angry(), float("nan"), 10**400, "\ud800", (Angry(),)]
)
@pytest.mark.parametrize("allow", [(), ("k",)])
def test_any_value_lets_all_metrics_leave(value: Any, allow: Sequence[str]) -> None:
    for key in ("k", ROUTE, "server.port", semconv.TENANT_ID, semconv.USER_ID):
        data = with_attributes(collected(two_metrics), {key: value})
        redacted = redact(data, Rules(allow=frozenset(allow), hash_key=b"k" * 32))
        assert [metric.name for metric in metrics_of(redacted)] == ["n", "other"]
        assert counted(redacted)[-1] == ({ROUTE: "/a"}, 1)


@pytest.mark.parametrize("attributes", [AngryMapping(a=1), 7, "text"])
def test_a_metric_that_can_not_be_looked_at_is_left_out_counted_and_said_once(
    attributes: Any, caplog: pytest.LogCaptureFixture
) -> None:
    data = with_attributes(collected(two_metrics), attributes)
    before = COUNTS.of(semconv.REDACTED_METRIC)
    for _ in range(2):
        assert counted(redact(data, RULES)) == [({ROUTE: "/a"}, 1)]
    assert COUNTS.of(semconv.REDACTED_METRIC) == before + 2
    (record,) = caplog.records
    assert SECRET not in record.getMessage()
    assert not record.exc_info


def test_a_scope_of_which_nothing_leaves_is_left_out() -> None:
    data = with_attributes(collected(added({"a": 1})), 7)
    (of_resource,) = redact(data, RULES).resource_metrics
    assert not of_resource.scope_metrics


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(max_size=8), ANYTHING, max_size=4), min_size=1, max_size=4))
def test_nothing_that_is_nested_anywhere_leaves(attributes: list[dict[str, Any]]) -> None:
    canaried = [{**given_attributes, "k": {"deep": [given_attributes, SECRET]}} for given_attributes in attributes]
    logging.disable(logging.WARNING)  # of the SDK, about values that it can't keep
    try:
        redacted = redact(collected(added(*canaried), resource=plain_resource()), Rules())
    finally:
        logging.disable(logging.NOTSET)
    assert sum(value for _, value in counted(redacted)) == len(attributes)
    assert hidden(redacted)
    assert all(key in Rules().names for found, _ in counted(redacted) for key in found)


# --- the exporter -------------------------------------------------------------------------------------------------


def test_the_exporter_prefers_what_the_other_one_does(providing: Callable[..., MeterProvider]) -> None:
    aggregation = ExplicitBucketHistogramAggregation((1.0, 2.0))
    other = Exporter(
        preferred_temporality={Counter: AggregationTemporality.DELTA}, preferred_aggregation={Histogram: aggregation}
    )
    reader = PeriodicExportingMetricReader(RedactingMetricExporter(other), float("inf"))
    provider = providing(reader)
    provider.get_meter(__name__).create_counter("n").add(1)
    provider.get_meter(__name__).create_histogram("h").record(1)
    reader.collect()
    counter, histogram = metrics_of(other.batches[0])
    assert counter.data.aggregation_temporality is AggregationTemporality.DELTA  # type: ignore[union-attr]
    assert histogram.data.data_points[0].explicit_bounds == (1.0, 2.0)  # type: ignore[union-attr]


def test_the_exporter_passes_on_what_it_is_asked() -> None:
    other = Exporter()
    exporter = RedactingMetricExporter(other)
    assert exporter.exporter is other
    exporter.export(MetricsData(()), timeout_millis=7, more=1)
    assert not exporter.force_flush(8)
    exporter.shutdown(timeout=9)
    assert other.calls == [
        ("export", {"timeout_millis": 7, "more": 1}),
        ("force_flush", {"timeout_millis": 8}),
        ("shutdown", {"timeout_millis": 30_000, "timeout": 9}),
    ]


def test_the_rules_of_the_process_hold_at_each_export(monkeypatch: pytest.MonkeyPatch) -> None:
    data = collected(added({"k": "v"}))
    other = Exporter()
    exporter = RedactingMetricExporter(other)
    for allow in ({"k"}, set()):
        monkeypatch.setattr(PROCESS, "rules", Rules(allow=frozenset(allow)))
        exporter.export(data)
    assert [counted(batch) for batch in other.batches] == [[({"k": "v"}, 1)], [({}, 1)]]


def test_nothing_raw_leaves_where_redaction_fails(caplog: pytest.LogCaptureFixture) -> None:
    data = collected(added({"secret": SECRET}))
    broken = MetricsData([*data.resource_metrics, replace(data.resource_metrics[0], resource=None)])  # type: ignore[arg-type]
    other = Exporter()
    before = COUNTS.of(semconv.REDACTED_METRIC)
    assert RedactingMetricExporter(other).export(broken) is MetricExportResult.FAILURE
    assert not other.batches
    assert COUNTS.of(semconv.REDACTED_METRIC) == before + 1
    assert len(caplog.records) == 1


# --- readers ------------------------------------------------------------------------------------------------------


def test_a_reader_in_memory_gets_what_leaves(providing: Callable[..., MeterProvider]) -> None:
    reader = InMemoryMetricReader()
    provider = providing(reader)
    assert redact_reader(reader, RULES)
    added({"user": "a"}, {"user": "b"})(provider)
    data = reader.get_metrics_data()
    assert data is not None
    assert counted(data) == [({}, 2)]


def test_a_reader_is_covered_once(providing: Callable[..., MeterProvider], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PROCESS, "rules", Rules(hash_key=b"k" * 32))
    reader, other = InMemoryMetricReader(), Exporter()
    periodic = PeriodicExportingMetricReader(other, float("inf"))
    for covered in (reader, periodic) * 2:
        assert redact_reader(covered)
    assert reader._receive_metrics is reader._receive_metrics
    assert periodic._exporter.exporter is other  # type: ignore[attr-defined]
    provider = providing(reader, periodic)
    before = COUNTS.of(semconv.REDACTED_METRIC_ATTRIBUTE)
    added({"user": "a"})(provider)
    reader.collect()
    periodic.collect()
    assert COUNTS.of(semconv.REDACTED_METRIC_ATTRIBUTE) == before + 2


def test_a_periodic_reader_exports_what_leaves_also_by_itself(providing: Callable[..., MeterProvider]) -> None:
    other = Exporter()
    reader = PeriodicExportingMetricReader(other, 5)
    assert redact_reader(reader, RULES)
    provider = providing(reader)
    added({"secret": SECRET}, {"secret": "b"})(provider)
    while not other.batches:
        provider.force_flush()
    provider.shutdown()
    assert all(counted(batch) == [({}, 2)] for batch in other.batches[-2:])
    assert all(map(hidden, other.batches))
    assert other.calls[-1][0] == "shutdown"


class Forwarding(PeriodicExportingMetricReader):
    """A user's reader that keeps what it receives, besides exporting it."""

    received: MetricsData

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> None:
        self.received = metrics_data
        super()._receive_metrics(metrics_data, timeout_millis, **kwargs)


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_subclass_of_the_periodic_reader_receives_what_leaves_and_exports_it_as_it_is(
    wrapped: bool, providing: Callable[..., MeterProvider]
) -> None:
    other = Exporter()
    reader = Forwarding(RedactingMetricExporter(other, RULES) if wrapped else other, float("inf"))
    assert redact_reader(reader, RULES)
    added({"secret": SECRET}, {})(providing(reader))
    reader.collect()
    assert counted(reader.received) == [({}, 2)]
    assert other.batches == [reader.received]
    assert reader._exporter is other  # redacted twice, a hash would be hashed


def test_what_a_reader_kept_from_before_is_not_read_later(providing: Callable[..., MeterProvider]) -> None:
    reader = InMemoryMetricReader(preferred_temporality={Counter: AggregationTemporality.DELTA})
    provider = providing(reader)
    added({"secret": SECRET})(provider)
    reader.collect()
    assert redact_reader(reader, RULES)
    assert reader.get_metrics_data() is None


def test_nothing_raw_is_received_where_redaction_fails(providing: Callable[..., MeterProvider]) -> None:
    reader = InMemoryMetricReader()
    provider = providing(reader)
    assert redact_reader(reader, RULES)
    added({"secret": SECRET})(provider)
    provider._sdk_config.resource = SimpleNamespace(schema_url="")  # type: ignore[assignment]
    reader.collect()
    assert reader._metrics_data is None


def test_prometheus_scrapes_what_leaves(providing: Callable[..., MeterProvider]) -> None:
    registry = CollectorRegistry()
    reader = PrometheusMetricReader(registry=registry)
    provider = providing(reader, resource=Resource({"service.name": "s", "patient": SECRET}))
    added({ROUTE: "/a", "user": "a"}, {ROUTE: "/a", "user": SECRET}, attributes={"patient": SECRET})(provider)
    provider.get_meter(__name__).create_histogram("h").record(1, {"secret": SECRET})
    assert SECRET in generate_latest(registry).decode()
    provider.force_flush()  # waits to be scraped, raw
    assert redact_reader(reader, RULES)
    server, thread = start_http_server(0, "127.0.0.1", registry)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as response:
            text = response.read().decode()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert SECRET not in text
    (line,) = [line for line in text.splitlines() if line.startswith("n_total{")]
    assert 'http_route="/a"' in line
    assert line.endswith(" 2.0")
    assert 'target_info{service_name="s"} 1.0' in text
    assert "h_count{" in text


class Slotted:
    """No instance of it takes another method."""

    __slots__ = ()

    def _receive_metrics(self, metrics_data: MetricsData) -> None: ...


@pytest.mark.parametrize("reader", [object(), None, Slotted()])
def test_what_can_not_be_covered_is_said(reader: object) -> None:
    assert not redact_reader(reader)


def test_schema_urls_of_others_do_not_leave() -> None:
    data = collected(
        added({ROUTE: "/a"}, schema_url=f"https://{SECRET}/"), resource=Resource({}, f"https://{SECRET}/schemas/")
    )
    assert hidden(redact(data, RULES))


def test_scopes_without_a_name_are_handed_on() -> None:
    data = collected(added({ROUTE: "/a"}), resource=plain_resource())
    (resource,) = data.resource_metrics
    scope = replace(resource.scope_metrics[0], scope=InstrumentationScope(""))
    given_data = MetricsData([replace(resource, scope_metrics=[scope])])
    assert redact(given_data, RULES) is given_data
