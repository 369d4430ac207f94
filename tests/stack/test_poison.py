"""One item that is malformed, or too large, harms no other: what came with it and after it is stored."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import grpc
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from otelext import semconv
from tests.stack import otlp_json
from tests.stack.backends import tags
from tests.stack.otlp_json import attributes
from tests.stack.servers import until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.stack.collectors import Collector, TwoTiers
    from tests.stack.stack import Stack

pytestmark = pytest.mark.timeout(300)

HOUR: Final = 3600
CUMULATIVE: Final = {"aggregationTemporality": 2}
EXPORT: Final = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
LONG: Final = 70_000
# Of a label's value in Prometheus, in characters: collector/README.md says so.
LABEL: Final = 1024


class Door:
    """Where a test's items go in: one Collector, or an agent in front of gateways."""

    def __init__(self, stack: Stack, tiers: TwoTiers | None) -> None:
        self.stack = stack
        self.name = "tiers" if tiers else "single"
        self._collectors: list[Any] = [tiers.agent, *tiers.gateways] if tiers else [stack.collector]
        self._first: Stack | Collector = tiers.agent if tiers else stack

    def post(self, signal: str, message: Mapping[str, Any]) -> None:
        answer = otlp_json.post(self._first.otlp_http, signal, message)
        assert answer.status_code == 200, answer.text

    def call(self, message: ExportMetricsServiceRequest) -> None:
        """By gRPC: what goes wrong in a processor then isn't caught by the HTTP server."""
        with grpc.insecure_channel(self._first.otlp_grpc) as channel:
            channel.unary_unary(
                EXPORT, ExportMetricsServiceRequest.SerializeToString, ExportMetricsServiceResponse.FromString
            )(message, timeout=30)

    def all_run(self) -> bool:
        return all(collector.is_running for collector in self._collectors)


@pytest.fixture(params=["single", "tiers"])
def door(stack: Stack, request: pytest.FixtureRequest) -> Door:
    return Door(stack, request.getfixturevalue("tiers") if request.param == "tiers" else None)


def nanoseconds(ago: float) -> str:
    return str(time.time_ns() - int(ago * 10**9))


def point(ago: float = 0.0, **more: Any) -> dict[str, Any]:
    return {"startTimeUnixNano": nanoseconds(ago + 1), "timeUnixNano": nanoseconds(ago), **more}


def counter(name: str, ago: float = 0.0, **more: Any) -> dict[str, Any]:
    points = [point(ago, asDouble=1.0)]
    return {"name": name, "sum": {**CUMULATIVE, "isMonotonic": True, "dataPoints": points, **more}}


def histogram(name: str, *buckets: tuple[list[float], list[int]]) -> dict[str, Any]:
    """A point for each pair of bounds and counts, all of one series."""
    same = point(count="1", sum=1.0)
    points = [{**same, "explicitBounds": bounds, "bucketCounts": counts} for bounds, counts in buckets]
    return {"name": name, "histogram": {**CUMULATIVE, "dataPoints": points}}


def exponential(name: str, scale: int) -> dict[str, Any]:
    points = [point(count="1", sum=1.0, scale=scale, positive={"offset": 0, "bucketCounts": ["1"]})]
    return {"name": name, "exponentialHistogram": {**CUMULATIVE, "dataPoints": points}}


BAD_METRICS: Final = {
    "too few buckets": lambda name: histogram(name, ([1.0, 2.0], [1]), ([1.0, 2.0], [1, 0, 0])),
    "no buckets but bounds": lambda name: histogram(name, ([1.0, 2.0], []), ([1.0, 2.0], [1, 0, 0])),
    "no bounds": lambda name: histogram(name, ([], []), ([], [1])),
    "delta": lambda name: counter(name, aggregationTemporality=1),
    "no temporality": lambda name: counter(name, aggregationTemporality=0),
    "no type": lambda name: {"name": name},
    "no name": lambda _: counter(""),
    "old": lambda name: counter(name, 20 * HOUR),
    "of the future": lambda name: counter(name, -2 * HOUR),
    "of no time": lambda name: counter(name, dataPoints=[{"asDouble": 1.0}]),
    "scale": lambda name: exponential(name, -5),
}


