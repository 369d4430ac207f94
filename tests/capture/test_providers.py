"""Capture on every kind of provider: none, disabled, a third party's, the SDK's set late or changed on the way."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.metrics import _internal as metrics_globals
from opentelemetry.sdk.environment_variables import OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, SpanProcessor, SynchronousMultiSpanProcessor
from opentelemetry.sdk.trace import Span as SDKSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, StatusCode, TraceFlags
from opentelemetry.util._once import Once

import otelext
from otelext.capture.binding import current_binding, rebind
from otelext.capture.span import Span as LightSpan
from otelext.testing import capture

if TYPE_CHECKING:
    from collections.abc import Iterator


def is_light() -> bool:
    with otelext.inference("chat"):
        span: object = trace.get_current_span()
        assert isinstance(span, (LightSpan, SDKSpan))
        return isinstance(span, LightSpan)


class PassiveProcessor(SpanProcessor):
    """Inherits both hooks that run before the end."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def on_end(self, span: Any) -> None:
        self.ended.append(span.name)


class StartListener(SpanProcessor):
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        span.set_attribute("seen", True)


class EndingListener(SpanProcessor):
    def _on_ending(self, span: Any) -> None:
        span._attributes._dict["seen"] = True


class BatchSubclass(BatchSpanProcessor):
    def on_start(self, span: Any, parent_context: Any = None) -> None:
        span.set_attribute("seen", True)


def test_processors_that_ignore_the_start_leave_the_light_lane_open() -> None:
    passive = PassiveProcessor()
    exporter = InMemorySpanExporter()
    batch = BatchSpanProcessor(exporter)
    with capture(span_processors=[passive, batch]) as captured:
        assert is_light()
        captured.tracer_provider.force_flush()
        assert [span.name for span in exporter.get_finished_spans()] == ["chat"]
        assert passive.ended == ["chat"]
    batch.shutdown()


@pytest.mark.parametrize("multi", [SynchronousMultiSpanProcessor, ConcurrentMultiSpanProcessor])
def test_processors_are_found_through_the_multi_processors(multi: Any) -> None:
    inner, exporter = multi(), InMemorySpanExporter()
    inner.add_span_processor(SimpleSpanProcessor(exporter))
    with capture(span_processors=[inner]):
        assert is_light()
        inner.add_span_processor(StartListener())  # deep inside, later
        assert not is_light()
        otelext.force_flush()
        assert sorted("seen" in (s.attributes or {}) for s in exporter.get_finished_spans()) == [False, True]
    inner.shutdown()


@pytest.mark.parametrize("kind", [StartListener, EndingListener, lambda: BatchSubclass(InMemorySpanExporter())])
def test_a_processor_added_later_switches_the_lane(kind: Any) -> None:
    with capture() as captured:
        assert is_light()
        processor = kind()
        captured.tracer_provider.add_span_processor(processor)
        assert not is_light()
        assert sorted("seen" in (s.attributes or {}) for s in captured.spans()) == [False, True]
        processor.shutdown()


def test_a_lane_that_switches_within_an_inference_does_so_with_the_next() -> None:
    with capture() as captured:
        with otelext.inference("chat"):
            captured.tracer_provider.add_span_processor(StartListener())
            with otelext.stage("decode"):
                span: object = trace.get_current_span()
                assert isinstance(span, LightSpan)
        assert not is_light()
        assert sorted(span.name for span in captured.spans()) == ["chat", "chat", "decode"]


def test_the_sdks_own_metrics_need_its_own_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED, "true")
    with capture():
        assert not is_light()


def test_a_tracer_that_is_switched_off_records_nothing_but_metrics() -> None:
    from opentelemetry.sdk.trace import _disable_tracer_configurator

    with capture() as captured:
        captured.tracer_provider._set_tracer_configurator(tracer_configurator=_disable_tracer_configurator)
        with otelext.inference("chat"), otelext.stage("decode"):
            assert not trace.get_current_span().is_recording()
        assert captured.spans() == []
        assert captured.value("vlm.inferences") == 1
        assert captured.value("vlm.stage.duration") == 1


# --- providers that are not the SDK's -----------------------------------------------------------------------------------


class ForeignSpan(trace.Span):
    """A third party's span: it notes what is done to it."""

    def __init__(self, name: str, number: int, parent: SpanContext | None) -> None:
        self.name = name
        self.parent = parent
        self.calls: list[tuple[Any, ...]] = []
        self._context = SpanContext(7, number, is_remote=False, trace_flags=TraceFlags(1))

    def get_span_context(self) -> SpanContext:
        return self._context

    def is_recording(self) -> bool:
        return "end" not in [call[0] for call in self.calls]

    def set_attribute(self, key: str, value: Any) -> None:
        self.calls.append(("attribute", key, value))

    def set_attributes(self, attributes: Any) -> None:
        self.calls.extend(("attribute", key, value) for key, value in attributes.items())

    def add_event(self, name: str, attributes: Any = None, timestamp: int | None = None) -> None:
        self.calls.append(("event", name))

    def update_name(self, name: str) -> None:
        self.name = name

    def set_status(self, status: Any, description: str | None = None) -> None:
        self.calls.append(("status", status))

    def record_exception(self, *_: Any, **__: Any) -> None:
        self.calls.append(("exception",))

    def end(self, end_time: int | None = None) -> None:
        self.calls.append(("end", end_time))


