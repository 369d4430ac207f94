"""What a request and a token cost, in calls and in what is kept: a regression is seen without a clock.

Calls of Python and of C functions, as `sys.setprofile` sees them, are the same on every machine with the same Python
and the same packages. Whoever changes them on purpose measures anew, for each version of Python:

    python tests/benchmarks/test_cost.py
"""

from __future__ import annotations

import gc
import sys
from functools import partial
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

Costs = dict[str, float]

# A request's own thread; the worker for a request that comes alone, and for one more in the same batch.
OF_A_REQUEST: Final = ("request", "emission of one", "emission of one more")
TODAY: Final[dict[tuple[int, int], tuple[int, int, int]]] = {
    (3, 10): (304, 683, 399),
    (3, 11): (305, 684, 399),
    (3, 12): (305, 682, 397),
    (3, 13): (305, 682, 397),
}
OF_A_TOKEN: Final = {
    "token by generator": 9.0,
    "token by async generator": 9.0,
    "token by stream": 3.0,
    "token by callback": 2.0,
}
MARGIN: Final = 1.02
"""One histogram's value more a request is beyond it."""

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
        return found


@pytest.fixture(scope="module")
def today() -> Costs:
    version = sys.version_info[:2]
    if version not in TODAY:
        pytest.skip(f"no counts were taken for Python {version[0]}.{version[1]}")
    return {**dict(zip(OF_A_REQUEST, TODAY[version], strict=True)), **OF_A_TOKEN}


def test_no_more_calls_than_today(today: Costs) -> None:
    found = costs()
    assert found.keys() == today.keys()
    dearer = {name: (found[name], of_today) for name, of_today in today.items() if found[name] > of_today * MARGIN}
    assert not dearer, "found, and the count of the day it was taken"


def test_today_is_today(today: Costs) -> None:
    """A limit that is no longer near would let the next regression pass."""
    cheaper = {name: (of_now, today[name]) for name, of_now in costs().items() if of_now < today[name] / MARGIN}
    assert not cheaper, "found, and the count to be taken anew"


def test_one_more_value_a_request_is_seen(today: Costs, monkeypatch: pytest.MonkeyPatch) -> None:
    record = metrics.record_inference

    def one_more(inference: Any, figures: Any, stages: Any, to: Any) -> None:
        record(inference, figures, stages, to)
        to.attribute_set(()).histogram(TTFT).record(1.0, 0, inference.context, sampled=False)

    monkeypatch.setattr(metrics, "record_inference", one_more)
    found = costs()
    assert found["emission of one"] > today["emission of one"] * MARGIN
    assert found["emission of one more"] > today["emission of one more"] * MARGIN


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
