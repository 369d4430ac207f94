"""The helpers that users' own tests stand on."""

from __future__ import annotations

from opentelemetry import metrics, trace
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

import otelext
from otelext.testing import DeterministicIdGenerator, capture


def test_spans_metrics_and_inferences_of_the_block_are_captured() -> None:
    with capture() as captured:
        with otelext.inference("chat", model="m") as inf, otelext.stage("prefill"):
            inf.set_input(images=2)
        assert [span.name for span in captured.spans()] == ["prefill", "chat m"]
        assert [i.outcome for i in captured.inferences()] == ["completed"]
        assert captured.value("vlm.images", gen_ai_request_model="m") == 2
        assert captured.value("vlm.images", gen_ai_request_model="another") == 0
        assert captured.value("vlm.stage.duration", vlm_stage="prefill") == 1


def test_blocks_do_not_see_each_other_and_the_globals_come_back() -> None:
    before = trace.get_tracer_provider(), metrics.get_meter_provider()
    with capture() as first, otelext.inference("chat"):
        pass
    with capture() as second:
        with otelext.stage("decode"):
            pass
        assert trace.get_tracer_provider() is second.tracer_provider
        assert [span.name for span in second.spans()] == ["decode"]
    assert [span.name for span in first.spans()] == ["chat"]
    assert (trace.get_tracer_provider(), metrics.get_meter_provider()) == before


def test_ids_can_be_the_same_in_every_run() -> None:
    def ids() -> list[tuple[int, int]]:
        with (
            capture(id_generator=DeterministicIdGenerator()) as captured,
            otelext.inference("chat"),
            otelext.stage("a"),
        ):
            pass
        return [(span.context.trace_id, span.context.span_id) for span in captured.spans() if span.context]

    assert ids() == ids() == [(1, 2), (1, 1)]


def test_an_unsampled_inference_has_metrics_and_no_span() -> None:
    with capture(sampler=ALWAYS_OFF) as captured:
        with otelext.inference("chat", model="m"):
            pass
        assert captured.spans() == []
        assert captured.value("vlm.inferences", vlm_outcome="completed") == 1


def test_many_blocks_share_no_limits() -> None:
    for number in range(60):
        with capture() as captured:
            with otelext.inference("chat", model=f"model-{number}"):
                pass
            assert captured.value("vlm.inferences", gen_ai_request_model=f"model-{number}") == 1
