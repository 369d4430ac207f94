"""Both lanes give the same: whatever is done to a span, and whatever the provider is set to."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import baggage, trace
from opentelemetry.context import attach, detach
from opentelemetry.propagate import extract, inject
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span as SDKSpan
from opentelemetry.sdk.trace import SpanLimits
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    ALWAYS_ON,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

import otelext
from otelext import semconv
from otelext.capture.span import Span as LightSpan
from otelext.testing import DeterministicIdGenerator, capture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from opentelemetry.sdk.trace import ReadableSpan


@pytest.fixture(autouse=True)
def wall_clock(monkeypatch: pytest.MonkeyPatch, clock: Any) -> None:
    """Wall time that stands still, so that the two lanes' times are equal."""
    for name in (
        "otelext.capture.inference",
        "otelext.capture.stage",
        "otelext.capture.span",
        "opentelemetry.sdk.trace",
    ):
        module = importlib.import_module(name)
        monkeypatch.setattr(module, "time_ns", lambda: 1_700_000_000_000_000_000)


def normalised(spans: Sequence[ReadableSpan], *, with_user_times: bool = False) -> list[dict[str, Any]]:
    """All that an exporter can see of spans, but for times that a user's own event took from the SDK's clock."""
    found = []
    for span in spans:
        assert span.context is not None
        assert span.instrumentation_scope is not None
        found.append(
            {
                "name": span.name,
                "trace": span.context.trace_id,
                "flags": int(span.context.trace_flags),
                "remote": span.context.is_remote,
                "state": dict(span.context.trace_state),
                "parent": None
                if span.parent is None
                else (
                    span.parent.span_id,
                    span.parent.is_remote,
                    int(span.parent.trace_flags),
                    dict(span.parent.trace_state),
                ),
                "id": span.context.span_id,
                "kind": span.kind,
                "attributes": dict(span.attributes or {}),
                "dropped": (span.dropped_attributes, span.dropped_events, span.dropped_links),
                "events": [
                    (
                        event.name,
                        {k: v for k, v in (event.attributes or {}).items() if k != "exception.stacktrace"},
                        event.dropped_attributes,
                        event.timestamp if with_user_times or event.name == "first_token" else None,
                    )
                    for event in span.events
                ],
                "links": [(link.context, dict(link.attributes or {}), link.dropped_attributes) for link in span.links],
                "status": (span.status.status_code, span.status.description),
                "scope": span.instrumentation_scope,
                "resource": dict(span.resource.attributes),
                "times": (span.start_time, span.end_time)
                if span.instrumentation_scope.name == semconv.SCOPE_NAME
                else None,
            }
        )
    return sorted(found, key=lambda one: (one["trace"], one["id"]))


class StartListener(importlib.import_module("opentelemetry.sdk.trace").SpanProcessor):  # type: ignore[misc]
    """Overrides `on_start`, so that ordinary SDK spans are made."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        """Nothing."""


def both(scenario: Callable[[], None], **options: Any) -> list[list[dict[str, Any]]]:
    """The normalised spans of a scenario in the light and in the SDK's lane."""
    found = []
    for processors in ([], [StartListener()]):
        with capture(span_processors=processors, id_generator=DeterministicIdGenerator(), **options) as captured:
            scenario()
            found.append(normalised(captured.spans()))
    return found


def assert_same(scenario: Callable[[], None], **options: Any) -> list[dict[str, Any]]:
    light, sdk = both(scenario, **options)
    for one, other in zip(light, sdk, strict=True):
        assert one == other
    return light


def test_the_suite_looks_at_two_lanes(lane: str, lane_capture: Any) -> None:
    with lane_capture(), otelext.inference("chat"):
        for span in (trace.get_current_span(), otelext.current_inference().span):
            assert isinstance(span, LightSpan if lane == "light" else SDKSpan)
        with otelext.stage("prefill"):
            assert isinstance(trace.get_current_span(), LightSpan if lane == "light" else SDKSpan)


# --- scenarios ---------------------------------------------------------------------------------------------------------