@pytest.mark.parametrize("kind", BAD_METRICS)
def test_a_data_point_that_cannot_be_stored_goes_alone(door: Door, kind: str) -> None:
    prefix = f"poison_{door.name}_{kind.replace(' ', '_')}"
    found = [counter(f"{prefix}.before"), BAD_METRICS[kind](f"{prefix}.bad"), counter(f"{prefix}.after")]
    message = otlp_json.metrics(found, {semconv.SERVICE_NAME: "poison"})
    door.call(ParseDict(message, ExportMetricsServiceRequest()))
    for good in ("before", "after"):
        until(lambda good=good: door.stack.prometheus.query(f"{prefix}_{good}_total"), f"the point {good}", 60)  # type: ignore[misc]
    assert door.all_run()


def test_the_points_that_go_are_counted(stack: Stack) -> None:
    found = [counter(f"poison.counted.{n}", aggregationTemporality=1) for n in range(3)]
    answer = otlp_json.post(stack.otlp_http, "metrics", otlp_json.metrics(found, {semconv.SERVICE_NAME: "poison"}))
    assert answer.status_code == 200, answer.text
    filtered = 'otelcol_processor_filter_datapoints_filtered_total{filter="filter/unstorable"}'
    until(lambda: stack.prometheus.value(filtered) >= len(found), filtered, 60)


