"""Measuring across threads, tasks and queues."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest
from opentelemetry import trace

import otelext
from otelext.capture.inference import OPEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from otelext.testing import Captured

DEADLINE_S = 20.0


def in_thread(work: Callable[[], Any]) -> Any:
    """Run in a new thread, which knows nothing of the context here."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join(DEADLINE_S)
    assert found, "the thread raised or hangs"
    return found[0]


def parents(captured: Captured) -> dict[str, str | None]:
    """Each span's parent by name."""
    names = {span.context.span_id: span.name for span in captured.spans() if span.context}
    return {span.name: names[span.parent.span_id] if span.parent else None for span in captured.spans()}


@pytest.mark.parametrize("way", ["stage(inference=)", "inf.stage"])
def test_a_stage_in_another_thread_belongs_to_the_inference_it_names(lane_capture: Any, way: str) -> None:
    with lane_capture() as captured:
        with otelext.inference("chat") as inf, otelext.stage("decode"):

            def work() -> bool:
                assert otelext.current_inference() is not inf
                stage = (
                    inf.stage("vision_encode") if way == "inf.stage" else otelext.stage("vision_encode", inference=inf)
                )
                with stage:
                    assert otelext.current_inference() is inf
                    with otelext.stage("preprocess"):
                        pass
                assert not trace.get_current_span().get_span_context().is_valid
                return True

            assert in_thread(work)
        assert parents(captured) == {
            "chat": None,
            "decode": "chat",
            "vision_encode": "chat",
            "preprocess": "vision_encode",
        }
    assert [(s.name, s.top_level) for s in inf.stages] == [
        ("decode", True),
        ("vision_encode", True),
        ("preprocess", False),
    ]


def test_a_decorated_stage_may_name_its_inference(captured: Captured) -> None:
    with otelext.inference("chat") as inf:

        @otelext.stage("vision_encode", inference=inf)
        def encode() -> Iterator[int]:
            yield 1

        assert in_thread(lambda: list(encode())) == [1]
    assert parents(captured) == {"chat": None, "vision_encode": "chat"}


def test_a_thread_without_context_knows_no_inference(captured: Captured) -> None:
    def work() -> bool:
        with otelext.stage("fetch"):
            return otelext.current_inference().span is None

    with otelext.inference("chat") as inf:
        assert in_thread(work)
    assert inf.stages == []
    assert parents(captured) == {"chat": None, "fetch": None}


async def test_to_thread_carries_the_inference_along(captured: Captured) -> None:
    def work() -> Any:
        with otelext.stage("preprocess"):
            return otelext.current_inference()

    async with otelext.inference("chat") as inf:
        with otelext.stage("decode"):
            assert await asyncio.to_thread(work) is inf
        assert await anyio.to_thread.run_sync(work) is inf
    assert [(s.name, s.top_level) for s in inf.stages] == [
        ("decode", True),
        ("preprocess", False),
        ("preprocess", True),
    ]


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_tasks_of_a_group_are_stages_of_the_inference(captured: Captured) -> None:
    async def work(name: str) -> None:
        async with otelext.stage(name):
            await anyio.lowlevel.checkpoint()
            assert otelext.current_inference() is inf

    async with otelext.inference("chat") as inf, anyio.create_task_group() as tasks:
        for name in ("fetch", "preprocess", "vision_encode"):
            tasks.start_soon(work, name)
    assert sorted(s.name for s in inf.stages if s.top_level) == ["fetch", "preprocess", "vision_encode"]
    assert set(parents(captured).values()) == {None, "chat"}


def test_an_engine_behind_a_queue(captured: Captured) -> None:
    requests: queue.Queue[Any] = queue.Queue()

    def engine() -> None:
        while (request := requests.get()) is not None:
            inf, prompt, answers = request
            with inf.stage("prefill"):
                pass
            with inf.stage("decode"):
                for token in prompt:
                    inf.add_tokens(1)
                    answers.put(token)
            inf.set_usage(input_tokens=len(prompt), output_tokens=len(prompt))
            answers.put(None)

    @otelext.inference("chat")
    def answer(prompt: str) -> Iterator[str]:
        answers: queue.Queue[str | None] = queue.Queue()
        requests.put((otelext.current_inference(), prompt, answers))
        while (token := answers.get(timeout=DEADLINE_S)) is not None:
            yield token

    thread = threading.Thread(target=engine)
    thread.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(lambda p: "".join(answer(p)), ["abc", "de", "f", "ghij"])) == [
                "abc",
                "de",
                "f",
                "ghij",
            ]
    finally:
        requests.put(None)
        thread.join(DEADLINE_S)
    ended = captured.inferences()
    assert sorted(i.output_tokens or 0 for i in ended) == [1, 2, 3, 4]
    assert all(i.breakdown is not None and min(i.breakdown.values()) >= 0 for i in ended)
    assert captured.value("vlm.tokens", gen_ai_token_type="output") == 10
    for inference in ended:
        assert sorted(s.name for s in inference.stages) == ["decode", "prefill"]


