"""Streams that the garbage collector ends, wherever it comes: in the middle of anything that allocates."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

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
        done.append(1)

@otelext.inference("chat")
async def answer_async():
    try:
        yield "a"
    finally:
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
