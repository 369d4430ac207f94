"""Other libraries' GenAI spans, as they really look, become the catalogue's metrics exactly once."""

from __future__ import annotations

import gc
import os
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import default_getter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ConcurrentMultiSpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import otelext
from otelext.processors.genai import GenAISpanProcessor
from otelext.processors.lineage import LINEAGE
from otelext.testing import capture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Tracer

    from otelext.testing import Captured

DURATION = "gen_ai.server.request.duration"
TTFT = "gen_ai.server.time_to_first_token"
TPOT = "gen_ai.server.time_per_output_token"
STAGE_TIME = "vlm.time_to_first_token.stage_time"

CHAT = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "acme", "gen_ai.request.model": "m"}
USAGE = {"gen_ai.usage.input_tokens": 7, "gen_ai.usage.output_tokens": 5}
MS = 1_000_000


def foreign(captured: Captured, scope: str = "acme.instrumentation") -> Tracer:
    return captured.tracer_provider.get_tracer(scope)


def chat(tracer: Tracer, attributes: Mapping[str, Any] | None = None, **given: Any) -> trace.Span:
    """A started span as the official instrumentations make it; not current."""
    return tracer.start_span("chat m", kind=SpanKind.CLIENT, attributes={**CHAT, **(attributes or {})}, **given)


def vllm_request(
    captured: Captured, context: Context | None = None, changed: Mapping[str, Any] | None = None
) -> trace.Span:
    """A request span as vLLM makes it: afterwards, by its arrival time, with every attribute at once."""
    attributes: dict[str, Any] = {
        "gen_ai.latency.time_to_first_token": 0.5,
        "gen_ai.latency.e2e": 2.5,
        "gen_ai.latency.time_in_queue": 0.1,
        "gen_ai.usage.prompt_tokens": 1000,
        "gen_ai.usage.completion_tokens": 21,
        "gen_ai.latency.time_in_model_prefill": 0.3,
        "gen_ai.latency.time_in_model_decode": 2.0,
        "gen_ai.latency.time_in_model_inference": 2.3,
        "gen_ai.request.id": "cmpl-1",
        "gen_ai.response.model": "qwen2.5-vl-7b",
    }
    attributes.update(changed or {})
    attributes = {key: value for key, value in attributes.items() if value is not None}
    span = foreign(captured, "vllm.llm_engine").start_span("llm_request", context, kind=SpanKind.SERVER)
    span.set_attributes(attributes)
    span.end()
    return span


def points(captured: Captured, metric: str) -> dict[frozenset[tuple[str, str]], Any]:
    return {frozenset(point.attributes.items()): point for point in captured.metrics().get(metric, [])}


# --- what is read ---------------------------------------------------------------------------------


def test_a_request_span_of_vllm_gives_every_figure_that_it_carries(captured: Captured) -> None:
    vllm_request(captured)
    model = ("gen_ai.request.model", "qwen2.5-vl-7b")
    named = {model, ("gen_ai.provider.name", "vllm")}
    (duration,) = points(captured, DURATION).items()
    assert duration[0] == named | {("vlm.outcome", "completed")}
    assert duration[1].sum == 2.5
    (ttft,) = points(captured, TTFT).items()
    assert ttft[0] == named
    assert ttft[1].sum == 0.5
    (tpot,) = points(captured, TPOT).items()
    assert tpot[0] == named
    assert tpot[1].sum == pytest.approx(2.0 / 20)
    assert captured.value("vlm.inferences", gen_ai_request_model="qwen2.5-vl-7b", vlm_outcome="completed") == 1
    assert captured.value("vlm.tokens", gen_ai_token_type="input") == 1000
    assert captured.value("vlm.tokens", gen_ai_token_type="output") == 21


def test_the_engines_stages_part_its_time_to_first_token(captured: Captured) -> None:
    vllm_request(captured)
    parts = {dict(key)["vlm.stage"]: point.value for key, point in points(captured, STAGE_TIME).items()}
    assert parts == pytest.approx({"queue": 0.1, "prefill": 0.3, "unattributed": 0.1})
    stages = {dict(key)["vlm.stage"]: point.sum for key, point in points(captured, "vlm.stage.duration").items()}
    assert stages == pytest.approx({"queue": 0.1, "prefill": 0.3, "decode": 2.0})