def test_a_stage_that_outlives_its_inference_still_counts(lane_capture: Any) -> None:
    with lane_capture() as captured:
        context = contextvars.Context()
        with otelext.inference("chat", model="m") as inf:
            stage = inf.stage("postprocess")
            context.run(stage.__enter__)
            inf.first_token()
        assert captured.value("vlm.stage.duration") == 0
        context.run(stage.__exit__, None, None, None)
        assert captured.value("vlm.stage.duration", vlm_stage="postprocess", gen_ai_request_model="m") == 1
        assert parents(captured) == {"chat m": None, "postprocess": "chat m"}


def test_a_stage_after_the_end_of_its_inference_stands_alone(captured: Captured) -> None:
    with otelext.inference("chat") as inf:
        pass
    with inf.stage("postprocess"):
        pass
    assert inf.stages == []
    assert parents(captured) == {"chat": None, "postprocess": None}


def test_many_threads_adding_tokens_lose_none(captured: Captured) -> None:
    def add(inf: otelext.Inference) -> None:
        for _ in range(2000):
            inf.add_tokens(1)

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with otelext.inference("chat") as inf, ThreadPoolExecutor(4) as pool:
            for _ in range(4):
                pool.submit(add, inf)
    finally:
        sys.setswitchinterval(before)
    assert inf.output_tokens == 8000
    assert inf.tpot is not None
    assert inf.tpot >= 0


def test_an_inference_ended_by_two_threads_ends_once(captured: Captured) -> None:
    for _ in range(50):
        with otelext.inference("chat"):
            (inference,) = OPEN
            barrier = threading.Barrier(3)

            def end(way: Callable[[], None], barrier: threading.Barrier = barrier) -> None:
                barrier.wait(DEADLINE_S)
                way()

            threads = [
                threading.Thread(target=end, args=(way,))
                for way in (inference.succeed, lambda i=inference: i.fail(ValueError()), inference.end_at_exit)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(DEADLINE_S)
    assert len(captured.inferences()) == 50
    assert len(captured.spans("chat")) == 50
    assert captured.value("vlm.inferences") == 50


def test_threads_that_start_together_attach_once(captured: Captured) -> None:
    from otelext.capture.binding import rebind
    from otelext.processors.genai import GenAISpanProcessor

    rebind()
    barrier = threading.Barrier(8)

    def work(_: int) -> None:
        barrier.wait(DEADLINE_S)
        with otelext.inference("chat"):
            pass

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert captured.value("vlm.inferences") == 8
    assert len(captured.spans()) == 8
    processors = captured.tracer_provider._active_span_processor._span_processors
    assert sum(isinstance(processor, GenAISpanProcessor) for processor in processors) == 1


async def test_a_cancelled_task_group_leaves_every_outcome_in_place(captured: Captured) -> None:
    @otelext.inference("chat")
    async def answer(first: bool) -> AsyncIterator[str]:
        yield "a"
        if first:
            raise ValueError
        waiting.set()
        await anyio.sleep_forever()

    async def read(first: bool) -> None:
        async for _ in answer(first):
            pass

    waiting = anyio.Event()
    raised: list[BaseException] = []
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, False)
            await waiting.wait()
            tasks.start_soon(read, True)
    except BaseException as error:  # noqa: BLE001  # a group on every Python
        raised.append(error)
    assert raised
    assert sorted(str(i.outcome) for i in captured.inferences()) == ["cancelled", "error"]


def test_an_inference_that_was_ended_while_its_stream_goes_on_stays_as_it_was(captured: Captured) -> None:
    @otelext.inference("chat", tokens=len)
    def answer() -> Iterator[str]:
        for _ in range(10):
            yield "token"

    stream = answer()
    assert [next(stream), next(stream)] == ["token", "token"]
    (inference,) = OPEN
    inference.end_at_exit()  # as another thread does when the process is to end
    figures = (inference.output_tokens, inference.last_ns, inference.chunks)
    assert list(stream) == ["token"] * 8
    assert (inference.output_tokens, inference.last_ns, inference.chunks) == figures
    (span,) = captured.spans("chat")
    assert span.attributes is not None
    assert span.attributes["gen_ai.usage.output_tokens"] == len("tokentoken")
