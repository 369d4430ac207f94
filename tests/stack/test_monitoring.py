"""Jaeger's monitoring tab shows what `span_metrics` counted: https://www.jaegertracing.io/docs/2.13/architecture/spm/."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import pytest

from otelext import semconv
from tests.stack import otlp_json
from tests.stack.servers import get, until

if TYPE_CHECKING:
    from tests.stack.collectors import TwoTiers
    from tests.stack.stack import Stack

pytestmark = pytest.mark.timeout(300)

SERVICE: Final = "monitored"
SERVER: Final = 2


def latest(stack: Stack, figure: str, **parameters: Any) -> dict[str, float]:
    """The newest value by the name of the operation."""
    answer = get(
        f"{stack.jaeger.url}/api/metrics/{figure}",
        service=SERVICE,
        endTs=int(time.time() * 1000),
        lookback=120_000,
        step=2_000,
        ratePer=60_000,
        groupByOperation="true",
        **parameters,
    ).raise_for_status()
    found = {}
    for metric in answer.json()["metrics"]:
        operation = next(label["value"] for label in metric["labels"] if label["name"] == "operation")
        values = [point["gaugeValue"]["doubleValue"] for point in metric["metricPoints"]]
        known = [value for value in values if value not in {"NaN", None}]
        found[operation] = float(known[-1]) if known else 0.0
    return found


def test_jaeger_shows_rate_errors_and_durations(stack: Stack, tiers: TwoTiers) -> None:
    calls = f'traces_span_metrics_calls_total{{service_name="{SERVICE}"}}'

    def send(turn: int) -> None:
        """One request of 10 ms that ends well, and one that fails."""
        spans = [
            otlp_json.span(otlp_json.trace_id(), name, kind=SERVER, status=status)
            for name, status in (("GET /good", 0), ("GET /bad", otlp_json.ERROR))
        ]
        message = otlp_json.traces(spans, {semconv.SERVICE_NAME: SERVICE})
        # One gateway, as a rate needs two values of the same series.
        assert otlp_json.post(tiers.gateways[0].otlp_http, "traces", message).status_code == 200
        until(lambda: stack.prometheus.value(calls) == 2 * turn, f"{2 * turn} calls")

    for turn in (1, 2, 3):
        send(turn)
    rate = until(lambda: latest(stack, "calls"), "the calls")
    assert rate.keys() == {"GET /good", "GET /bad"}
    assert all(per_minute > 0 for per_minute in rate.values())
    failed = latest(stack, "errors")
    assert failed["GET /bad"] == pytest.approx(1)
    assert not failed.get("GET /good")
    p95 = latest(stack, "latencies", quantile=0.95)
    # The bucket that ends at 10 ms, in Jaeger's milliseconds.
    assert all(5 < duration <= 10 for duration in p95.values()), p95