def test_stages_longer_than_the_time_to_first_token_are_cut_to_it(captured: Captured) -> None:
    vllm_request(captured, changed={"gen_ai.latency.time_in_queue": 0.4})
    parts = {dict(key)["vlm.stage"]: point.value for key, point in points(captured, STAGE_TIME).items()}
    assert parts == pytest.approx({"queue": 0.4, "prefill": 0.1, "unattributed": 0.0})


def test_an_engine_that_generated_nothing_has_no_first_token(captured: Captured) -> None:
    vllm_request(captured, changed={"gen_ai.usage.completion_tokens": 0})
    assert captured.value("vlm.inferences") == 1
    assert captured.value(TTFT) == captured.value(TPOT) == 0


def test_a_single_token_has_no_pace(captured: Captured) -> None:
    vllm_request(captured, changed={"gen_ai.usage.completion_tokens": 1})
    assert captured.value(TTFT) == 1
    assert captured.value(TPOT) == 0


@pytest.mark.parametrize("nonsense", [-1.0, float("nan"), float("inf"), "0.5", True])
def test_a_latency_that_is_none_counts_as_not_told(captured: Captured, nonsense: object) -> None:
    vllm_request(captured, changed={"gen_ai.latency.time_to_first_token": nonsense, "gen_ai.latency.e2e": None})
    assert captured.value("vlm.inferences") == 1
    assert captured.value(TTFT) == 0


def test_the_conventions_time_to_first_chunk_is_the_time_to_first_token(captured: Captured) -> None:
    span = chat(foreign(captured), start_time=0)
    span.set_attributes({**USAGE, "gen_ai.response.time_to_first_chunk": 0.25})
    span.end(1250 * MS)
    assert points(captured, TTFT).popitem()[1].sum == 0.25
    assert points(captured, TPOT).popitem()[1].sum == pytest.approx(0.25)  # one second for four tokens


@pytest.mark.parametrize("event", ["llm.content.completion.chunk", "gen_ai.content.completion.chunk"])
def test_events_of_streamed_chunks_give_first_and_last_token(captured: Captured, event: str) -> None:
    span = chat(foreign(captured), USAGE, start_time=0)
    span.add_event("something.else", timestamp=MS)
    for at in (100, 200, 500):
        span.add_event(event, timestamp=at * MS)
    span.end(9000 * MS)
    assert points(captured, TTFT).popitem()[1].sum == pytest.approx(0.1)
    assert points(captured, TPOT).popitem()[1].sum == pytest.approx(0.4 / 4)


def test_chunk_events_whose_first_was_dropped_say_nothing(captured: Captured) -> None:
    span = chat(foreign(captured), USAGE, start_time=0)
    for at in range(200):  # the SDK keeps the last 128 events
        span.add_event("llm.content.completion.chunk", timestamp=at * MS)
    span.end(9000 * MS)
    assert captured.value("vlm.inferences") == 1
    assert captured.value(TTFT) == captured.value(TPOT) == 0


def test_older_names_are_understood(captured: Captured) -> None:
    span = foreign(captured).start_span("openai.chat")
    span.set_attributes(
        {
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-x",
            "gen_ai.usage.prompt_tokens": 3,
            "gen_ai.usage.completion_tokens": 4,
        }
    )
    span.end()
    assert captured.value(DURATION, gen_ai_provider_name="openai", gen_ai_request_model="gpt-x") == 1
    assert captured.value("vlm.tokens", gen_ai_token_type="input") == 3
    assert captured.value("vlm.tokens", gen_ai_token_type="output") == 4


def test_image_tokens_are_counted_apart(captured: Captured) -> None:
    chat(foreign(captured), {**USAGE, "gen_ai.usage.image.input_tokens": 6}).end()
    assert captured.value("vlm.image_tokens", gen_ai_request_model="m") == 6


@pytest.mark.parametrize("operation", ["chat", "text_completion", "generate_content"])
def test_requests_to_a_model_count(captured: Captured, operation: str) -> None:
    chat(foreign(captured), {"gen_ai.operation.name": operation}).end()
    assert captured.value(DURATION, gen_ai_operation_name=operation) == 1


