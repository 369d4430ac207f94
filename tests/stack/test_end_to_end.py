"""The document service under `opentelemetry-instrument`, real requests, and what the backends know afterwards."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from document_vlm import language
from document_vlm.client import BROKEN, HANGING_UP, QUICK, Client, Outcome
from document_vlm.load import Mix, run
from otelext import semconv
from tests.compose.composition import ROOT
from tests.stack.backends import tags
from tests.stack.servers import Server, until
from tests.stack.stack import Stack

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(400)

MIX = Mix(quick=4, slow=0, hanging_up=2, broken=2, clients=2)
SERVICE = "document-vlm"
# As Prometheus spells a metric's name: https://prometheus.io/docs/guides/opentelemetry/
SELECT = f'{{service_name="{SERVICE}"}}'


# What every request of these clients asks for.
ASKED = {
    semconv.OPERATION: "chat",
    semconv.PROVIDER: language.PROVIDER,
    semconv.REQUEST_MODEL: language.MODEL,
}
# Labels that come of the resource, or of Prometheus itself.
RESOURCE = {"service_name", "service_instance_id", "job", "instance", "host_name", "service_namespace"}


def spelled(name: str) -> str:
    """A name as Prometheus has it."""
    return name.replace(".", "_")


@dataclass(frozen=True)
class Sent:
    """What the clients saw, by their behaviour."""

    outcomes: list[Outcome]

    def of(self, behaviour: str) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.behaviour == behaviour]


@pytest.fixture(scope="module")
def stack(programs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """One of its own: nothing else may be sent to a Collector whose accounts are balanced."""
    with Stack(tmp_path_factory.mktemp("end-to-end"), programs) as stack:
        stack.start()
        yield stack


@pytest.fixture(scope="module")
def sent(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Sent:
    """The service of the compose file's profile `example`, its load, and its end by SIGTERM."""
    folder = tmp_path_factory.mktemp("clients")
    command = stack.composition.command(
        "example",
        str(Path(sys.executable).with_name("opentelemetry-instrument")),
        PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        PYTHONPATH=str(ROOT / "examples"),
        PYTHONUNBUFFERED="1",
    )
    command.arguments.pop(0)
    url = stack.composition.url("example", 8000)
    with Server("example", command, f"{url}/readyz", stack.collector.log.parent) as service:
        client = Client("127.0.0.1", stack.composition.port("example", 8000), folder)
        outcomes = run(client, MIX, lambda _: None)
        service.stop()
    assert [o.status for o in outcomes if o.behaviour == QUICK] == [200] * MIX.quick, outcomes
    return Sent(outcomes)


def usage(outcome: Outcome) -> dict[str, int]:
    """Tokens, as the last of the events says that a client got."""
    *_, data = re.findall(rb"^data: (.+)$", outcome.body, re.MULTILINE)
    found: dict[str, int] = json.loads(data)["usage"]
    return found


def trace_of(stack: Stack, request_id: str) -> list[dict[str, Any]]:
    return until(
        lambda: stack.jaeger.trace_with(SERVICE, {semconv.REQUEST_ID: request_id}), f"the trace of {request_id}"
    )


def test_a_trace_in_jaeger_has_every_span_in_its_place(stack: Stack, sent: Sent) -> None:
    spans = trace_of(stack, sent.of(QUICK)[0].name)
    by_id = {span["spanID"]: span for span in spans}

    def parent(span: dict[str, Any]) -> dict[str, Any] | None:
        return next((by_id[r["spanID"]] for r in span["references"] if r["refType"] == "CHILD_OF"), None)

    (http,) = (span for span in spans if tags(span).get("span.kind") == "server")
    (inference,) = (span for span in spans if semconv.OUTCOME in tags(span))
    stages = {span["operationName"]: span for span in spans if semconv.STAGE in tags(span)}
    sql = [span for span in spans if "db.system.name" in tags(span)]
    assert parent(http) is None
    assert http["operationName"] == "POST /v1/documents"
    assert parent(inference) is http
    assert tags(inference)[semconv.OUTCOME] == "completed"
    assert set(stages) >= {"decode_image", "preprocess", "queue", "vision_encode", "prefill", "decode", "postprocess"}
    assert all(parent(stage) is inference for stage in stages.values())
    assert sql
    assert all(parent(span) is stages["postprocess"] for span in sql)
    assert [log["fields"][0]["value"] for log in inference["logs"]] == [semconv.FIRST_TOKEN_EVENT]


def test_a_hang_up_in_jaeger_is_the_clients(stack: Stack, sent: Sent) -> None:
    for outcome in sent.of(HANGING_UP):
        (inference,) = (s for s in trace_of(stack, outcome.name) if semconv.OUTCOME in tags(s))
        assert tags(inference)[semconv.OUTCOME] == "client_disconnected"


