"""From a finished inference to what readers and exporters get, in both lanes and with code that misbehaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

import otelext
from otelext.testing import capture

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence
    from pathlib import Path

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

    from otelext.testing import Captured

DEADLINE_S = 10.0
HISTOGRAMS = (
    "gen_ai.server.request.duration",
    "gen_ai.server.time_to_first_token",
    "gen_ai.server.time_per_output_token",
    "vlm.consumer_wait",
)


class StartListener(SpanProcessor):
    """Looks at the start of each span, so that ordinary SDK spans have to be made."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: that the hook is there is what counts."""


LANES = pytest.mark.parametrize("lane", [[], [StartListener()]], ids=["light", "sdk"])


@otelext.inference("chat", model="m", provider="acme")
def answer(tokens: int = 3) -> Generator[str, None, None]:
    with otelext.stage("prefill"):
        pass
    for _ in range(tokens):
        yield "word"


def counts(captured: Captured) -> dict[tuple[str, str], float]:
    """Counts and sums that do not depend on time, by metric and attributes."""
    found = {}
    for name, points in captured.metrics().items():
        for point in points:
            place = name, json.dumps(dict(sorted(point.attributes.items())))
            if hasattr(point, "count"):
                found[place] = float(point.count)
            elif not name.startswith(("otelext.", "vlm.time_to_first_token")):
                found[place] = float(point.value)
    return found


@LANES
def test_each_histogram_value_of_a_sampled_inference_carries_its_trace_and_span(lane: list[SpanProcessor]) -> None:
    with capture(span_processors=lane) as captured:
        list(answer())
        (inference,) = captured.spans("chat m")
        (stage,) = captured.spans("prefill")
        collected = captured.metrics()
        for metric, span in [*((name, inference) for name in HISTOGRAMS), ("vlm.stage.duration", stage)]:
            (point,) = collected[metric]
            (exemplar,) = point.exemplars
            assert span.context is not None
            assert (exemplar.trace_id, exemplar.span_id) == (span.context.trace_id, span.context.span_id), metric
            assert exemplar.value == point.sum


@LANES
def test_an_unsampled_inference_gives_every_metric_no_exemplar_and_no_span(lane: list[SpanProcessor]) -> None:
    with capture(span_processors=lane) as sampled:
        list(answer())
        expected = counts(sampled)
    with capture(span_processors=lane, sampler=ALWAYS_OFF) as captured:
        list(answer())
        assert captured.spans() == []
        collected = captured.metrics()
        assert counts(captured) == expected
        assert not any(getattr(point, "exemplars", ()) for points in collected.values() for point in points)


@LANES
@pytest.mark.parametrize(
    "sampler", [ParentBased(TraceIdRatioBased(0.01)), TraceIdRatioBased(0.01)], ids=["parent based", "ratio"]
)
def test_metrics_at_one_percent_equal_those_of_all_in_count(lane: list[SpanProcessor], sampler: Sampler) -> None:
    def load() -> None:
        for number in range(300):
            stream = answer(number % 4)
            if number % 3:
                list(stream)
            else:
                next(stream, None)
                stream.close()

    def emitted(sampler: Sampler) -> tuple[dict[tuple[str, str], float], int]:
        with capture(span_processors=lane, sampler=sampler) as captured:
            load()
            return counts(captured), len(captured.spans("chat m"))

    expected, every = emitted(ALWAYS_ON)
    found, some = emitted(sampler)
    assert found == expected
    assert every == 300
    assert some < 50