def plain(clock: Any) -> None:
    with otelext.inference("chat", model="m", provider="vllm", model_version="r1") as inf:
        inf.set_input(images=2, pages=1, pixels=100, image_tokens=30, text_tokens=4)
        clock.tick(10)
        with otelext.stage("prefill"):
            clock.tick(20)
            with otelext.stage("vision_encode"):
                clock.tick(5)
        inf.first_token()
        clock.tick(100)
        inf.add_tokens(3)
        inf.set_usage(input_tokens=34, output_tokens=4, cached_input_tokens=8)
        inf.set_response(model="m-2", finish_reasons=["stop", "length"])
        inf.set_document(type="receipt", width=10, height=20, fields=3)
        inf.set_cost(0.5)
        inf.set_attribute("user.team", "blue")


def streamed(clock: Any) -> None:
    @otelext.inference("chat", model="m", tokens=len)
    def answer() -> Iterator[str]:
        with otelext.stage("prefill"):
            clock.tick(5)
        with otelext.stage("decode"):
            for chunk in ("", "ab", "cde"):
                clock.tick(10)
                yield chunk
                clock.tick(1)

    for _ in answer():
        clock.tick(1000)


def failing(clock: Any) -> None:
    @otelext.inference("chat", model="m")
    def answer() -> Iterator[str]:
        with otelext.stage("decode"):
            clock.tick(3)
            yield "a"
            clock.tick(3)
            msg = "secret"
            raise ValueError(msg)

    with pytest.raises(ValueError, match="secret"):
        list(answer())


def renamed(clock: Any) -> None:
    with otelext.inference("chat", model="asked") as inf:
        clock.tick(1)
        inf.set_model("given", "v2")


def nested(clock: Any) -> None:
    with otelext.inference("chat", model="m"), otelext.stage("fetch"), otelext.inference("embeddings"):
        clock.tick(1)
        with otelext.stage("preprocess"):
            clock.tick(1)


def alone(clock: Any) -> None:
    with otelext.stage("fetch"):
        clock.tick(1)
        with otelext.stage("decode_image"):
            clock.tick(1)


def siblings(_: Any) -> None:
    tracer = trace.get_tracer("another.library", "1.0")
    with tracer.start_as_current_span("server"), otelext.inference("chat"):
        with tracer.start_as_current_span("http"):
            pass
        with otelext.stage("fetch"), tracer.start_as_current_span("select"), otelext.stage("preprocess"):
            pass
        with tracer.start_as_current_span("between"), otelext.stage("decode"):
            pass


def edited(_: Any) -> None:
    with otelext.inference("chat", model="m"):
        span = trace.get_current_span()
        span.set_attribute("one", 1)
        span.set_attributes({"two": [1, 2], "three": "x" * 100, "model": "kept"})
        span.set_attribute("gen_ai.request.model", "overwritten")
        span.add_event("seen", {"a": 1, "b": "y" * 100}, timestamp=5)
        span.add_event("seen again")
        span.add_link(SpanContext(5, 6, is_remote=True), {"why": "because"})
        span.add_link(trace.INVALID_SPAN_CONTEXT)
        span.set_status(StatusCode.ERROR, "bad")
        span.set_status(Status(StatusCode.UNSET))
        with otelext.stage("decode"):
            stage = trace.get_current_span()
            stage.update_name("renamed")
            stage.record_exception(KeyError("k"), {"more": 1}, timestamp=7, escaped=True)
            stage.set_status(Status(StatusCode.OK))
            stage.set_status(StatusCode.ERROR, "too late")


def user_ended(_: Any) -> None:
    with otelext.inference("chat"):
        with otelext.stage("decode"):
            trace.get_current_span().end(end_time=1_700_000_000_000_000_005)
        trace.get_current_span().end(end_time=1_700_000_000_000_000_009)


def as_context_manager(_: Any) -> None:
    with pytest.raises(RuntimeError, match="x"), otelext.inference("chat"), trace.get_current_span():
        raise RuntimeError("x")


SCENARIOS = (plain, streamed, failing, renamed, nested, alone, siblings, edited, user_ended, as_context_manager)
every_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)


