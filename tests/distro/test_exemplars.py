"""Exemplars come from the chosen traces alone, and every trace that gave one says so on its spans."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, AlwaysOnExemplarFilter, ExemplarFilter, MeterProvider
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased, TraceIdRatioBased
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags

import otelext
from otelext import semconv
from otelext.capture import failure
from otelext.capture.binding import current_binding
from otelext.distro import exemplars
from otelext.testing import capture
from tests.distro.processes import plain, run_program, run_python

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import Span

    from otelext.testing import Captured
    from tests.distro.processes import Service
    from tests.otlp_receiver import OtlpReceiver

RATIO: Final = 0.1
REQUESTS: Final = 1000
# Of 1,000 traces a tenth is 100, with a standard deviation of 9.5: the bounds are at five of them.
FEWEST, MOST = 52, 148

THEIRS: Final = "http.server.request.duration"
CHAT: Final = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "m"}


class StartListener(SpanProcessor):
    """Looks at the start of each span, so that ordinary SDK spans have to be made."""

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing: that the hook is there is what counts."""


LANES = pytest.mark.parametrize("lane", [[], [StartListener()]], ids=["light", "sdk"])


@pytest.fixture(autouse=True)
def _nothing_is_chosen_afterwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(failure, "_last", {})
    yield
    exemplars.choose(object(), None)


@otelext.inference("chat", model="m")
def answer() -> Iterator[str]:
    with otelext.stage("prefill"):
        pass
    yield "word"


def taken(captured: Captured) -> dict[str, set[int]]:
    """The traces of all exemplars so far, by metric."""
    return {
        metric: {exemplar.trace_id for point in points for exemplar in getattr(point, "exemplars", ())}
        for metric, points in captured.metrics().items()
    }


def marked(captured: Captured) -> dict[int, list[bool]]:
    """Whether each span says that its trace may give exemplars, by trace."""
    found: dict[int, list[bool]] = {}
    for span in captured.spans():
        assert span.context is not None
        assert span.attributes is not None
        says = span.attributes.get(semconv.EXEMPLAR)
        assert says in {None, True}
        found.setdefault(span.context.trace_id, []).append(says is True)
    return found


def requests(captured: Captured, number: int) -> dict[str, set[int]]:
    """As a service has them: a SERVER span with an inference inside, or none, and the instrumentation's histogram.

    Read after each, since a histogram's bucket keeps its last exemplar alone.
    """
    tracer = captured.tracer_provider.get_tracer("theirs")
    histogram = captured.meter_provider.get_meter("theirs").create_histogram(THEIRS, unit="s")
    found: dict[str, set[int]] = {}
    for index in range(number):
        with tracer.start_as_current_span("GET /"):
            if index % 2:
                list(answer())
            histogram.record(0.1, {"index": index % 3})
        for metric, traces in taken(captured).items():
            found.setdefault(metric, set()).update(traces)
    return found


@LANES
def test_every_exemplar_is_of_a_chosen_trace_and_all_its_spans_say_so(lane: list[SpanProcessor]) -> None:
    with capture(span_processors=lane) as captured:
        exemplars.prepare(0.3)
        found = requests(captured, 200)
        says = marked(captured)
        assert current_binding().light is (not lane)
    assert all(all(spans) or not any(spans) for spans in says.values())
    chosen = {trace_id for trace_id, spans in says.items() if any(spans)}
    assert 20 < len(chosen) < 100
    with_inference = {trace_id for trace_id in chosen if len(says[trace_id]) == 3}
    assert found[THEIRS] == chosen
    for metric in (semconv.REQUEST_DURATION, semconv.TTFT, semconv.STAGE_DURATION):
        assert found[metric.name] == with_inference


@LANES
@pytest.mark.parametrize(("ratio", "says"), [(None, False), (1.0, True)])
def test_every_trace_gives_exemplars_at_1_and_says_so_where_that_was_asked_for(
    lane: list[SpanProcessor], ratio: float | None, says: bool
) -> None:
    with capture(span_processors=lane) as captured:
        exemplars.prepare(ratio)
        found = requests(captured, 6)
        spans = marked(captured)
    assert found[THEIRS] == set(spans)
    assert found[semconv.TTFT.name] == {trace_id for trace_id, of_trace in spans.items() if len(of_trace) == 3}
    assert {one for of_trace in spans.values() for one in of_trace} == {says}


