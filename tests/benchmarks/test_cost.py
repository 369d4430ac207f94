"""What a request and a token cost, in calls, instructions and what is kept: a regression is seen without a clock.

Calls of Python and of C functions, as `sys.setprofile` sees them, and bytecode instructions, as `sys.settrace` does, are
the same on every machine with the same Python and the same packages. Whoever changes them on purpose measures anew, for
each version of Python:

    python tests/benchmarks/test_cost.py
"""

from __future__ import annotations

import gc
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

import otelext
from otelext.capture.binding import current_binding
from otelext.capture.inference import Inference
from otelext.emit import metrics
from otelext.emit.process import HANDLER
from otelext.semconv import TTFT
from otelext.testing import capture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

# Said, and no reason to count nothing.
pytestmark = pytest.mark.filterwarnings("default:no counts were taken:pytest.PytestWarning")

Costs = dict[str, float]
VERSION: Final = sys.version_info[:2]
BENCHMARKS: Final = str(Path(__file__).parents[2] / "benchmarks")

# A request's own thread; the worker for a request that comes alone, and for one more in the same batch.
OF_A_REQUEST: Final = ("request", "emission of one", "emission of one more")
# Instructions of a token in the frame of the generator that measures.
OF_A_FRAME: Final = ("instructions by generator", "instructions by async generator")
TODAY: Final[dict[tuple[int, int], tuple[int, int, int, int, int]]] = {
    (3, 10): (304, 683, 399, 85, 86),
    (3, 11): (305, 684, 399, 95, 97),
    (3, 12): (305, 682, 397, 84, 89),
    (3, 13): (305, 682, 397, 89, 91),
}
OF_A_TOKEN: Final = {
    "token by generator": 9.0,
    "token by async generator": 9.0,
    "token by stream": 3.0,
    "token by callback": 2.0,
}
MARGIN: Final = 1.02
"""One histogram's value more a request is beyond it, as is one line more a token."""
WIDER: Final = 1.1
"""For a Python whose counts nobody has taken, against those of the nearest one."""

STAGES: Final = ("decode_image", "preprocess", "vision_encode", "prefill")
CHUNKS: Final = 400


@otelext.inference("chat", model="m", provider="vllm")
def answer(chunks: int) -> Iterator[str]:
    inf = otelext.current_inference()
    inf.set_input(images=1, pages=1, image_tokens=1176)
    for name in STAGES:
        with otelext.stage(name):
            pass
    for _ in range(chunks):
        yield "a"
    inf.set_usage(input_tokens=1218, output_tokens=chunks)


@otelext.inference("chat", model="m", provider="vllm")
async def answer_async(chunks: int) -> AsyncIterator[str]:
    for _ in range(chunks):
        yield "a"


@otelext.inference("chat", model="m", provider="vllm")
def answer_by_stream(chunks: int) -> None:
    for _ in otelext.current_inference().stream("a" * chunks):
        pass


@otelext.inference("chat", model="m", provider="vllm")
def answer_by_callback(chunks: int) -> None:
    called_back = otelext.current_inference().add_tokens
    for _ in range(chunks):
        called_back(1)


def read(chunks: int) -> None:
    for _ in answer(chunks):
        pass


def read_async(chunks: int) -> None:
    async def all_of_it() -> None:
        async for _ in answer_async(chunks):
            pass

    step = all_of_it()
    with pytest.raises(StopIteration):
        step.send(None)


def calls(run: Callable[[], object]) -> int:
    """Calls that `run` makes in this thread."""
    found = 0

    def profile(_: object, event: str, __: object) -> None:
        nonlocal found
        found += event in {"call", "c_call"}

    gc.collect()
    gc.disable()
    try:
        sys.setprofile(profile)
        run()
    finally:
        sys.setprofile(None)
        gc.enable()
    return found