@every_scenario
def test_the_spans_are_the_same(scenario: Callable[[Any], None], clock: Any) -> None:
    def run() -> None:
        clock.now = 1_000_000_000
        scenario(clock)

    assert assert_same(run, resource=Resource({"service.name": "ocr"}))


@every_scenario
def test_the_metrics_are_the_same(scenario: Callable[[Any], None], clock: Any) -> None:
    found = []
    for processors in ([], [StartListener()]):
        clock.now = 1_000_000_000
        with capture(span_processors=processors) as captured:
            scenario(clock)
            points = captured.metrics()
        found.append(
            {
                name: sorted(
                    (
                        sorted(p.attributes.items()),
                        getattr(p, "sum", getattr(p, "value", None)),
                        getattr(p, "count", None),
                    )
                    for p in points[name]
                )
                for name in points
                if not name.startswith("otelext.")
            }
        )
    assert found[0] == found[1]
    assert found[0]


LIMITS = (
    {"max_span_attributes": 3},
    {"max_span_attributes": 0},
    {"max_attributes": 5, "max_attribute_length": 7},
    {"max_span_attribute_length": 4},
    {"max_span_attribute_length": 0},
    {"max_events": 1},
    {"max_events": 0},
    {"max_links": 0},
    {"max_event_attributes": 1, "max_link_attributes": 0},
    {"max_attribute_length": 3},
)


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@every_scenario
def test_the_providers_span_limits_hold(scenario: Callable[[Any], None], clock: Any, limits: Mapping[str, int]) -> None:
    def run() -> None:
        clock.now = 1_000_000_000
        scenario(clock)

    assert_same(run, span_limits=SpanLimits(**limits))


@pytest.mark.parametrize(
    "sampler",
    [
        ALWAYS_ON,
        ALWAYS_OFF,
        ParentBased(ALWAYS_ON),
        ParentBased(ALWAYS_OFF),
        ParentBased(TraceIdRatioBased(0.5)),
        ParentBased(TraceIdRatioBased(0.0)),
        ParentBased(ALWAYS_OFF, remote_parent_sampled=ALWAYS_ON, remote_parent_not_sampled=ALWAYS_ON),
        TraceIdRatioBased(0.5),
    ],
    ids=lambda sampler: sampler.get_description(),
)
@pytest.mark.parametrize("traceparent", [None, "01", "00", "03"])
@every_scenario
def test_samplers_decide_the_same(
    scenario: Callable[[Any], None], clock: Any, sampler: Sampler, traceparent: str | None
) -> None:
    def run() -> None:
        clock.now = 1_000_000_000
        headers = {"tracestate": "vendor=1,other=2"}
        if traceparent is not None:
            headers["traceparent"] = f"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{traceparent}"
        token = attach(extract(headers))
        try:
            scenario(clock)
        finally:
            detach(token)

    assert_same(run, sampler=sampler)


class Labelling(Sampler):
    """A sampler of somebody else's, which labels what it keeps and keeps only stages."""

    def should_sample(
        self,
        parent_context: Any,
        trace_id: int,
        name: str,
        kind: Any = None,
        attributes: Any = None,
        links: Any = None,
        trace_state: Any = None,
    ) -> SamplingResult:
        decision = Decision.RECORD_AND_SAMPLE if name != "chat" else Decision.RECORD_ONLY
        return SamplingResult(decision, {**(attributes or {}), "label": name}, TraceState([("k", "v")]))

    def get_description(self) -> str:
        return "Labelling"


def test_another_sampler_is_asked_for_every_span(clock: Any) -> None:
    spans = assert_same(lambda: nested(clock), sampler=Labelling())
    assert [span["attributes"]["label"] for span in spans if span["name"] == "preprocess"] == ["preprocess"]
    with capture(sampler=Labelling()), otelext.inference("chat"):
        assert isinstance(trace.get_current_span(), SDKSpan)


def test_what_a_root_sampler_adds_is_kept(clock: Any) -> None:
    spans = assert_same(lambda: plain(clock), sampler=ParentBased(Labelling()))
    assert {span["attributes"].get("label") for span in spans if span["name"].startswith("chat")} == {"chat m"}
    assert {tuple(span["state"].items()) for span in spans} == {(("k", "v"),)}


