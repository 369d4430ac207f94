from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext import semconv
from otelext.doctor.canary import BODY, Canary, Preferences
from otelext.doctor.endpoint import SIGNALS

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = semconv.CANARY


def attributes(message: Any) -> dict[str, Any]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in message.attributes}


WORDS = {
    "traces": ("resource_spans", "scope_spans", "spans"),
    "metrics": ("resource_metrics", "scope_metrics", "metrics"),
    "logs": ("resource_logs", "scope_logs", "log_records"),
}


def parts(request: Any, signal: str) -> tuple[Any, Any, Any]:
    """Resource, scope and the one item of a request."""
    of_resources, of_scopes, items = WORDS[signal]
    (of_resource,) = getattr(request, of_resources)
    (of_scope,) = getattr(of_resource, of_scopes)
    (item,) = getattr(of_scope, items)
    return of_resource.resource, of_scope.scope, item


def point(request: Any) -> Any:
    metric = parts(request, "metrics")[2]
    (found,) = getattr(metric, metric.WhichOneof("data")).data_points
    return found


def texts(message: Any) -> Iterator[str]:
    """Every text and every bytes of a message."""
    for field, value in message.ListFields():
        for one in value if field.is_repeated else [value]:
            if field.message_type:
                yield from texts(one)
            elif isinstance(one, (str, bytes)):
                yield one if isinstance(one, str) else one.hex()


@pytest.mark.parametrize("signal", SIGNALS)
def test_every_signal_is_marked_by_attribute_and_by_service(signal: Any) -> None:
    resource, _, item = parts(Canary.made(Preferences()).request(signal), signal)
    assert attributes(resource)[MARK] is True
    assert attributes(resource)[semconv.SERVICE_NAME] == "otelext-doctor"
    assert attributes(point(Canary.made(Preferences()).request(signal)) if signal == "metrics" else item)[MARK] is True


def test_nothing_is_in_it_but_what_stands_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "patient=secret")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "secret")
    canary = Canary.made(Preferences())
    definition = semconv.CANARY_DURATION
    allowed = {
        canary.trace_id,
        canary.span_id,
        MARK,
        semconv.SERVICE_NAME,
        semconv.CANARY_SERVICE,
        semconv.DISTRO_NAME,
        semconv.SCOPE_NAME,
        semconv.CANARY,
        definition.name,
        definition.unit,
        definition.description,
        BODY,
        "INFO",
    }
    for signal in SIGNALS:
        assert set(texts(canary.request(signal))) <= allowed


def test_the_three_lead_to_each_other() -> None:
    canary = Canary.made(Preferences())
    span = parts(canary.request("traces"), "traces")[2]
    record = parts(canary.request("logs"), "logs")[2]
    (exemplar,) = point(canary.request("metrics")).exemplars
    assert span.trace_id == record.trace_id == exemplar.trace_id == bytes.fromhex(canary.trace_id)
    assert span.span_id == record.span_id == exemplar.span_id == bytes.fromhex(canary.span_id)
    assert span.end_time_unix_nano == record.time_unix_nano == exemplar.time_unix_nano == canary.moment
    assert (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9 == pytest.approx(exemplar.as_double)


@given(st.integers(100_000, 999_999), st.booleans(), st.booleans())
def test_the_value_lies_in_its_bucket_of_either_kind(millionths: int, delta: bool, exponential: bool) -> None:
    canary = replace(Canary.made(Preferences(delta, exponential)), value=millionths / 1e6)
    found = point(canary.request("metrics"))
    assert found.count == 1
    assert found.sum == canary.value
    metric = parts(canary.request("metrics"), "metrics")[2]
    assert getattr(metric, metric.WhichOneof("data")).aggregation_temporality == (1 if delta else 2)
    if exponential:
        assert list(found.positive.bucket_counts) == [1]
        assert 2.0**found.positive.offset < canary.value <= 2.0 ** (found.positive.offset + 1)
        return
    assert len(found.bucket_counts) == len(found.explicit_bounds) + 1
    place = list(found.bucket_counts).index(1)
    assert sum(found.bucket_counts) == 1
    bounds = [0.0, *found.explicit_bounds, float("inf")]
    assert bounds[place] < canary.value <= bounds[place + 1]


def test_no_two_canaries_have_a_trace_or_a_value_in_common() -> None:
    made = [Canary.made(Preferences()) for _ in range(50)]
    assert len({one.trace_id for one in made}) == 50
    assert len({one.value for one in made}) > 45
    assert all(0.1 <= one.value < 1 for one in made)


def test_its_moment_is_now_in_whole_milliseconds() -> None:
    before = time.time_ns()
    moment = Canary.made(Preferences()).moment
    assert before - 10**6 < moment <= time.time_ns()
    assert moment % 10**6 == 0


@pytest.mark.parametrize(
    ("temporality", "delta"),
    [("", False), ("cumulative", False), ("delta", True), (" DELTA ", True), ("LowMemory", True), ("nonsense", False)],
)
def test_temporality_is_the_service_s(temporality: str, delta: bool) -> None:
    found = Preferences.read({"OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": temporality})
    assert found == Preferences(delta=delta)


def test_histograms_are_the_service_s() -> None:
    variable = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
    assert Preferences.read({variable: "base2_exponential_bucket_histogram"}) == Preferences(exponential=True)
    assert Preferences.read({variable: "explicit_bucket_histogram"}) == Preferences()
