"""What anybody may send over OTLP, and must not break the report."""

from __future__ import annotations

import io
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from otelext import semconv
from otelext.viewer.api import api_app
from otelext.viewer.signals import METRICS, TRACES
from otelext.viewer.store import Store
from otelext.viewer.terminal import print_report
from tests.viewer import messages
from tests.viewer.running import ask

if TYPE_CHECKING:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

OTLP = {"http": "http://127.0.0.1:4318", "grpc": "http://127.0.0.1:4317"}
MEASURED = (semconv.TIME_TO_FIRST_TOKEN, semconv.TIME_PER_OUTPUT_TOKEN, semconv.CONSUMER_WAIT)
COUNTERS = (
    semconv.INFERENCES,
    semconv.TTFT_STAGE_TIME,
    semconv.TOKENS,
    semconv.PAGES,
    semconv.COST_TOTAL,
    semconv.CRITICAL_FIELD_ERRORS,
    semconv.CRITICAL_FIELD_CHECKS,
)
OF_GPUS = tuple(m for m in semconv.GPU_METRICS if m.kind is not semconv.Kind.OBSERVABLE_COUNTER)
COUNTED_OF_GPUS = tuple(m for m in semconv.GPU_METRICS if m.kind is semconv.Kind.OBSERVABLE_COUNTER)


def inferences(
    values: list[float], start_ns: int | None = None, end_ns: int | None = None
) -> ExportTraceServiceRequest:
    """A span for every value, which is its time to first token and all else that it measures."""
    request = messages.traces(len(values))
    for span, value in zip(request.resource_spans[0].scope_spans[0].spans, values, strict=True):
        span.attributes.extend(messages.attributes(dict.fromkeys(MEASURED, value)))
        if start_ns is not None and end_ns is not None:
            span.start_time_unix_nano, span.end_time_unix_nano = start_ns, end_ns
    return request


def told(store: Store) -> Any:
    """The report, as strict JSON, after it was printed in 80 columns and the list of inferences was asked for."""
    app = api_app(store, "127.0.0.1", OTLP)
    assert ask(app, "GET", "/api/inferences").status_code == 200
    answer = ask(app, "GET", "/api/report?since=all")
    assert answer.status_code == 200
    report = json.loads(answer.text, parse_constant=pytest.fail)
    out = io.StringIO()
    print_report(report, Console(file=out, width=80, color_system=None))
    assert max(map(len, out.getvalue().splitlines())) <= 80
    return report


@pytest.mark.parametrize("value", [1e308, -1e308, -1.0, 1e10, float("inf"), float("-inf"), float("nan")])
def test_a_time_that_is_none_is_left_out(store: Store, value: float) -> None:
    request = inferences([0.5, value, 1.5, value])
    store.submit(TRACES.flatten(request, time.time_ns()).rows).result(30)
    report = told(store)
    assert report["requests"]["total"] == 4
    means = {row["measure"]: row["mean"] for row in report["latency"]}
    assert (means["ttft"], means["tpot"], means["consumer_wait"]) == (1.0, 1.0, 1.0)


anything = st.floats() | st.sampled_from([1e308, 1e300, 1e18, 5e-324])
moments = st.integers(0, 2**64 - 1) | st.sampled_from([0, 2**63 - 1, 2**63, 2**64 - 1])


@settings(max_examples=25)
@given(
    st.lists(anything, max_size=3),
    st.tuples(moments, moments),
    st.lists(
        st.tuples(st.sampled_from(COUNTERS), anything, st.sampled_from([messages.CUMULATIVE, messages.DELTA])),
        max_size=6,
    ),
    st.lists(st.tuples(anything, st.integers(0, 2**62), st.integers(0, 2**62)), max_size=2),
)
def test_the_report_holds_whatever_is_sent(
    values: list[float],
    times: tuple[int, int],
    counts: list[tuple[Any, float, Any]],
    sums: list[tuple[float, int, int]],
) -> None:
    now = time.time_ns()
    with Store() as store:
        store.submit(TRACES.flatten(inferences(values, *times), now).rows).result(30)
        for i, (metric, value, temporality) in enumerate(counts):
            request = messages.counter(
                metric.name, value, start_ns=now - i - 1, time_ns=now, instance=str(i), temporality=temporality
            )
            store.submit(METRICS.flatten(request, now).rows).result(30)
        for i, (total, below, above) in enumerate(sums):
            request = messages.histogram(
                semconv.TTFT.name, [below, above], [1.0], start_ns=i, time_ns=now, total=total, instance=str(i)
            )
            store.submit(METRICS.flatten(request, now).rows).result(30)
        told(store)


words = st.text(max_size=40) | st.sampled_from(["GPU-0", "9" * 5000, "gpu", "active", "\N{SUPERSCRIPT TWO}"])
attributes = st.dictionaries(
    st.sampled_from(sorted({key for metric in semconv.GPU_METRICS for key in metric.attributes})), words, max_size=6
)


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.sampled_from(OF_GPUS), anything, attributes), max_size=6),
    st.lists(st.tuples(st.sampled_from(COUNTED_OF_GPUS), anything, attributes), max_size=6),
)
@example([(semconv.GPU_UTILIZATION, 0.5, {semconv.GPU_INDEX: "9" * 5000, semconv.HW_NAME: "\x1b[2J"})], [])
@example([(metric, 1e18, {}) for metric in OF_GPUS], [(metric, 1e18, {}) for metric in COUNTED_OF_GPUS])
@example([(semconv.HW_POWER, -1e18, {semconv.HW_PARENT: "GPU-1"})], [(semconv.ENERGY, 5e-324, {})])
def test_the_gpus_part_holds_whatever_is_sent(
    gauges: list[tuple[semconv.Metric, float, dict[str, str]]],
    counts: list[tuple[semconv.Metric, float, dict[str, str]]],
) -> None:
    now = time.time_ns()
    with Store() as store:
        for metric, value, own in gauges:
            request = messages.gauge(metric.name, value, attributes={semconv.HW_ID: "GPU-0", **own}, time_ns=now)
            store.submit(METRICS.flatten(request, now).rows).result(30)
        for metric, value, own in counts:
            request = messages.counter(
                metric.name, value, start_ns=now - 1, time_ns=now, attributes={semconv.HW_ID: "GPU-0", **own}
            )
            store.submit(METRICS.flatten(request, now).rows).result(30)
        told(store)