def test_what_a_root_sampler_adds_is_cleaned(clock: Any) -> None:
    class Careless(Labelling):
        def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
            careless: Any = {"list": ["a"], "object": object(), "n": 1}
            return SamplingResult(Decision.RECORD_AND_SAMPLE, careless, None)

    spans = assert_same(lambda: plain(clock), sampler=ParentBased(Careless()))
    (chat,) = (span for span in spans if span["name"].startswith("chat"))
    assert chat["attributes"]["list"] == ("a",)


def test_a_span_that_is_recorded_but_not_sampled_has_unsampled_stages(clock: Any) -> None:
    class RecordOnly(Labelling):
        def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
            return SamplingResult(Decision.RECORD_ONLY, {}, None)

    assert assert_same(lambda: plain(clock), sampler=ParentBased(RecordOnly())) == []


class Counting(IdGenerator):
    """Ids that a user chose, not random ones."""

    def __init__(self) -> None:
        self.last = 0

    def generate_span_id(self) -> int:
        self.last += 1
        return self.last

    def generate_trace_id(self) -> int:
        self.last += 1
        return self.last << 64

    def is_trace_id_random(self) -> bool:
        return False


def test_ids_come_from_the_providers_generator(lane_capture: Any) -> None:
    with lane_capture(id_generator=Counting()) as captured:
        with otelext.inference("chat"), otelext.stage("decode"):
            pass
        spans = {span.name: span.context for span in captured.spans() if span.context}
    assert (spans["chat"].trace_id, spans["chat"].span_id, spans["decode"].span_id) == (1 << 64, 2, 3)
    assert not spans["chat"].trace_flags & 2


def test_a_random_trace_id_is_flagged_as_one(lane_capture: Any) -> None:
    with lane_capture() as captured:
        with otelext.inference("chat"), otelext.stage("decode"):
            pass
        assert {int(span.context.trace_flags) for span in captured.spans() if span.context} == {3}


def test_a_remote_parent_is_continued_and_handed_on(lane_capture: Any) -> None:
    carrier: dict[str, str] = {}
    token = attach(
        extract(
            {
                "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
                "tracestate": "vendor=1",
                "baggage": "tenant=blue",
            }
        )
    )
    try:
        with lane_capture() as captured:
            with otelext.inference("chat"), otelext.stage("fetch"):
                inject(carrier)
                assert baggage.get_baggage("tenant") == "blue"
            chat, fetch = captured.spans("chat")[0], captured.spans("fetch")[0]
    finally:
        detach(token)
    assert chat.parent is not None
    assert chat.parent.is_remote
    assert (chat.parent.trace_id, chat.parent.span_id) == (0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331)
    assert fetch.context is not None
    assert carrier["traceparent"] == f"00-0af7651916cd43dd8448eb211c80319c-{fetch.context.span_id:016x}-01"
    assert carrier["tracestate"] == "vendor=1"
    assert carrier["baggage"] == "tenant=blue"


def test_an_unsampled_inference_still_gives_every_metric(lane_capture: Any, clock: Any) -> None:
    counts = []
    for sampler in (ALWAYS_ON, ALWAYS_OFF, ParentBased(TraceIdRatioBased(0.01))):
        with lane_capture(sampler=sampler) as captured:
            for _ in range(20):
                plain(clock)
            counts.append(
                {
                    name: sum(getattr(point, "count", getattr(point, "value", 0)) for point in points)
                    for name, points in captured.metrics().items()
                    if not name.startswith("otelext.")
                }
            )
    assert counts[0] == pytest.approx(counts[1])
    assert counts[0] == pytest.approx(counts[2])
    assert counts[0]["vlm.inferences"] == 20
    assert counts[0]["vlm.stage.duration"] == 40


def test_children_of_an_unsampled_inference_are_unsampled(lane_capture: Any) -> None:
    tracer_name = "another.library"
    with lane_capture(sampler=ParentBased(ALWAYS_OFF)) as captured:
        with otelext.inference("chat"), otelext.stage("fetch"):
            parent = trace.get_current_span().get_span_context()
            with trace.get_tracer(tracer_name).start_as_current_span("select") as span:
                context = span.get_span_context()
        assert parent.is_valid
        assert context.trace_id == parent.trace_id
        assert not context.trace_flags.sampled
        assert captured.spans() == []