@pytest.mark.parametrize(
    "operation", ["embeddings", "execute_tool", "invoke_agent", "create_agent", "retrieval", "invoke_workflow"]
)
def test_other_operations_are_no_inference(captured: Captured, operation: str) -> None:
    chat(foreign(captured), {**USAGE, "gen_ai.operation.name": operation}).end()
    assert captured.value("vlm.inferences") == 0
    assert captured.value("vlm.tokens") == 0


def test_spans_that_are_no_genai_spans_count_nothing(captured: Captured) -> None:
    with foreign(captured).start_as_current_span("GET /", attributes={"http.request.method": "GET"}):
        pass
    embedding = foreign(captured).start_span("openai.embeddings")
    embedding.set_attribute("gen_ai.usage.prompt_tokens", 9)
    embedding.end()
    assert captured.value("vlm.inferences") == 0


@pytest.mark.parametrize(
    ("error_type", "outcome", "kept"),
    [
        ("ValueError", "error", "ValueError"),
        ("openai.APITimeoutError", "timeout", "openai.APITimeoutError"),
        ("TimeoutError", "timeout", "TimeoutError"),
        ("httpx.ReadTimeout", "timeout", "httpx.ReadTimeout"),
        ("500", "error", "500"),
        ("asyncio.exceptions.CancelledError", "cancelled", None),
        ("GeneratorExit", "abandoned", None),
    ],
)
def test_the_outcome_follows_the_type_of_the_error(
    captured: Captured, error_type: str, outcome: str, kept: str | None
) -> None:
    span = chat(foreign(captured), {**USAGE, "gen_ai.response.time_to_first_chunk": 0.1})
    span.set_attribute("error.type", error_type)
    span.set_status(Status(StatusCode.ERROR, "words of a document"))
    span.end()
    ((attributes, _),) = points(captured, DURATION).items()
    assert dict(attributes)["vlm.outcome"] == outcome
    assert dict(attributes).get("error.type") == kept
    assert captured.value("vlm.tokens", vlm_outcome=outcome) == 12  # wasted, and counted as such
    assert captured.value(TTFT) == captured.value(TPOT) == 0


def test_an_error_without_a_type_takes_it_from_the_exception_or_names_none(captured: Captured) -> None:
    with pytest.raises(KeyError), foreign(captured).start_as_current_span("chat m", attributes=CHAT):
        raise KeyError
    assert captured.value(DURATION, error_type="KeyError", vlm_outcome="error") == 1
    span = chat(foreign(captured))
    span.set_status(StatusCode.ERROR)
    span.end()
    errors = {dict(key).get("error.type") for key in points(captured, DURATION)}
    assert errors == {"KeyError", "_OTHER"}


def test_an_exemplar_points_to_the_foreign_span(captured: Captured) -> None:
    context = vllm_request(captured).get_span_context()
    collected = captured.metrics()
    for metric in (DURATION, TTFT, TPOT):
        (point,) = collected[metric]
        (exemplar,) = point.exemplars
        assert (exemplar.trace_id, exemplar.span_id) == (context.trace_id, context.span_id)


# --- exactly once ---------------------------------------------------------------------------------


def test_a_span_inside_an_open_inference_adds_nothing(captured: Captured) -> None:
    with otelext.inference("chat", model="m"), otelext.stage("prefill"):
        chat(foreign(captured), USAGE).end()
        vllm_request(captured)
    assert captured.value("vlm.inferences") == 1
    assert captured.value("vlm.tokens") == 0
    assert captured.value(TTFT) == 0


def test_a_span_far_below_an_open_inference_adds_nothing(captured: Captured) -> None:
    tracer = foreign(captured)
    with (
        otelext.inference("chat", model="m"),
        tracer.start_as_current_span("a tool"),
        tracer.start_as_current_span("its step"),
    ):
        chat(tracer, USAGE).end()
    assert captured.value("vlm.inferences") == 1


def test_a_span_that_ends_after_its_inference_adds_nothing(captured: Captured) -> None:
    with otelext.inference("chat", model="m"):
        late = chat(foreign(captured), USAGE)
    late.end()
    assert captured.value("vlm.inferences") == 1


def test_a_span_after_an_inference_counts(captured: Captured) -> None:
    with otelext.inference("chat", model="m"):
        kept = trace.set_span_in_context(trace.get_current_span())
    chat(foreign(captured), USAGE, context=kept).end()  # below the inference's span, but it is over
    assert captured.value("vlm.inferences") == 2


