from __future__ import annotations

import random
import statistics
import time
from typing import TYPE_CHECKING, Any

import pytest

from otelext import semconv
from otelext.semconv import Outcome
from tests.viewer.service import MODEL, Service

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.viewer.running import RunningViewer


def report_of(viewer: RunningViewer, **query: str) -> Any:
    return viewer.get("/api/report", **query)


def latency(report: Any, measure: str, model: str = MODEL) -> Any:
    (row,) = (row for row in report["latency"] if (row["measure"], row["model"]) == (measure, model))
    return row


@pytest.mark.parametrize("protocol", ["http", "grpc"])
@pytest.mark.parametrize("gzip", [False, True])
def test_everything_that_the_sdk_sends_arrives_once(
    viewer: RunningViewer, service: Callable[..., Service], protocol: str, gzip: bool
) -> None:
    sender = service(protocol=protocol, gzip=gzip)
    for _ in range(7):
        sender.infer()
    logger = sender.loggers.get_logger("test")
    logger.emit(body="a line", severity_text="INFO", timestamp=time.time_ns())
    sender.flush()
    report = report_of(viewer)
    assert report["received"]["spans"] == 7 * 4
    assert report["received"]["logs"] == 1
    assert report["received"]["services"] == ["documents"]
    assert report["requests"]["by_outcome"] == [{"model": MODEL, "outcome": "completed", "count": 7}]
    assert (report["requests"]["traced"], report["requests"]["source"]) == (7, "histograms")


def test_percentiles_are_exact_when_all_are_sampled(viewer: RunningViewer, service: Callable[..., Service]) -> None:
    sender = service()
    prefills = [random.Random(3).uniform(0.05, 3) for _ in range(50)]
    for prefill in prefills:
        sender.infer(stages={"prefill": prefill})
    sender.infer(outcome=Outcome.ERROR, stages={"prefill": 100.0})
    sender.flush()
    row = latency(report_of(viewer), "ttft")
    assert (row["source"], row["count"]) == ("traces", 50)
    assert row["quantiles"]["p50"] == pytest.approx(statistics.median(prefills), rel=1e-6)
    assert row["quantiles"]["p90"] == pytest.approx(
        statistics.quantiles(prefills, n=10, method="inclusive")[-1], rel=1e-6
    )


def test_percentiles_come_from_histograms_when_few_are_sampled(
    viewer: RunningViewer, service: Callable[..., Service]
) -> None:
    sender = service()
    for i in range(100):
        sender.infer(stages={"prefill": 0.3}, sampled=i == 0)
    sender.flush()
    report = report_of(viewer)
    row = latency(report, "ttft")
    assert (row["source"], row["count"]) == ("histograms", 100)
    # All values lie between the bounds 0.25 and 0.5: linear interpolation gives the middle.
    assert row["quantiles"]["p50"] == pytest.approx(0.375)
    assert row["mean"] == pytest.approx(0.3)
    assert report["requests"]["total"] == 100
    assert report["requests"]["traced"] == 1


def test_what_lies_beyond_the_last_bucket_is_marked(viewer: RunningViewer, service: Callable[..., Service]) -> None:
    sender = service()
    for _ in range(3):
        sender.infer(stages={"prefill": 40.0}, sampled=False)
    sender.flush()
    row = latency(report_of(viewer), "ttft")
    assert row["quantiles"]["p99"] == semconv.TTFT_BUCKETS[-1]
    assert row["beyond"] == ["p50", "p90", "p95", "p99"]


def test_counters_add_up_across_instances_and_a_restart_under_the_same_id(
    viewer: RunningViewer, service: Callable[..., Service]
) -> None:
    first, second = service(instance="a"), service(instance="b")
    for _ in range(3):
        first.infer()
    second.infer()
    first.flush()
    second.flush()
    first.infer()
    first.stop()
    again = service(instance="a")
    for _ in range(5):
        again.infer()
    again.flush()
    report = report_of(viewer)
    assert report["requests"]["total"] == 10
    assert report["throughput"]["pages"] == 10
    assert report["throughput"]["output_tokens"] == 110
    assert report["breakdown"][0]["count"] == 10


def test_the_breakdown_adds_up_and_says_when_it_does_not(
    viewer: RunningViewer, service: Callable[..., Service]
) -> None:
    sender = service()
    sender.infer(stages={"queue": 0.3, "prefill": 0.1}, unattributed=0.1)
    sender.infer(stages={"queue": 0.2, "prefill": 0.2}, unattributed=0.1)
    sender.infer(outcome=Outcome.CANCELLED, stages={"queue": 50.0})
    sender.flush()
    (found,) = report_of(viewer)["breakdown"]
    assert [part["stage"] for part in found["parts"]] == ["queue", "prefill", semconv.UNATTRIBUTED_STAGE]
    assert [part["share"] for part in found["parts"]] == pytest.approx([0.5, 0.3, 0.2])
    assert found["total_s"] == pytest.approx(1.0)
    assert found["adds_up"]
    sender.add(semconv.TTFT_STAGE_TIME, 0.5, **{semconv.REQUEST_MODEL: MODEL, semconv.STAGE: "decode"})
    sender.flush()
    (found,) = report_of(viewer)["breakdown"]
    assert not found["adds_up"]
    assert found["difference_s"] == pytest.approx(0.5)