@LANES
def test_no_trace_gives_exemplars_at_0(lane: list[SpanProcessor]) -> None:
    with capture(span_processors=lane) as captured:
        exemplars.prepare(0)
        assert not any(requests(captured, 6).values())
        assert not any(any(spans) for spans in marked(captured).values())
        assert captured.value(semconv.INFERENCES.name) == 3


@LANES
@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_an_unsampled_trace_gives_none(lane: list[SpanProcessor], ratio: float) -> None:
    with capture(span_processors=lane, sampler=ParentBased(ALWAYS_OFF)) as captured:
        exemplars.prepare(ratio)
        assert not any(requests(captured, 20).values())
        assert captured.value(semconv.INFERENCES.name) == 10
    with capture(span_processors=lane, sampler=ParentBased(TraceIdRatioBased(0.5))) as captured:
        exemplars.prepare(ratio)
        found = requests(captured, 40)
        says = marked(captured)
    assert says
    assert found[THEIRS] == {trace_id for trace_id, spans in says.items() if any(spans)}


@LANES
def test_a_span_that_its_user_ended_says_so_too(lane: list[SpanProcessor]) -> None:
    with capture(span_processors=lane) as captured:
        exemplars.prepare(1)
        with otelext.inference("chat", model="m"):
            trace.get_current_span().end()
        assert list(marked(captured).values()) == [[True]]


@LANES
def test_an_exemplar_of_another_librarys_genai_span_is_of_a_chosen_trace(lane: list[SpanProcessor]) -> None:
    with capture(span_processors=lane) as captured:
        exemplars.prepare(0.3)
        list(answer())  # attached
        tracer = captured.tracer_provider.get_tracer("theirs")
        found = taken(captured)[semconv.REQUEST_DURATION.name]
        for _ in range(100):
            tracer.start_span("chat m", attributes=CHAT).end()
            found |= taken(captured)[semconv.REQUEST_DURATION.name]
        chosen = {trace_id for trace_id, spans in marked(captured).items() if any(spans)}
    assert 5 < len(chosen) < 60
    assert found == chosen


def test_the_choice_is_made_where_inferences_were_measured_before() -> None:
    with capture() as captured:
        list(answer())
        before = taken(captured)[semconv.TTFT.name]
        assert len(before) == 1
        exemplars.prepare(0)
        for _ in range(5):
            list(answer())
        assert taken(captured)[semconv.TTFT.name] <= before
        exemplars.prepare(1)
        list(answer())
        assert taken(captured)[semconv.TTFT.name] - before


def sampled_in(context: Context) -> bool:
    """What the filter says while every trace is chosen."""
    exemplars.choose(MeterProvider(shutdown_on_exit=False), 1)
    return exemplars.ChosenTraceExemplarFilter().should_sample(1.0, 1, {}, context)


def test_a_span_that_no_processor_of_this_process_saw_gives_no_exemplar() -> None:
    flags = TraceFlags(TraceFlags.SAMPLED)
    remote = NonRecordingSpan(SpanContext(7, 7, is_remote=True, trace_flags=flags))
    assert not sampled_in(trace.set_span_in_context(remote))
    unseen = TracerProvider(shutdown_on_exit=False).get_tracer("theirs").start_span("GET /")
    assert not sampled_in(trace.set_span_in_context(unseen))
    assert not sampled_in(trace.set_span_in_context(trace.INVALID_SPAN))


def test_a_span_that_lost_the_mark_to_its_limit_of_attributes_gives_no_exemplar() -> None:
    with capture(span_limits=SpanLimits(max_span_attributes=2)) as captured:
        exemplars.prepare(0.999999)
        list(answer())  # attached
        histogram = captured.meter_provider.get_meter("theirs").create_histogram(THEIRS)
        with captured.tracer_provider.get_tracer("theirs").start_as_current_span("GET /") as span:
            span.set_attributes({"a": 1, "b": 2})
            histogram.record(0.1)
        (exported,) = captured.spans("GET /")
        assert dict(exported.attributes or {}) == {"a": 1, "b": 2}
        assert not taken(captured)[THEIRS]