# --- any sequence of calls ---------------------------------------------------------------------------------------------

TEXTS = st.text("ab\u00e9", max_size=6)
VALUES: st.SearchStrategy[Any] = st.one_of(
    TEXTS,
    st.integers(-5, 5),
    st.booleans(),
    st.floats(allow_nan=False),
    st.lists(TEXTS, max_size=2),
    st.none(),
    st.just(object),
)
ATTRIBUTES = st.one_of(st.none(), st.dictionaries(TEXTS, VALUES, max_size=3))
CONTEXTS = st.sampled_from(
    [
        SpanContext(1, 2, is_remote=False),
        SpanContext(1, 3, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("a", "b")])),
        trace.INVALID_SPAN_CONTEXT,
        SpanContext(0, 0, is_remote=False, trace_state=TraceState([("a", "b")])),
    ]
)
STATUSES: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from(list(StatusCode)), st.sampled_from([Status(code) for code in StatusCode]), st.just("nonsense")
)
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("set_attribute"), TEXTS, VALUES),
        st.tuples(st.just("set_attributes"), st.dictionaries(TEXTS, VALUES, max_size=3)),
        st.tuples(st.just("add_event"), TEXTS, ATTRIBUTES, st.just(9)),
        st.tuples(st.just("add_link"), CONTEXTS, ATTRIBUTES),
        st.tuples(st.just("update_name"), TEXTS),
        st.tuples(st.just("set_status"), STATUSES),
        st.tuples(st.just("set_status"), STATUSES, TEXTS),
        st.tuples(st.just("record_exception"), st.just(ValueError("x")), ATTRIBUTES, st.just(9), st.booleans()),
        st.tuples(st.just("end"), st.just(1_700_000_000_000_000_001)),
        st.tuples(st.just("is_recording")),
    ),
    max_size=8,
)
SMALL = st.one_of(st.none(), st.integers(0, 3))
ANY_LIMITS = st.builds(
    SpanLimits,
    max_span_attributes=SMALL,
    max_events=SMALL,
    max_links=SMALL,
    max_event_attributes=SMALL,
    max_link_attributes=SMALL,
    max_attribute_length=SMALL,
    max_span_attribute_length=SMALL,
)


@given(calls=CALLS, limits=ANY_LIMITS, on_stage=st.booleans())
def test_whatever_is_called_on_a_span_gives_the_same(calls: list[Any], limits: SpanLimits, on_stage: bool) -> None:
    observed: list[list[Any]] = []

    def scenario() -> None:
        seen: list[Any] = []
        observed.append(seen)
        with otelext.inference("chat", model="m"), otelext.stage("decode"):
            span: Any = trace.get_current_span()
            if not on_stage:
                span = otelext.current_inference().span
            for name, *args in calls:
                try:
                    seen.append(getattr(span, name)(*args))
                except Exception as error:  # noqa: BLE001  # whatever the SDK's span raises
                    seen.append(type(error))
                seen.append((span.name, dict(span.attributes), span.is_recording(), span.parent, span.start_time))

    light, sdk = both(scenario, span_limits=limits)
    assert light == sdk
    assert observed[0] == observed[1]


def test_the_light_span_is_a_span_of_the_api() -> None:
    with capture() as captured:
        with otelext.inference("chat"):
            span: Any = trace.get_current_span()
            assert isinstance(span, trace.Span)
            assert isinstance(span, LightSpan)
            assert span.context == span.get_span_context()
            assert span.kind is trace.SpanKind.INTERNAL
            assert not hasattr(span, "__dict__")
            public = {name for name in dir(trace.Span) if not name.startswith("_")}
            assert public <= set(dir(span))
        assert repr(captured.spans("chat")[0].context) == repr(span.context)
        assert not isinstance(span, NonRecordingSpan)
    assert Link(span.context).context is span.context