def test_a_span_inside_a_stage_outside_of_any_inference_counts(captured: Captured) -> None:
    with otelext.stage("prefill"):
        chat(foreign(captured), USAGE).end()
    assert captured.value("vlm.inferences") == 1


def test_a_span_around_an_inference_adds_nothing(captured: Captured) -> None:
    tracer = foreign(captured)
    with trace.use_span(chat(tracer, USAGE), end_on_exit=True), otelext.inference("chat", model="m") as inf:
        inf.first_token()
        inf.set_usage(input_tokens=2, output_tokens=3)
    assert captured.value("vlm.inferences") == 1
    assert captured.value("vlm.tokens") == 5
    assert captured.value(TTFT) == 1


def test_a_span_far_above_an_inference_adds_nothing(captured: Captured) -> None:
    tracer = foreign(captured)
    with (
        trace.use_span(chat(tracer, USAGE), end_on_exit=True),
        tracer.start_as_current_span("a tool"),
        otelext.stage("fetch"),
        tracer.start_as_current_span("its step"),
        otelext.inference("chat", model="m"),
    ):
        pass
    assert captured.value("vlm.inferences") == 1
    assert captured.value("vlm.tokens") == 0


def test_a_span_that_ends_before_the_inference_inside_adds_nothing(captured: Captured) -> None:
    around = chat(foreign(captured), USAGE)
    with trace.use_span(around), otelext.inference("chat", model="m"):
        around.end()
        otelext.force_flush()
    assert captured.value("vlm.inferences") == 1
    assert captured.value("vlm.tokens") == 0


def test_the_span_between_may_be_gone_when_the_inference_ends(captured: Captured) -> None:
    tracer = foreign(captured)
    around = chat(tracer, USAGE)
    with trace.use_span(around):
        between = tracer.start_span("a step")
        with trace.use_span(between):
            running = otelext.inference("chat", model="m")
            inf = running.__enter__()
        between.end()
        del between
        gc.collect()
        running.__exit__(None, None, None)
    around.end()
    assert inf.outcome == "completed"
    assert captured.value("vlm.inferences") == 1


def test_every_inference_inside_a_span_counts_and_the_span_does_not(captured: Captured) -> None:
    with trace.use_span(chat(foreign(captured), USAGE), end_on_exit=True):
        for _ in range(3):
            with otelext.inference("chat", model="m"):
                pass
    assert captured.value("vlm.inferences") == 3


def test_spans_beside_each_other_count_each(captured: Captured) -> None:
    tracer = foreign(captured)
    with tracer.start_as_current_span("agent", attributes={"gen_ai.operation.name": "invoke_agent"}):
        chat(tracer, USAGE).end()
        with otelext.inference("chat", model="m"):
            pass
        chat(tracer, USAGE).end()
    assert captured.value("vlm.inferences") == 3


def test_nested_foreign_spans_count_once_with_the_figures_of_the_innermost(captured: Captured) -> None:
    framework, client = foreign(captured, "framework"), foreign(captured, "client")
    with trace.use_span(chat(framework, {**USAGE, "gen_ai.request.model": "outer"}), end_on_exit=True):
        inner = chat(client, {"gen_ai.usage.input_tokens": 70, "gen_ai.usage.output_tokens": 50})
        inner.end()
    assert captured.value("vlm.inferences") == captured.value("vlm.inferences", gen_ai_request_model="m") == 1
    assert captured.value("vlm.tokens") == 120


def test_what_only_the_outer_span_tells_is_taken_from_it(captured: Captured) -> None:
    framework, client = foreign(captured, "framework"), foreign(captured, "client")
    outer = chat(framework, {**USAGE, "gen_ai.response.time_to_first_chunk": 0.1}, start_time=0)
    with trace.use_span(outer):
        for _ in range(2):  # a call and its second try
            chat(client).end()
    outer.end(1100 * MS)
    assert captured.value("vlm.inferences") == captured.value(DURATION) == 2
    assert captured.value("vlm.tokens") == 12
    assert captured.value(TTFT) == captured.value(TPOT) == 1