class ForeignTracer(trace.Tracer):
    def __init__(self) -> None:
        self.spans: list[ForeignSpan] = []

    def start_span(self, name: str, context: Any = None, *_: Any, **__: Any) -> ForeignSpan:
        parent = trace.get_current_span(context).get_span_context()
        self.spans.append(ForeignSpan(name, len(self.spans) + 1, parent if parent.is_valid else None))
        return self.spans[-1]

    def start_as_current_span(self, name: str, *_: Any, **__: Any) -> Any:
        raise NotImplementedError


class ForeignProvider(trace.TracerProvider):
    def __init__(self, tracer: trace.Tracer) -> None:
        self.tracer = tracer

    def get_tracer(self, *_: Any, **__: Any) -> trace.Tracer:
        return self.tracer


@pytest.fixture
def no_providers() -> Iterator[None]:
    """A process in which nobody has set a provider."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trace, "_TRACER_PROVIDER", None)
        patched.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
        patched.setattr(metrics_globals, "_METER_PROVIDER", None)
        patched.setattr(metrics_globals, "_METER_PROVIDER_SET_ONCE", Once())
        rebind()
        yield
    rebind()


@otelext.inference("chat", model="m")
def answer() -> Iterator[str]:
    with otelext.stage("decode"):
        yield "a"
        yield "b"


@pytest.mark.usefixtures("no_providers")
def test_without_providers_everything_runs_and_reads() -> None:
    seen = []
    for chunk in answer():
        seen.append(chunk)
        assert not trace.get_current_span().get_span_context().is_valid
    assert seen == ["a", "b"]
    with otelext.inference("chat") as inf:
        inf.add_tokens(2)
        with otelext.stage("decode"):
            pass
    assert inf.outcome == "completed"
    assert inf.ttft is not None
    assert inf.output_tokens == 2
    assert current_binding().submit is None


@pytest.mark.usefixtures("no_providers")
def test_providers_that_are_set_later_are_found() -> None:
    list(answer())
    with capture() as captured:
        list(answer())
        assert [span.name for span in captured.spans()] == ["decode", "chat m"]
    with capture() as other:
        list(answer())
        assert len(other.spans()) == 2
    assert len(captured.spans()) == 2


@pytest.mark.usefixtures("no_providers")
def test_an_inference_that_runs_while_a_provider_is_set_keeps_its_own() -> None:
    running = answer()
    next(running)
    with capture() as captured:
        list(running)
        assert captured.spans() == []
        list(answer())
        assert len(captured.spans()) == 2


@pytest.mark.usefixtures("no_providers")
def test_a_third_partys_tracer_gets_every_span_through_the_api() -> None:
    tracer = ForeignTracer()
    trace.set_tracer_provider(ForeignProvider(tracer))
    assert list(answer()) == ["a", "b"]
    chat, decode = tracer.spans
    assert (chat.name, decode.name) == ("chat m", "decode")
    assert decode.parent == chat.get_span_context()
    assert ("attribute", "vlm.outcome", "completed") in chat.calls
    assert ("event", "first_token") in chat.calls
    for span in tracer.spans:
        assert [call[0] for call in span.calls].count("end") == 1
        assert span.calls[-1][0] == "end"


@pytest.mark.usefixtures("no_providers")
def test_a_third_partys_tracer_is_told_of_errors() -> None:
    tracer = ForeignTracer()
    trace.set_tracer_provider(ForeignProvider(tracer))
    with pytest.raises(ValueError, match="secret"), otelext.inference("chat"):
        raise ValueError("secret")
    calls = tracer.spans[0].calls
    assert ("attribute", "error.type", "ValueError") in calls
    assert any(call[0] == "status" and call[1] is StatusCode.ERROR for call in calls)
    assert "secret" not in str(calls)


def test_a_third_partys_tracer_beside_the_sdks_meters(monkeypatch: pytest.MonkeyPatch) -> None:
    tracer = ForeignTracer()
    with capture() as captured, monkeypatch.context() as patched:
        patched.setattr(trace, "_TRACER_PROVIDER", ForeignProvider(tracer))
        assert list(answer()) == ["a", "b"]
        assert captured.value("vlm.inferences", vlm_outcome="completed") == 1
    assert len(tracer.spans) == 2


class Raising:
    """Every attribute is a call that raises."""

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("__"):
            return object.__getattribute__(self, name)
        raise RuntimeError(name)


class RaisingSpan(ForeignSpan):
    def is_recording(self) -> bool:
        raise RuntimeError

    set_attribute = set_attributes = add_event = end = set_status = update_name = None  # type: ignore[assignment]


class RaisingTracer(ForeignTracer):
    def __init__(self, *, at_start: bool) -> None:
        super().__init__()
        self.at_start = at_start

    def start_span(self, name: str, context: Any = None, *_: Any, **__: Any) -> ForeignSpan:
        if self.at_start:
            raise RuntimeError(name)
        return RaisingSpan(name, 5, None)


@pytest.mark.parametrize("at_start", [True, False])
def test_a_tracer_that_raises_costs_neither_the_request_nor_its_metrics(
    monkeypatch: pytest.MonkeyPatch, at_start: bool
) -> None:
    with capture() as captured, monkeypatch.context() as patched:
        patched.setattr(trace, "_TRACER_PROVIDER", ForeignProvider(RaisingTracer(at_start=at_start)))
        assert list(answer()) == ["a", "b"]
        with otelext.inference("chat") as inf:
            inf.set_attribute("a", 1)
            with otelext.inference("embeddings"), otelext.stage("decode"):
                pass
        with pytest.raises(KeyError), otelext.stage("fetch"):
            raise KeyError
        assert captured.value("vlm.inferences", vlm_outcome="completed") == 3
        assert captured.value("vlm.stage.duration") == 4


class RaisingProcessor(SpanProcessor):
    """Fails at the start or at the end of each span."""

    def __init__(self, *, at_start: bool) -> None:
        self.at_start = at_start

    def on_end(self, span: Any) -> None:
        if not self.at_start:
            raise RuntimeError("end")


class RaisingStarter(RaisingProcessor):
    """The same, in the SDK's lane."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        if self.at_start:
            raise RuntimeError("start")


