"""What a stream's last reference takes with it, where the user's code lets go of it: all that it takes undecorated."""

from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

import pytest

import otelext
from otelext import Outcome
from otelext.capture import drive
from otelext.capture.inference import OPEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otelext.testing import Captured

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="outside")


@pytest.mark.parametrize("decorator", [otelext.inference("chat"), otelext.stage("decode")], ids=["inference", "stage"])
def test_what_a_finally_resets_is_reset_where_the_stream_is_dropped(
    captured: Captured, decorator: Callable[[Any], Any]
) -> None:
    @decorator
    def answer() -> Iterator[str]:
        token = VARIABLE.set("inside")
        try:
            yield "a"
            yield "b"
        finally:
            VARIABLE.reset(token)

    for _ in answer():
        break
    assert VARIABLE.get() == "outside"
    for inference in captured.inferences():
        assert (inference.outcome, inference.error_type) == (Outcome.ABANDONED, None)


def test_an_engine_is_free_when_its_stream_is_left(captured: Captured) -> None:
    order: list[str] = []

    def engine() -> Iterator[str]:
        try:
            yield from "abc"
        finally:
            order.append("engine freed")

    with otelext.inference("chat") as inf:
        for chunk in inf.stream(engine()):
            if chunk == "b":
                break
        order.append("after the loop")
    assert order == ["engine freed", "after the loop"]
    assert captured.inferences()[0].outcome is Outcome.COMPLETED


def test_what_is_done_after_a_stream_was_left_is_nobodys_wait(captured: Captured, clock: Any) -> None:
    with otelext.inference("chat") as inf:
        for _ in inf.stream("abc"):
            break
        with otelext.stage("postprocess"):
            clock.tick(200)
        for _ in inf.stream("abc"):
            pass
    (ended,) = captured.inferences()
    (stage,) = ended.stages
    assert stage.held_ns == 0
    assert ended.consumer_at_last_ns == 0


def test_who_ends_an_inference_while_its_consumer_asks_for_more_holds_nothing(
    captured: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    @otelext.inference("chat")
    def answer() -> Iterator[str]:
        with otelext.stage("decode"):
            yield from "abc"

    stream = answer()
    next(stream)
    next(stream)
    (open_one,) = OPEN
    ended: list[threading.Thread] = []

    def ending() -> int:
        if not ended:
            ended.append(threading.Thread(target=open_one.end_at_exit))
            ended[0].start()
            ended[0].join()
        return perf_counter_ns()

    monkeypatch.setattr(drive, "perf_counter_ns", ending)
    assert list(stream) == ["c"]
    (inference,) = captured.inferences()
    (stage,) = inference.stages
    assert 0 <= stage.held_ns < 1e9


def test_another_librarys_runtime_context_is_the_one_that_holds() -> None:
    program = """
import otelext
from opentelemetry import context, trace
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.sdk.trace import TracerProvider

class Other(ContextVarsRuntimeContext):
    pass

context._RUNTIME_CONTEXT = Other()
trace.set_tracer_provider(TracerProvider())
tracer = trace.get_tracer("user")
with tracer.start_as_current_span("server") as server, otelext.inference("chat") as inference:
    assert inference.span.parent.span_id == server.get_span_context().span_id
    with tracer.start_as_current_span("user") as user:
        assert user.parent.span_id == inference.span.get_span_context().span_id
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