def test_an_inner_span_that_ends_last_adds_only_what_the_outer_did_not_tell(captured: Captured) -> None:
    framework, client = foreign(captured, "framework"), foreign(captured, "client")
    outer = chat(framework)
    inner = chat(client, USAGE, context=trace.set_span_in_context(outer))
    outer.end()
    inner.end()
    assert captured.value("vlm.inferences") == 1
    assert captured.value("vlm.tokens") == 12


def test_trace_headers_within_the_process_are_followed(captured: Captured) -> None:
    """An engine that gets the caller's trace headers names its parent by id alone."""
    propagator = TraceContextTextMapPropagator()

    def carried() -> Context:
        headers: dict[str, str] = {}
        propagator.inject(headers)
        return propagator.extract(headers, Context(), default_getter)

    with otelext.inference("chat", model="m"):
        vllm_request(captured, carried())
        with otelext.stage("prefill"):
            vllm_request(captured, carried())
        with trace.use_span(foreign(captured).start_span("POST", context=carried()), end_on_exit=True):
            vllm_request(captured, carried())
    assert captured.value("vlm.inferences") == 1
    with trace.use_span(chat(foreign(captured), USAGE), end_on_exit=True):
        answered = otelext.inference("chat", model="m")
        thread_context = carried()

        def serve() -> None:
            with (
                trace.use_span(foreign(captured).start_span("POST", context=thread_context), end_on_exit=True),
                answered,
            ):
                pass

        thread = threading.Thread(target=serve)
        thread.start()
        thread.join()
    assert captured.value("vlm.inferences") == 2


def test_spans_of_other_processes_count(captured: Captured) -> None:
    remote = TraceContextTextMapPropagator().extract(
        {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}, Context()
    )
    with otelext.inference("chat", model="m"):
        vllm_request(captured, remote)
    assert captured.value("vlm.inferences") == 2


def test_the_processor_on_a_provider_twice_counts_once(captured: Captured) -> None:
    captured.tracer_provider.add_span_processor(GenAISpanProcessor())
    chat(foreign(captured), USAGE).end()
    assert captured.value("vlm.inferences") == 1
    assert captured.value("vlm.tokens") == 12


def test_a_span_that_began_before_the_processor_was_there_adds_nothing() -> None:
    with capture() as captured:
        tracer = foreign(captured)
        with trace.use_span(chat(tracer, USAGE), end_on_exit=True), otelext.inference("chat", model="m"):
            pass
        assert captured.value("vlm.inferences") == 1
        chat(tracer, USAGE).end()
        assert captured.value("vlm.inferences") == 2


def test_processors_called_from_a_pool_of_threads_count_the_same() -> None:
    with capture() as captured:
        provider = TracerProvider(
            active_span_processor=ConcurrentMultiSpanProcessor(num_threads=2), shutdown_on_exit=False
        )
        trace._TRACER_PROVIDER = provider
        provider.add_span_processor(GenAISpanProcessor())
        provider.add_span_processor(SimpleSpanProcessor(InMemorySpanExporter()))
        tracer = provider.get_tracer("acme")
        chat(tracer, USAGE).end()
        assert captured.value("vlm.inferences") == 1
        with otelext.inference("chat", model="m"), otelext.stage("prefill"):
            chat(tracer, USAGE).end()
        assert captured.value("vlm.inferences") == 2
        with trace.use_span(chat(tracer, USAGE), end_on_exit=True), otelext.inference("chat", model="m"):
            pass
        assert captured.value("vlm.inferences") == 3
        provider.shutdown()


# --- a good guest ---------------------------------------------------------------------------------


def test_unsampled_foreign_spans_reach_no_processor_and_add_nothing() -> None:
    with capture(sampler=ALWAYS_OFF, span_processors=[GenAISpanProcessor()]) as captured:
        chat(foreign(captured), USAGE).end()
        with otelext.inference("chat", model="m"):
            chat(foreign(captured), USAGE).end()
        assert captured.value("vlm.inferences") == 1


def test_attaching_adds_no_second_processor_and_puts_the_users_first() -> None:
    with capture() as captured:
        mine = GenAISpanProcessor()
        captured.tracer_provider.add_span_processor(mine)
        with otelext.inference("chat", model="m"):
            pass
        found = captured.tracer_provider._active_span_processor._span_processors
        assert [processor for processor in found if isinstance(processor, GenAISpanProcessor)] == [mine]
        assert found[0] is mine
        chat(foreign(captured), USAGE).end()
        assert captured.value("vlm.inferences") == 2