# --- whose filter it is ----------------------------------------------------------------------------


class OnlySlow(ExemplarFilter):
    """A filter of a user's own."""

    def should_sample(self, value: float, time_unix_nano: int, attributes: Any, context: Context) -> bool:
        return value > 0.1


@pytest.mark.parametrize("theirs", [AlwaysOnExemplarFilter, AlwaysOffExemplarFilter, OnlySlow])
def test_a_filter_of_the_users_stays(theirs: type[ExemplarFilter]) -> None:
    given = theirs()
    provider = MeterProvider(exemplar_filter=given, shutdown_on_exit=False)
    assert not exemplars.choose(provider, 0.5)
    assert exemplars.choose(provider, 1)
    assert exemplars.choose(provider, None)
    assert provider._sdk_config.exemplar_filter is given


@pytest.mark.parametrize(("theirs", "says"), [(AlwaysOffExemplarFilter, False), (OnlySlow, True)])
def test_spans_say_nothing_where_no_exemplar_is_taken(theirs: type[ExemplarFilter], says: bool) -> None:
    with capture() as captured:
        captured.meter_provider._sdk_config.exemplar_filter = theirs()
        exemplars.prepare(1)
        list(answer())
        assert list(marked(captured).values()) == [[says, says]]


def test_one_choice_follows_another_on_the_same_provider() -> None:
    provider = MeterProvider(shutdown_on_exit=False)
    sdks = type(provider._sdk_config.exemplar_filter)
    for ratio in (0.5, 0.5, 1, 0, None, 0.2):
        assert exemplars.choose(provider, ratio)
        assert (type(provider._sdk_config.exemplar_filter) is sdks) is (ratio in {1, None})


# --- zero code -------------------------------------------------------------------------------------


def exemplars_of(receiver: OtlpReceiver, metric: str) -> set[bytes]:
    return {
        exemplar.trace_id for point in receiver.points if point.metric == metric for exemplar in point.message.exemplars
    }


def says_by_trace(receiver: OtlpReceiver) -> dict[bytes, list[bool]]:
    found: dict[bytes, list[bool]] = {}
    for span in receiver.spans:
        found.setdefault(span.message.trace_id, []).append(span.attributes.get(semconv.EXEMPLAR, False))
    return found


def test_every_exemplar_of_a_service_is_of_a_trace_that_a_gateway_keeps(
    receiver: OtlpReceiver, start: Callable[..., Service]
) -> None:
    service = start(OTELEXT_EXEMPLAR_RATIO=str(RATIO), OTEL_METRIC_EXPORT_INTERVAL="50")
    with httpx.Client(trust_env=False, timeout=30) as client, ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: client.get(f"{service.url}/answer").status_code, range(REQUESTS)))
    assert answers == [200] * REQUESTS
    service.stop()
    traces = {t: says for t, says in says_by_trace(receiver).items() if len(says) > 1}  # not those of the start-up
    assert len(traces) == REQUESTS
    kept = {trace_id for trace_id, says in says_by_trace(receiver).items() if any(says)}
    assert all(all(says) or not any(says) for says in traces.values())
    assert FEWEST < len(kept & traces.keys()) < MOST
    for metric in (THEIRS, semconv.REQUEST_DURATION.name):
        taken = exemplars_of(receiver, metric)
        assert len(taken) > 3, metric
        assert taken <= kept, metric


PROGRAM: Final = """
import otelext
from opentelemetry import metrics, trace
tracer, histogram = trace.get_tracer("theirs"), metrics.get_meter("theirs").create_histogram("theirs")
for index in range(300):
    with tracer.start_as_current_span("GET /"), otelext.inference("chat", model="m"):
        histogram.record(1, {"http.response.status_code": index})
"""
OWN_PROVIDERS: Final = """
from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
tracers = TracerProvider()
tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(tracers)
metrics.set_meter_provider(MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())]))
"""
CONFIG_FILE: Final = """
file_format: "1.0"
tracer_provider:
  processors:
    - batch: {{exporter: {{otlp_http: {{endpoint: "{endpoint}/v1/traces"}}}}}}
meter_provider:
  readers:
    - periodic: {{interval: 200, exporter: {{otlp_http: {{endpoint: "{endpoint}/v1/metrics"}}}}}}
"""