def test_counts_in_prometheus_are_those_sent(stack: Stack, sent: Sent) -> None:
    expected = {"completed": MIX.quick, "client_disconnected": MIX.hanging_up, "error": MIX.broken}

    def counted() -> dict[str, float]:
        series = stack.prometheus.query(f"sum by (vlm_outcome) (vlm_inferences_total{SELECT})")
        return {one["metric"]["vlm_outcome"]: float(one["value"][1]) for one in series}

    until(lambda: counted() == expected, f"{expected} in Prometheus; it has {counted()}")
    for metric, count in (
        ("gen_ai_server_request_duration_seconds_count", len(sent.outcomes)),
        ("gen_ai_server_time_to_first_token_seconds_count", MIX.quick),
        ("gen_ai_server_time_per_output_token_seconds_count", MIX.quick),
        ("vlm_stage_duration_seconds_count", MIX.quick + MIX.hanging_up),
    ):
        stage = ', vlm_stage="prefill"' if "stage" in metric else ""
        assert stack.prometheus.value(f'{metric}{{service_name="{SERVICE}"{stage}}}') == count, metric


@pytest.mark.parametrize("kind", ["input", "output"])
def test_tokens_in_prometheus_are_those_that_the_clients_were_told(stack: Stack, sent: Sent, kind: str) -> None:
    told = sum(usage(outcome)[f"{kind}_tokens"] for outcome in sent.of(QUICK))
    assert told
    completed = f'vlm_tokens_total{{service_name="{SERVICE}",vlm_outcome="completed",gen_ai_token_type="{kind}"}}'
    until(lambda: stack.prometheus.value(completed) == told, lambda: f"{told} of {stack.prometheus.query(completed)}")


@pytest.mark.parametrize("metric", [semconv.TTFT, semconv.TPOT, semconv.REQUEST_DURATION, semconv.STAGE_DURATION])
def test_histograms_in_prometheus_have_the_catalogues_buckets(stack: Stack, sent: Sent, metric: semconv.Metric) -> None:
    assert sent.outcomes
    name = f"{spelled(metric.name)}_seconds_bucket"
    series = until(lambda: stack.prometheus.query(f"{name}{SELECT}"), name)
    assert {float(one["metric"]["le"]) for one in series} == {*metric.buckets, math.inf}


@pytest.mark.parametrize(
    ("metric", "suffix"),
    [
        *((metric, "_seconds_count") for metric in (semconv.TTFT, semconv.TPOT, semconv.REQUEST_DURATION)),
        (semconv.STAGE_DURATION, "_seconds_count"),
        (semconv.TTFT_STAGE_TIME, "_seconds_total"),
        (semconv.INFERENCES, "_total"),
        (semconv.TOKENS, "_total"),
        (semconv.IMAGES, "_total"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_series_in_prometheus_have_the_catalogues_labels(
    stack: Stack, sent: Sent, metric: semconv.Metric, suffix: str
) -> None:
    assert sent.outcomes
    # Without those that failed, whose error.type the others lack.
    found = f'{spelled(metric.name)}{suffix}{{service_name="{SERVICE}",error_type=""}}'
    series = until(lambda: stack.prometheus.query(found), found)
    labels = {spelled(key) for key in metric.attributes} - {"error_type"}
    told = {spelled(key): value for key, value in ASKED.items() if key in metric.attributes}
    for one in series:
        assert one["metric"].keys() - RESOURCE - {"__name__"} == labels, one
        assert told.items() <= one["metric"].items(), one


@pytest.mark.parametrize(
    "histogram", ["gen_ai_server_time_to_first_token_seconds", "traces_span_metrics_duration_milliseconds"]
)
def test_an_exemplar_in_prometheus_leads_to_its_trace_in_jaeger(stack: Stack, sent: Sent, histogram: str) -> None:
    assert sent.outcomes
    exemplars = until(lambda: stack.prometheus.exemplars(f"{histogram}_bucket{SELECT}"), "an exemplar")
    for exemplar in exemplars:
        trace = stack.jaeger.trace(exemplar["labels"]["trace_id"])
        assert any(span["spanID"] == exemplar["labels"]["span_id"] for span in trace)


def test_log_lines_in_loki_are_found_by_trace_id(stack: Stack, sent: Sent) -> None:
    for outcome in sent.of(BROKEN):
        trace_id = trace_of(stack, outcome.name)[0]["traceID"]
        selector = f'{SELECT} | trace_id="{trace_id}"'
        lines = until(partial(stack.loki.lines, selector), f"a line of {trace_id}")
        assert any(line.startswith("refused") for _, line in lines), lines


def test_the_collector_took_and_sent_everything(stack: Stack, sent: Sent) -> None:
    assert sent.outcomes

    def total(metric: str, labels: str = "") -> float:
        return stack.prometheus.value(f"{{__name__=~'otelcol_{metric}(_total)?'{labels}}}")

    def unbalanced() -> list[str]:
        return [
            signal
            for signal in ("spans", "log_records")
            if not 0 < total(f"receiver_accepted_{signal}") == total(f"exporter_sent_{signal}")
        ]

    until(
        lambda: not unbalanced(),
        lambda: f"as many {unbalanced()} sent as accepted, by the Collector's own metrics in Prometheus",
        60,
    )
    # Of the service's lines alone, without the Collector's own.
    until(
        lambda: stack.loki.count(SELECT) == total("receiver_accepted_log_records", ",receiver='otlp'"),
        "as many lines in Loki as the Collector took, by its own metrics",
        60,
    )
    failures = ("receiver_refused", "receiver_failed", "exporter_send_failed", "exporter_enqueue_failed")
    for failure in (*failures, "processor_refused"):
        for signal in ("spans", "metric_points", "log_records"):
            assert total(f"{failure}_{signal}") == 0, (failure, signal)