@pytest.mark.parametrize("end", ["force_flush", "shutdown"])
def test_the_providers_flush_and_shutdown_emit_what_is_queued(end: str) -> None:
    exporter = InMemorySpanExporter()
    processor = GenAISpanProcessor()
    with capture(span_processors=[processor, BatchSpanProcessor(exporter)]) as captured:
        chat(foreign(captured), USAGE).end()
        with otelext.inference("chat", model="m"):
            pass
        getattr(captured.tracer_provider, end)()
        assert sorted(span.name for span in exporter.get_finished_spans()) == ["chat m", "chat m"]
        reader = captured._reader
        assert reader is not None
        data: Any = reader.get_metrics_data()
        assert [
            point.value
            for metric in data.resource_metrics[0].scope_metrics[0].metrics
            if metric.name == "vlm.inferences"
            for point in metric.data.data_points
        ] == [2]


def test_without_a_meter_provider_foreign_spans_are_left_alone() -> None:
    with capture() as captured:
        from opentelemetry.metrics import NoOpMeterProvider
        from opentelemetry.metrics import _internal as metrics_globals

        metrics_globals._METER_PROVIDER = NoOpMeterProvider()
        captured.tracer_provider.add_span_processor(GenAISpanProcessor())
        chat(foreign(captured), USAGE).end()
        assert len(captured.spans()) == 1


def test_nothing_is_kept_of_spans_that_are_gone(captured: Captured) -> None:
    tracer = foreign(captured)
    before = len(LINEAGE._places)
    for _ in range(50):
        with otelext.inference("chat", model="m"), tracer.start_as_current_span("step"):
            chat(tracer, USAGE).end()
        chat(tracer)  # never ended
    captured.inferences().clear()
    assert captured.value("vlm.inferences") == 50
    captured._inferences.clear()
    gc.collect()
    assert len(LINEAGE._places) - before < 50


def test_a_chain_of_steps_without_an_end_does_not_grow(captured: Captured) -> None:
    tracer = foreign(captured)
    span = tracer.start_span("step", Context())
    for _ in range(1000):
        span.end()
        span = tracer.start_span("step", trace.set_span_in_context(span, Context()))
    gc.collect()
    place = LINEAGE._places[span.get_span_context().trace_id, span.get_span_context().span_id]
    assert len(list(place.node.ancestors())) <= 128


def test_a_broken_span_never_reaches_the_caller() -> None:
    class Broken:
        instrumentation_scope = None

        @property
        def attributes(self) -> Any:
            raise RuntimeError

        parent = get_span_context = attributes

    processor = GenAISpanProcessor()
    processor.on_start(Broken())  # type: ignore[arg-type]
    processor.on_end(Broken())  # type: ignore[arg-type]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_counts_its_own_spans_and_not_those_begun_before() -> None:
    reader = InMemoryMetricReader()
    with capture(span_processors=[GenAISpanProcessor()], metric_readers=[reader]) as captured:
        tracer = foreign(captured)
        chat(tracer, USAGE).end()
        assert captured.value("vlm.inferences") == 1
        open_span = chat(tracer, USAGE)
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                open_span.end()
                for _ in range(3):
                    chat(tracer, USAGE).end()
                result = captured.value("vlm.inferences"), captured.value("vlm.tokens")
                os.write(write, pickle.dumps(result))
            finally:
                os._exit(0)
        os.close(write)
        with os.fdopen(read, "rb") as pipe:
            counted = pickle.loads(pipe.read())
        os.waitpid(child, 0)
        assert counted == (3, 36)
        open_span.end()
        assert captured.value("vlm.inferences") == 2


def test_it_works_on_a_provider_that_is_not_global() -> None:
    reader = InMemoryMetricReader()
    with capture() as captured:
        own = TracerProvider(shutdown_on_exit=False)
        own.add_span_processor(GenAISpanProcessor())
        chat(own.get_tracer("acme"), USAGE).end()
        own.force_flush()
        assert captured.value("vlm.inferences") == 1
    assert isinstance(captured.meter_provider, MeterProvider)
    assert reader.get_metrics_data() is None
