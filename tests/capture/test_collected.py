"""Streams that the garbage collector ends, wherever it comes: in the middle of anything that allocates."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import pytest

import otelext
from otelext.capture import binding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.testing import Captured

PROGRAM = """
import contextvars, gc, random, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
import otelext

trace.set_tracer_provider(TracerProvider())

@otelext.inference("chat")
def answer():
    try:
        yield "a"
    finally:
        with otelext.stage("release"):
            done.append(1)

@otelext.inference("chat")
async def answer_async():
    try:
        yield "a"
    finally:
        with otelext.stage("release"):
            done.append(1)

def step_async(stream):
    # Without an event loop, whose hooks would take what is collected into a task.
    try:
        stream.__anext__().send(None)
    except StopIteration:
        pass

done = []
kind, seed = sys.argv[1], int(sys.argv[2])
choose = random.Random(seed)
variables = [contextvars.ContextVar(f"v{number}") for number in range(3)]
for turn in range(20_000):
    if turn % 100 == 0:
        gc.set_threshold(choose.randrange(2, 40), 2, 2)
    if kind == "async":
        stream = answer_async()
        step_async(stream)
    else:
        stream = answer()
        next(stream)
    cycle = [stream]
    cycle.append(cycle)
    del cycle, stream
    for variable in variables:
        variable.set([object()])
    kept = [[] for _ in range(choose.randrange(9))]
print("survived")
"""


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("kind", ["generator", "async"])
def test_a_stream_that_is_collected_leaves_the_collector_s_context_alone(kind: str, seed: int) -> None:
    """One that is set while another is being set can crash: https://github.com/python/cpython/issues/148891."""
    program = [sys.executable, "-c", textwrap.dedent(PROGRAM), kind, str(seed)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "survived"), done.stderr[-2000:]


def test_what_the_collector_closes_is_not_part_of_the_request_that_it_interrupts(captured: Captured) -> None:
    closed: list[otelext.Inference | None] = []
    with otelext.inference("first"):  # which imports much, and the collector would come then
        pass
    gc.collect()

    def pages() -> Iterator[str]:
        try:
            yield "a"
        finally:
            with otelext.stage("release"):
                closed.append(otelext.current_inference())

    reading = pages()
    next(reading)
    cycle: list[object] = [reading]
    cycle.append(cycle)
    gc.disable()
    try:
        del cycle, reading
        with otelext.inference("chat"), otelext.stage("prefill"):
            gc.collect()
            with otelext.stage("vision"):
                pass
    finally:
        gc.enable()
    assert len(closed) == 1
    spans = {span.name: span for span in captured.spans()}
    assert spans["release"].parent is None
    assert spans["vision"].parent is not None
    assert spans["vision"].parent.span_id == spans["prefill"].context.span_id


def test_the_collector_in_the_middle_of_attaching_does_not_attach_as_well(captured: Captured) -> None:
    """It may come while what attaches is still being imported."""
    binding.rebind()
    attach = binding._ATTACHMENT.attach
    assert attach is not None
    attached: list[object] = []

    def pages() -> Iterator[str]:
        try:
            yield "a"
        finally:
            with otelext.inference("late"):
                attached.append("by the collector")

    def attach_slowly(tracer_provider: Any, meter_provider: Any) -> binding.Binding:
        attached.append("attach")
        gc.collect()
        return attach(tracer_provider, meter_provider)

    reading = pages()
    next(reading)
    cycle: list[object] = [reading]
    cycle.append(cycle)
    gc.disable()
    binding.register_attach(attach_slowly)
    try:
        del cycle, reading
        with otelext.inference("chat"):
            pass
    finally:
        binding.register_attach(attach)
        gc.enable()
    assert attached == ["attach", "by the collector"]
    assert [inference.operation for inference in captured.inferences()] == ["chat"]
