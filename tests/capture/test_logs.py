"""Log records and other libraries' spans inside a stage carry the stage's ids."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

import otelext

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def records() -> Iterator[Any]:
    """What was logged by `service`, as the SDK exports it."""
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    handler = LoggingHandler(logger_provider=provider)
    logger = logging.getLogger("service")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lambda: [data.log_record for data in exporter.get_finished_logs()]
    logger.removeHandler(handler)
    provider.shutdown()


def test_log_records_carry_the_ids_of_the_stage_around_them(lane_capture: Any, records: Any) -> None:
    logger = logging.getLogger("service")

    @otelext.inference("chat")
    def answer() -> Iterator[str]:
        logger.info("inference")
        with otelext.stage("decode"):
            logger.info("stage")
            yield "a"
            logger.info("stage again")

    with lane_capture() as captured:
        for _ in answer():
            logger.info("outside")
        by_message = {record.body: record for record in records()}
        chat, decode = captured.spans("chat")[0].context, captured.spans("decode")[0].context
    assert chat is not None
    assert decode is not None
    for message, context in (("inference", chat), ("stage", decode), ("stage again", decode)):
        assert (by_message[message].trace_id, by_message[message].span_id) == (context.trace_id, context.span_id)
        assert by_message[message].trace_flags == context.trace_flags
    assert not by_message["outside"].span_id


def test_exemplars_carry_the_ids_of_the_inference(lane_capture: Any) -> None:
    with lane_capture() as captured:
        with otelext.inference("chat") as inf, otelext.stage("prefill"):
            inf.first_token()
        chat, prefill = captured.spans("chat")[0].context, captured.spans("prefill")[0].context
        points = captured.metrics()
    assert chat is not None
    assert prefill is not None
    for metric, context in (
        ("gen_ai.server.request.duration", chat),
        ("gen_ai.server.time_to_first_token", chat),
        ("vlm.stage.duration", prefill),
    ):
        (exemplar,) = points[metric][0].exemplars
        assert (exemplar.trace_id, exemplar.span_id) == (context.trace_id, context.span_id)


def test_a_plain_sdk_tracer_inside_a_stage_has_it_as_parent(lane_capture: Any) -> None:
    with lane_capture() as captured:
        tracer = trace.get_tracer("sqlalchemy")

        @otelext.inference("chat")
        def answer() -> Iterator[str]:
            with otelext.stage("fetch"), tracer.start_as_current_span("select"):
                pass
            with tracer.start_as_current_span("around"), otelext.stage("decode"):
                yield "a"

        for _ in answer():
            with tracer.start_as_current_span("consumer"):
                pass
        spans = {span.name: span for span in captured.spans()}
        ids = {span.context.span_id: span.name for span in spans.values() if span.context}
    found = {name: ids[span.parent.span_id] if span.parent else None for name, span in spans.items()}
    assert found == {
        "select": "fetch",
        "fetch": "chat",
        "decode": "around",
        "around": "chat",
        "chat": None,
        "consumer": None,
    }