def check_a_tenth(receiver: OtlpReceiver) -> None:
    kept = {trace_id for trace_id, says in says_by_trace(receiver).items() if any(says)}
    assert 5 < len(kept) < 70  # of 300, at six standard deviations
    assert exemplars_of(receiver, "theirs") == kept
    assert exemplars_of(receiver, semconv.REQUEST_DURATION.name) <= kept


def test_the_choice_holds_on_the_users_own_providers(receiver: OtlpReceiver) -> None:
    program = f"{OWN_PROVIDERS}\nimport otelext\notelext.configure(exemplar_ratio={RATIO})\n{PROGRAM}"
    done = run_python(program, plain(receiver.endpoint))
    assert (done.returncode, done.stderr) == (0, "")
    check_a_tenth(receiver)


def test_the_choice_holds_on_the_providers_of_a_declarative_file(receiver: OtlpReceiver, tmp_path: Path) -> None:
    path = tmp_path / "otel.yaml"
    path.write_text(CONFIG_FILE.format(endpoint=receiver.endpoint))
    env = plain(receiver.endpoint, OTEL_CONFIG_FILE=str(path), OTELEXT_EXEMPLAR_RATIO=str(RATIO))
    done = run_program(PROGRAM, env)
    assert (done.returncode, done.stderr) == (0, "")
    check_a_tenth(receiver)


@pytest.mark.parametrize(("chosen", "traces"), [("always_on", 300), ("always_off", 0)])
def test_another_filter_of_the_environment_holds_and_one_line_says_so(
    receiver: OtlpReceiver, chosen: str, traces: int
) -> None:
    env = plain(receiver.endpoint, OTEL_METRICS_EXEMPLAR_FILTER=chosen, OTELEXT_EXEMPLAR_RATIO=str(RATIO))
    done = run_program(PROGRAM, env)
    (line,) = done.stderr.splitlines()
    assert "OTELEXT_EXEMPLAR_RATIO=0.1 does not hold" in line
    assert len(exemplars_of(receiver, "theirs")) == traces
    assert not any(any(says) for says in says_by_trace(receiver).values())


def test_nothing_is_marked_and_every_trace_gives_exemplars_where_nothing_is_set(receiver: OtlpReceiver) -> None:
    done = run_program(PROGRAM, plain(receiver.endpoint))
    assert (done.returncode, done.stderr) == (0, "")
    assert len(exemplars_of(receiver, "theirs")) == 300
    assert not any(any(says) for says in says_by_trace(receiver).values())


# --- who made the providers ------------------------------------------------------------------------


def distros(resources: Iterable[dict[str, Any]]) -> set[tuple[str | None, str | None]]:
    return {(found.get("telemetry.distro.name"), found.get("telemetry.distro.version")) for found in resources}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", ("otelext", otelext.__version__)),
        ("telemetry.distro.name=theirs", ("theirs", None)),
        ("telemetry.distro.name=theirs,telemetry.distro.version=7", ("theirs", "7")),
    ],
)
def test_the_resource_names_the_distro_unless_the_user_named_one(
    receiver: OtlpReceiver, given: str, expected: tuple[str, str | None]
) -> None:
    done = run_program(PROGRAM, plain(receiver.endpoint, OTEL_RESOURCE_ATTRIBUTES=given))
    assert (done.returncode, done.stderr) == (0, "")
    assert distros(span.resource for span in receiver.spans) == {expected}
    assert distros(point.resource for point in receiver.points) == {expected}


def test_a_provider_that_is_added_to_the_users_own_names_the_distro(receiver: OtlpReceiver) -> None:
    own_traces = OWN_PROVIDERS.rsplit("metrics.set_meter_provider", 1)[0]
    done = run_python(f"{own_traces}\nimport otelext\notelext.configure()\n{PROGRAM}", plain(receiver.endpoint))
    assert (done.returncode, done.stderr) == (0, "")
    assert distros(span.resource for span in receiver.spans) == {(None, None)}
    assert distros(point.resource for point in receiver.points) == {("otelext", otelext.__version__)}