def costs() -> Costs:
    """What is counted, with the worker's part done in this thread."""
    with capture():
        records: list[Any] = []
        current_binding().submit = records.append

        def emit() -> None:
            for record in records:
                HANDLER(record)
            HANDLER.after_batch()

        def emission_of(requests: int) -> int:
            records.clear()
            for _ in range(requests):
                read(3)
            found = calls(emit)
            assert sum(type(record) is Inference for record in records) == requests
            return found

        for warm_up in (read, read_async, answer_by_stream, answer_by_callback):
            warm_up(3)
            warm_up(3)
        emit()
        one = emission_of(1)
        found: Costs = {
            "request": calls(lambda: read(3)),
            "emission of one": one,
            "emission of one more": emission_of(2) - one,
        }
        for name, way in (
            ("generator", read),
            ("async generator", read_async),
            ("stream", answer_by_stream),
            ("callback", answer_by_callback),
        ):
            few, many = (calls(partial(way, chunks)) for chunks in (CHUNKS, 2 * CHUNKS))
            found[f"token by {name}"] = (many - few) / CHUNKS
        for name, stream in zip(OF_A_FRAME, (answer(CHUNKS), answer_async(CHUNKS)), strict=True):
            found[name] = instructions(stream)
        return found


def instructions(stream: Any) -> float:
    """Bytecode instructions a token, as the benchmarks count them: programs, which import each other by bare names."""
    sys.path.insert(0, BENCHMARKS)
    try:
        from opcodes import instructions as count
    finally:
        sys.path.remove(BENCHMARKS)
    return count(stream)


def counts_for(version: tuple[int, int]) -> Costs:
    """What was counted on a version of Python, or on the nearest one, which is said."""
    nearest = min(TODAY, key=lambda listed: abs(listed[1] - version[1]))
    if nearest != version:
        warnings.warn(
            f"no counts were taken for Python {version[0]}.{version[1]}: those of {nearest[0]}.{nearest[1]} are the"
            f" limit, and {WIDER - 1:.0%} more; `python {Path(__file__).name}` takes them",
            pytest.PytestWarning,
            stacklevel=2,
        )
    return {**dict(zip((*OF_A_REQUEST, *OF_A_FRAME), TODAY[nearest], strict=True)), **OF_A_TOKEN}


def dearer_than(today: Costs, found: Costs, version: tuple[int, int]) -> dict[str, tuple[float, float]]:
    """What costs more than it did, with what it did; another Python's instructions are other ones."""
    assert found.keys() == today.keys()
    allowed = MARGIN if version in TODAY else WIDER
    compared = today.keys() if version in TODAY else today.keys() - {*OF_A_FRAME}
    return {name: (found[name], today[name]) for name in compared if found[name] > today[name] * allowed}


@pytest.fixture(scope="module")
def today() -> Costs:
    return counts_for(VERSION)


def test_no_more_calls_than_today(today: Costs) -> None:
    assert not dearer_than(today, costs(), VERSION), "found, and the count of the day it was taken"


def test_a_python_that_nobody_has_counted_is_counted_against_the_nearest() -> None:
    with pytest.warns(pytest.PytestWarning, match=r"no counts were taken for Python 3\.99: those of 3\.13"):
        nearest = counts_for((3, 99))
    assert not dearer_than(nearest, nearest, (3, 99))
    dearer = {name: count * 1.2 for name, count in nearest.items()}
    assert dearer_than(nearest, dearer, (3, 99)).keys() == nearest.keys() - {*OF_A_FRAME}


@pytest.mark.skipif(VERSION not in TODAY, reason="no counts were taken for this Python")
def test_today_is_today(today: Costs) -> None:
    """A limit that is no longer near would let the next regression pass."""
    cheaper = {name: (of_now, today[name]) for name, of_now in costs().items() if of_now < today[name] / MARGIN}
    assert not cheaper, "found, and the count to be taken anew"


def test_one_more_value_a_request_is_seen(today: Costs, monkeypatch: pytest.MonkeyPatch) -> None:
    before = today if VERSION in TODAY else costs()
    record = metrics.record_inference

    def one_more(inference: Any, figures: Any, stages: Any, to: Any) -> None:
        record(inference, figures, stages, to)
        to.attribute_set(()).histogram(TTFT).record(1.0, 0, inference.context, sampled=False)

    monkeypatch.setattr(metrics, "record_inference", one_more)
    found = costs()
    assert found["emission of one"] > before["emission of one"] * MARGIN
    assert found["emission of one more"] > before["emission of one more"] * MARGIN


def test_a_token_keeps_nothing() -> None:
    with capture():
        stream = answer(10_000)
        for _ in range(1_000):
            next(stream)
        gc.collect()
        before = sys.getallocatedblocks()
        for _ in range(8_000):
            next(stream)
        assert sys.getallocatedblocks() - before < 100


if __name__ == "__main__":
    print(sys.version_info[:2], costs())  # noqa: T201  # as a program