def test_counters_go_through_the_api_once_a_series(monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry.sdk.metrics import Counter

    calls: list[tuple[str, Any]] = []
    add: Any = Counter.add

    def counting(self: Any, amount: float, attributes: Any, *args: Any) -> None:
        calls.append((self.name, tuple(attributes.items())))
        add(self, amount, attributes, *args)

    monkeypatch.setattr(Counter, "add", counting)
    with capture() as captured:
        held = threading.Event()
        entered = threading.Event()
        _hold_worker(entered, held)
        for _ in range(100):
            list(answer())
        held.set()
        assert captured.value("vlm.inferences", gen_ai_request_model="m") == 100
        assert captured.value("vlm.tokens") == 300
    assert {"vlm.tokens", "vlm.inferences"} <= {name for name, _ in calls}
    assert len(calls) == len(set(calls)), "each attribute set once, whatever is counted in it"


def _hold_worker(entered: threading.Event, held: threading.Event) -> None:
    """Keep the worker busy until `held` is set, with its next batch still to come."""
    from otelext import _attach

    def observe(_: object) -> None:
        _attach.worker.observers.remove(observe)
        entered.set()
        held.wait(DEADLINE_S)

    with otelext.inference("hold"):
        _attach.worker.observers.append(observe)
    assert entered.wait(DEADLINE_S)


# --- code that misbehaves -------------------------------------------------------------------------


class BrokenExporter(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise RuntimeError

    def shutdown(self) -> None:
        raise RuntimeError


class BrokenEnd(SpanProcessor):
    def on_end(self, span: ReadableSpan) -> None:
        raise RuntimeError


@LANES
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_processor_that_raises_reaches_no_request_and_costs_no_metric(lane: list[SpanProcessor]) -> None:
    with capture(span_processors=[*lane, BrokenEnd()]) as captured:
        assert list(answer()) == ["word"] * 3
        assert captured.value("vlm.inferences") == 1
        assert captured.value("gen_ai.server.time_to_first_token") == 1


def test_an_error_of_a_processor_is_counted_in_the_light_lane() -> None:
    with capture(span_processors=[BrokenEnd()]) as captured:
        list(answer())
        before = captured.value("otelext.worker.errors")
        list(answer())
        assert captured.value("otelext.worker.errors") == before + 2  # the inference's span and the stage's


def test_an_exporter_that_blocks_reaches_no_request() -> None:
    gate = threading.Event()

    class Blocking(SpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            gate.wait(DEADLINE_S)
            return SpanExportResult.SUCCESS

    with capture(span_processors=[SimpleSpanProcessor(Blocking())]) as captured:
        started = time.monotonic()
        for _ in range(50):
            list(answer())
        assert not otelext.force_flush(timeout=0.2)
        assert time.monotonic() - started < DEADLINE_S / 2
        gate.set()
        assert captured.value("vlm.inferences") == 50


def test_a_metric_callback_that_raises_or_blocks_reaches_no_request() -> None:
    gate = threading.Event()
    entered = threading.Event()

    def blocking(_: CallbackOptions) -> Iterable[Observation]:
        entered.set()
        gate.wait(DEADLINE_S)
        return [Observation(1)]

    def broken(_: CallbackOptions) -> Iterable[Observation]:
        raise RuntimeError

    slow = InMemoryMetricReader()
    with capture(metric_readers=[slow]) as captured:
        meter = captured.meter_provider.get_meter("other")
        meter.create_observable_gauge("blocking", [blocking])
        meter.create_observable_gauge("broken", [broken])
        collection = threading.Thread(target=slow.get_metrics_data)
        collection.start()
        assert entered.wait(DEADLINE_S)
        started = time.monotonic()
        for _ in range(50):
            list(answer())
        assert time.monotonic() - started < DEADLINE_S / 2
        gate.set()
        collection.join()
        assert captured.value("vlm.inferences") == 50


def test_a_flush_from_a_processor_does_not_deadlock() -> None:
    class Flushing(SpanProcessor):
        def on_end(self, span: ReadableSpan) -> None:
            otelext.force_flush(timeout=5)

    with capture(span_processors=[Flushing()]) as captured:
        started = time.monotonic()
        list(answer())
        assert captured.value("vlm.inferences") == 1
        assert time.monotonic() - started < 4


def test_an_observer_sees_each_finished_inference_once() -> None:
    with capture() as captured:
        list(answer())
        with otelext.inference("chat"):
            pass
        assert [inference.output_tokens for inference in captured.inferences()] == [3, None]


# --- processes ------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@LANES
def test_parent_and_child_of_a_fork_count_their_own(lane: list[SpanProcessor]) -> None:
    with capture(span_processors=lane) as captured:
        for _ in range(3):
            list(answer())
        assert captured.value("vlm.inferences") == 3
        waiting = answer()
        next(waiting)  # open while the process forks: it is the parent's
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                for _ in range(2):
                    list(answer())
                counted = [
                    captured.value("vlm.inferences"),
                    captured.value("gen_ai.server.time_to_first_token"),
                    captured.value("vlm.inferences.active"),
                ]
                os.write(write, json.dumps(counted).encode())
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            assert json.loads(pipe.read()) == [2, 2, 0]
        os.waitpid(child, 0)
        list(waiting)
        assert captured.value("vlm.inferences") == 4
        assert captured.value("vlm.inferences.active") == 0


SCRIPT = """
    import json, sys, threading
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter
    import otelext

    folder = sys.argv[1]
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(ConsoleSpanExporter(
        out=open(folder + "/spans", "w"), formatter=lambda span: span.to_json(indent=None) + "\\n"
    )))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(
        ConsoleMetricExporter(out=open(folder + "/metrics", "w"), formatter=lambda data: data.to_json(None) + "\\n")
    )]))

    @otelext.inference("chat", model="m")
    def answer():
        with otelext.stage("decode"):
            while True:
                yield "word"

    done = list(zip(answer(), range(2)))
    streams = [answer() for _ in range(3)]
    for stream in streams:
        next(stream)
    {end}
"""


@pytest.mark.parametrize(
    "end",
    ["pass", "sys.exit(3)", "raise RuntimeError", "threading.Thread(target=sys.exit).start()"],
    ids=["end", "exit", "exception", "thread"],
)
def test_an_exit_with_streams_open_loses_nothing(end: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT.replace("{end}", end)), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "otelext" not in ran.stderr, ran.stderr
    assert "detach" not in ran.stderr
    spans = [json.loads(line) for line in (tmp_path / "spans").read_text().splitlines()]
    inferences = [span for span in spans if span["name"] == "chat m"]
    assert [span["attributes"]["vlm.outcome"] for span in inferences] == ["abandoned"] * 4
    assert len([span for span in spans if span["name"] == "decode"]) == 4
    last = json.loads((tmp_path / "metrics").read_text().splitlines()[-1])
    counted = {
        metric["name"]: sum(point.get("value", point.get("count")) for point in metric["data"]["data_points"])
        for resource in last["resource_metrics"]
        for scope in resource["scope_metrics"]
        for metric in scope["metrics"]
    }
    assert counted["vlm.inferences"] == 4
    assert counted["gen_ai.server.request.duration"] == 4
    assert counted["vlm.stage.duration"] == 4
    assert counted.get("vlm.inferences.active", 0) == 0


def test_spans_that_wait_in_a_batch_leave_with_the_provider() -> None:
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    with capture(span_processors=[BatchSpanProcessor(exporter)]) as captured:
        list(answer())
        captured.tracer_provider.shutdown()
        assert sorted(span.name for span in exporter.get_finished_spans()) == ["chat m", "prefill"]