def test_tokens_of_what_did_not_complete_are_wasted(viewer: RunningViewer, service: Callable[..., Service]) -> None:
    sender = service()
    for outcome in (Outcome.COMPLETED, Outcome.COMPLETED, Outcome.CLIENT_DISCONNECTED, Outcome.ERROR):
        sender.infer(outcome=outcome, output_tokens=20)
    sender.flush()
    wasted = report_of(viewer)["wasted"]
    assert wasted["tokens"] == 240
    assert wasted["share"] == pytest.approx(0.5)
    assert wasted["by_outcome"] == [
        {"outcome": "client_disconnected", "input": 100, "output": 20},
        {"outcome": "error", "input": 100, "output": 20},
    ]


def test_critical_fields_and_cost_are_counted(viewer: RunningViewer, service: Callable[..., Service]) -> None:
    sender = service()
    sender.add(semconv.CRITICAL_FIELD_CHECKS, 8, **{semconv.FIELD: "amount"})
    sender.add(semconv.CRITICAL_FIELD_ERRORS, 2, **{semconv.FIELD: "amount"})
    sender.add(semconv.CRITICAL_FIELD_CHECKS, 3, **{semconv.FIELD: "date"})
    sender.add(semconv.COST_TOTAL, 0.25, **{semconv.REQUEST_MODEL: MODEL})
    sender.flush()
    report = report_of(viewer)
    assert report["critical_fields"] == [
        {"field": "amount", "errors": 2, "checks": 8, "share": 0.25},
        {"field": "date", "errors": 0, "checks": 3, "share": 0},
    ]
    assert report["throughput"]["cost_usd"] == 0.25


def test_what_no_metric_tells_is_not_said_to_be_none(viewer: RunningViewer, service: Callable[..., Service]) -> None:
    sender = service()
    sender.infer()
    assert sender.tracers.force_flush()
    figures = report_of(viewer)
    rates = figures["throughput"]
    for name in ("input_tokens", "output_tokens", "output_tokens_per_s", "pages", "pages_per_min", "images"):
        assert rates[name] is None
    sender.flush()
    assert report_of(viewer)["throughput"]["pages"] == 1
    assert report_of(viewer)["throughput"]["images"] is None


def test_rates_are_over_the_time_from_the_first_start_to_the_last_end(
    viewer: RunningViewer, service: Callable[..., Service]
) -> None:
    sender = service()
    now = time.time_ns()
    for ago in (60, 31):
        sender.infer(stages={"prefill": 0.5}, decode_s=0.5, output_tokens=30, start_ns=now - ago * 10**9)
    sender.flush()
    rates = report_of(viewer)["throughput"]
    assert rates["window_s"] == pytest.approx(30)
    assert rates["output_tokens_per_s"] == pytest.approx(2)
    assert rates["pages_per_min"] == pytest.approx(4)


def test_the_slowest_come_first_with_their_waterfall(viewer: RunningViewer, service: Callable[..., Service]) -> None:
    sender = service()
    for decode_s in (1.0, 9.0, 4.0):
        sender.infer(stages={"queue": 0.5, "prefill": 0.25}, decode_s=decode_s, consumer_wait_s=2.0)
    sender.flush()
    slowest = report_of(viewer, slowest="2")["slowest"]
    assert [slow["inference"]["duration_s"] for slow in slowest] == pytest.approx([11.75, 6.75])
    assert slowest[0]["inference"]["consumer_wait_s"] == 2.0
    bars = slowest[0]["bars"]
    assert [(bar["name"], bar["depth"]) for bar in bars] == [
        (f"chat {MODEL}", 0),
        ("queue", 1),
        ("prefill", 1),
        ("decode", 1),
    ]
    assert [bar["start_s"] for bar in bars] == pytest.approx([0, 0, 0.5, 0.75])


def test_a_range_leaves_out_what_ended_before_it(viewer: RunningViewer, service: Callable[..., Service]) -> None:
    sender = service()
    sender.infer(start_ns=time.time_ns() - 7200 * 10**9)
    sender.infer()
    sender.flush()
    assert report_of(viewer)["requests"]["traced"] == 1
    assert report_of(viewer, since="all")["requests"]["traced"] == 2


def test_without_metrics_requests_are_counted_from_traces(
    viewer: RunningViewer, service: Callable[..., Service]
) -> None:
    sender = service()
    sender.infer()
    assert sender.tracers.force_flush()
    requests = report_of(viewer)["requests"]
    assert (requests["total"], requests["source"]) == (1, "traces")