@pytest.mark.parametrize(
    "processor",
    [RaisingProcessor(at_start=False), RaisingStarter(at_start=False), RaisingStarter(at_start=True)],
    ids=["light, at the end", "sdk, at the end", "sdk, at the start"],
)
def test_a_processor_that_raises_costs_neither_the_request_nor_its_metrics(processor: SpanProcessor) -> None:
    with capture(span_processors=[processor]) as captured:
        assert list(answer()) == ["a", "b"]
        assert captured.value("vlm.inferences", vlm_outcome="completed") == 1
        assert captured.value("vlm.stage.duration") == 1


@pytest.mark.parametrize("meters", [True, False])
def test_a_provider_that_cannot_be_asked_costs_no_request(monkeypatch: pytest.MonkeyPatch, meters: bool) -> None:
    with capture(), monkeypatch.context() as patched:
        if meters:
            patched.setattr(metrics_globals, "_METER_PROVIDER", Raising())
        else:
            patched.setattr(trace, "_TRACER_PROVIDER", Raising())
        assert list(answer()) == ["a", "b"]
        rebind()


# --- what only a new process can tell -----------------------------------------------------------------------------------


def run_python(code: str, **environment: str) -> str:
    import os

    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


USE = """
    import asyncio, sys
    import otelext
    from opentelemetry import trace, metrics

    @otelext.inference("chat", model="m")
    async def answer():
        with otelext.stage("decode"):
            yield "a"

    async def read():
        return [chunk async for chunk in answer()]

    assert asyncio.run(read()) == ["a"]
    with otelext.inference("chat") as inf, inf.stage("fetch"):
        inf.add_tokens(1)
    print(inf.outcome, otelext.force_flush())
"""


def test_without_an_sdk_nothing_of_it_is_loaded() -> None:
    out = run_python(USE + "\n    print([m for m in sys.modules if m.startswith('opentelemetry.sdk')])")
    assert out.split("\n")[:2] == ["completed True", "[]"]


def test_a_third_partys_provider_loads_no_sdk() -> None:
    code = """
    from opentelemetry import trace
    class Provider(trace.TracerProvider):
        def get_tracer(self, *args, **kwargs): return Tracer()
    class Tracer(trace.Tracer):
        def start_span(self, name, *args, **kwargs): return trace.NonRecordingSpan(trace.SpanContext(1, 2, False))
        def start_as_current_span(self, *args, **kwargs): ...
    trace.set_tracer_provider(Provider())
    """
    out = run_python(
        textwrap.dedent(code)
        + textwrap.dedent(USE)
        + "print([m for m in sys.modules if m.startswith('opentelemetry.sdk')])"
    )
    assert out.split("\n")[:2] == ["completed True", "[]"]


def test_a_disabled_sdk_costs_nothing_and_breaks_nothing() -> None:
    code = """
    from opentelemetry import trace, metrics
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.metrics import MeterProvider
    trace.set_tracer_provider(TracerProvider())
    metrics.set_meter_provider(MeterProvider())
    """
    check = """
    from otelext.capture.binding import current_binding
    import threading
    print(current_binding().submit, [t.name for t in threading.enumerate() if "otelext" in t.name])
    """
    out = run_python(textwrap.dedent(code) + textwrap.dedent(USE) + textwrap.dedent(check), OTEL_SDK_DISABLED="true")
    assert out.split("\n")[:2] == ["completed True", "None []"]