def span(name: str, values: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """One that is kept by gateways."""
    return otlp_json.span(otlp_json.trace_id(), name, values, status=otlp_json.ERROR, **more)


def event(name: str, values: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"timeUnixNano": nanoseconds(0), "name": name, "attributes": attributes(values or {})}


LONG_SPANS: Final = {
    "attribute": lambda: span("attribute", {"http.route": "x" * LONG}),
    "list": lambda: span("list", {"gen_ai.response.finish_reasons": ["y" * 100] * (LONG // 100)}),
    "name": lambda: span("\N{LATIN SMALL LETTER E WITH ACUTE}" * LONG),
    "event": lambda: span("event", events=[event("e" * LONG, {"exception.type": "x" * LONG})]),
    "trace state": lambda: span("trace state", traceState="k=" + "v" * LONG),
    "over 3 MB": lambda: span("over 3 MB", {"http.route": "x" * 4_000_000}),
    "15 MB": lambda: span("15 MB", {"http.route": "x" * 15_000_000}),
    "many events": lambda: span("many events", events=[event("e", {"exception.type": "x" * 100})] * 65_000),
}


@pytest.mark.parametrize("kind", LONG_SPANS)
def test_a_span_that_is_too_long_is_cut_and_stored_with_its_neighbours(door: Door, kind: str) -> None:
    long = LONG_SPANS[kind]()
    spans = [span("before"), long, span("after")]
    door.post("traces", otlp_json.traces(spans, {semconv.SERVICE_NAME: f"long-{door.name}"}))
    for each in spans:
        until(lambda each=each: door.stack.jaeger.trace(each["traceId"]), f"the span {each['name'][:20]}", 90)  # type: ignore[misc]
    (stored,) = door.stack.jaeger.trace(long["traceId"])
    assert max(len(str(value)) for value in tags(stored).values()) <= 4096
    assert long["name"].startswith(stored["operationName"])
    assert len(stored["operationName"]) <= 1000


def test_a_resource_and_a_scope_that_are_too_long_are_cut(door: Door) -> None:
    long = span("resource")
    message = otlp_json.traces([long], {semconv.SERVICE_NAME: "s" * LONG, "host.name": "h" * LONG})
    message["resourceSpans"][0]["scopeSpans"][0]["scope"] = {
        "name": "n" * LONG,
        "version": "v" * LONG,
        "attributes": attributes({"http.route": "r" * LONG}),
    }
    door.post("traces", message)
    until(lambda: door.stack.jaeger.trace(long["traceId"]), "the span", 60)


LONG_VALUES: Final = {
    "text": "v" * 2_000_000,
    "letters": "\N{LATIN SMALL LETTER E WITH ACUTE}" * 1_000_000,
    "list": ["v" * 100] * 20_000,
}


def test_no_label_in_prometheus_is_longer_than_its_limit(door: Door) -> None:
    """Prometheus has all labels in memory, several times over while it takes them in."""
    for kind, value in LONG_VALUES.items():
        resource = {semconv.SERVICE_NAME: f"labels-{door.name}-{kind}", "deployment.environment.name": value}
        spans = [
            span("before", {"http.route": "/short"}),
            span("route", {"http.route": value}),
            span("n" * LONG, {"http.route": "/named"}),
        ]
        door.post("traces", otlp_json.traces(spans, resource))
        values: dict[str, Any] = {"dataPoints": [point(asDouble=1.0, attributes=attributes({"vlm.stage": value}))]}
        found = [
            counter("labels.before"),
            counter("labels.long", **values),
            {"name": "labels.gauge", "gauge": values},
            counter("n" * LONG),
            counter("labels.after"),
        ]
        message = otlp_json.metrics(found, resource)
        message["resourceMetrics"][0]["scopeMetrics"][0]["scope"].update(
            {"version": "v" * LONG, "attributes": attributes({"http.route": value})}
        )
        door.post("metrics", message)
    prometheus = door.stack.prometheus
    for kind in LONG_VALUES:
        ours = f'{{service_name="labels-{door.name}-{kind}"}}'
        for name in ("before_total", "long_total", "gauge", "after_total"):
            until(partial(prometheus.query, f"labels_{name}{ours}"), f"{name} of {ours}", 60)
        calls = f"traces_span_metrics_calls_total{ours}"
        until(lambda calls=calls: prometheus.value(calls) == len(spans), calls, 60)  # type: ignore[misc]
    everything = [one["metric"] for one in prometheus.query('{__name__=~".+"}')]
    assert max(len(text) for series in everything for text in series.values()) <= LABEL
    assert door.all_run()


@pytest.mark.parametrize(("sent", "stored"), [(300_000, 300_000), (3_000_000, 2**20)])
def test_a_line_that_is_too_long_is_cut_and_stored_with_its_neighbours(door: Door, sent: int, stored: int) -> None:
    service = f"long-lines-{door.name}-{sent}"
    records = [
        {"timeUnixNano": nanoseconds(0), "body": {"stringValue": body}} for body in ("before", "x" * sent, "after")
    ]
    resource = {semconv.SERVICE_NAME: service, "telemetry.distro.name": "otelext"}
    door.post("logs", otlp_json.logs(records, resource))
    lines = until(lambda: door.stack.loki.lines(f'{{service_name="{service}"}}'), "the lines", 60)
    assert sorted(len(line) for _, line in lines) == [len("after"), len("before"), stored]


BAD_RECORDS: Final[dict[str, dict[str, Callable[[], Any]]]] = {
    "old": {"timeUnixNano": lambda: nanoseconds(40 * 24 * HOUR)},
    "of the future": {"timeUnixNano": lambda: nanoseconds(-2 * HOUR)},
    "too many attributes": {"attributes": lambda: attributes({"http.route": "r" * LONG})},
}


@pytest.mark.parametrize("kind", BAD_RECORDS)
def test_a_log_record_that_loki_refuses_goes_alone(door: Door, kind: str) -> None:
    service = f"refused-{door.name}-{kind.replace(' ', '-')}"
    good = [{"timeUnixNano": nanoseconds(0), "body": {"stringValue": body}} for body in ("before", "after")]
    bad = {**good[0], "body": {"stringValue": "bad"}, **{key: value() for key, value in BAD_RECORDS[kind].items()}}
    resource = {semconv.SERVICE_NAME: service, "telemetry.distro.name": "otelext"}
    door.post("logs", otlp_json.logs([good[0], bad, good[1]], resource))
    ours = f'{{service_name="{service}"}}'
    until(lambda: {line for _, line in door.stack.loki.lines(ours)} == {"before", "after"}, "the lines around it", 60)
