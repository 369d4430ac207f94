"""Behind tail sampling that keeps one trace in a hundred, every exemplar still leads to its trace."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from otelext import semconv
from tests.compose.composition import ROOT
from tests.stack.backends import tags
from tests.stack.servers import until

if TYPE_CHECKING:
    from tests.stack.collectors import TwoTiers
    from tests.stack.stack import Stack

pytestmark = pytest.mark.timeout(400)

SERVICE = "quick-inferences"
INFERENCES = 25_000
SPANS = 3  # of an inference: its own, and two stages


@dataclass(frozen=True)
class Read:
    """What the backends have of it."""

    exemplars: list[dict[str, Any]]
    traces: dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def read(stack: Stack, tiers: TwoTiers) -> Read:
    script = Path(__file__).with_name("quick_inferences.py")
    environment = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "OTEL_SERVICE_NAME": SERVICE,
        "OTEL_EXPORTER_OTLP_ENDPOINT": tiers.agent.otlp_http,
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_BSP_MAX_QUEUE_SIZE": "10000",
        "OTELEXT_EXEMPLAR_RATIO": "0.01",
        "OTELEXT_LOG_FORMAT": "none",
    }
    command = ["opentelemetry-instrument", sys.executable, str(script), str(INFERENCES)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr[-4000:]
    assert not ended.stderr, ended.stderr[-4000:]
    counted = f'sum(vlm_inferences_total{{service_name="{SERVICE}"}})'
    until(lambda: stack.prometheus.value(counted) == INFERENCES, f"{INFERENCES} inferences in Prometheus")
    exemplars = stack.prometheus.exemplars(f'{{service_name="{SERVICE}"}}')
    led_to = {exemplar["labels"]["trace_id"] for exemplar in exemplars}
    traces: dict[str, list[dict[str, Any]]] = {}

    def missing() -> set[str]:
        for trace_id in led_to - traces.keys():
            if len(spans := stack.jaeger.trace(trace_id)) >= SPANS:
                traces[trace_id] = spans
        return led_to - traces.keys()

    until(lambda: not missing(), lambda: f"the trace of an exemplar, of {missing()}", 60)
    return Read(exemplars, traces)


def test_of_a_thousand_exemplars_each_has_its_trace_with_its_span(read: Read) -> None:
    assert len(read.exemplars) >= 1000
    for exemplar in read.exemplars:
        spans = read.traces[exemplar["labels"]["trace_id"]]
        assert exemplar["labels"]["span_id"] in {span["spanID"] for span in spans}


def test_exemplars_come_from_one_trace_in_a_hundred_and_those_say_so(read: Read) -> None:
    assert INFERENCES * 0.005 < len(read.traces) < INFERENCES * 0.02
    for spans in read.traces.values():
        assert len(spans) == SPANS
        assert all(tags(span)[semconv.EXEMPLAR] is True for span in spans)


def test_exemplars_of_other_libraries_histograms_lead_to_traces_too(stack: Stack, read: Read) -> None:
    theirs = stack.prometheus.exemplars(f'library_words_bucket{{service_name="{SERVICE}"}}')
    assert theirs
    assert {exemplar["labels"]["trace_id"] for exemplar in theirs} <= read.traces.keys()


def test_few_other_traces_are_kept_and_the_metrics_count_them_all(stack: Stack, read: Read) -> None:
    calls = f'sum(traces_span_metrics_calls_total{{service_name="{SERVICE}"}})'
    until(lambda: stack.prometheus.value(calls) == INFERENCES * SPANS, "every span among span_metrics' calls", 60)
    kept = len(stack.jaeger.traces(SERVICE, limit=INFERENCES))
    assert len(read.traces) < kept < INFERENCES * 0.04
