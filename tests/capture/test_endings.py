"""Every way out of synchronous code ends an inference exactly once, with the outcome that the order of decision gives."""

from __future__ import annotations

import concurrent.futures
import contextlib
import contextvars
import gc
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import StatusCode

import otelext
from otelext import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from otelext.testing import Captured

    Engine = Callable[[], Generator[str, None, None]]
    Decorated = Callable[[], Any]


class PlainIterator(Iterator[str]):
    """An iterator that is no generator and has a `close`."""

    def __init__(self, source: Generator[str, None, None]) -> None:
        self.source = source

    def __next__(self) -> str:
        return next(self.source)

    def close(self) -> None:
        self.source.close()


class OnlyNext:
    """The least that an iterator is."""

    def __init__(self, source: Generator[str, None, None]) -> None:
        self.source = source

    def __iter__(self) -> OnlyNext:
        return self

    def __next__(self) -> str:
        return next(self.source)


def generator(engine: Engine) -> Decorated:
    @otelext.inference("chat")
    def answer() -> Generator[str, None, None]:
        yield from engine()

    return answer


def returned_generator(engine: Engine) -> Decorated:
    @otelext.inference("chat")
    def answer() -> Generator[str, None, None]:
        return engine()

    return answer


def returned_iterator(engine: Engine) -> Decorated:
    @otelext.inference("chat")
    def answer() -> Iterator[str]:
        return PlainIterator(engine())

    return answer


def returned_stream(engine: Engine) -> Decorated:
    @otelext.inference("chat")
    def answer() -> Iterator[str]:
        return otelext.current_inference().stream(engine())

    return answer


def generator_over_stream(engine: Engine) -> Decorated:
    @otelext.inference("chat")
    def answer() -> Generator[str, None, None]:
        yield from otelext.current_inference().stream(engine())

    return answer


STREAMS = (generator, returned_generator, returned_iterator, returned_stream, generator_over_stream)
GENERATORS = (generator, returned_generator)


@pytest.fixture(params=STREAMS, ids=lambda make: make.__name__)
def make(request: pytest.FixtureRequest) -> Callable[[Engine], Decorated]:
    """Each way in which a decorated function streams."""
    found: Callable[[Engine], Decorated] = request.param
    return found


def three() -> Generator[str, None, None]:
    with otelext.stage("prefill"):
        pass
    with otelext.stage("decode"):  # held open across each yield
        yield "a"
        yield "b"
        yield "c"


def assert_outside() -> None:
    assert otelext.current_inference().outcome is None
    assert not trace.get_current_span().get_span_context().is_valid


def assert_ended_once(
    captured: Captured, outcome: Outcome, *, spans: tuple[str, ...] = ("chat", "decode", "prefill")
) -> None:
    ended = captured.inferences()
    assert [inference.outcome for inference in ended] == [outcome]
    assert sorted(span.name for span in captured.spans()) == sorted(spans)
    assert captured.value("vlm.inferences", vlm_outcome=str(outcome)) == 1
    span = captured.spans("chat")[0]
    failed = outcome in {Outcome.ERROR, Outcome.TIMEOUT}
    assert (span.status.status_code is StatusCode.ERROR) is failed
    assert ("error.type" in (span.attributes or {})) is failed
    assert {s.parent.span_id for s in captured.spans() if s.parent} <= {span.context.span_id if span.context else 0}
    assert len({s.context.trace_id for s in captured.spans() if s.context}) == 1


def test_read_to_its_end_it_is_completed(captured: Captured, make: Callable[[Engine], Decorated]) -> None:
    seen = []
    for chunk in make(three)():
        assert_outside()
        seen.append(chunk)
    assert seen == ["a", "b", "c"]
    assert_outside()
    assert_ended_once(captured, Outcome.COMPLETED)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ValueError("x"), Outcome.ERROR),
        (TimeoutError("x"), Outcome.TIMEOUT),
        (concurrent.futures.TimeoutError("x"), Outcome.TIMEOUT),
        (type("ReadTimeout", (Exception,), {})("x"), Outcome.TIMEOUT),
        (type("APITimeoutError", (Exception,), {})("x"), Outcome.TIMEOUT),
        (type("TimeoutErrorButNot", (Exception,), {})("x"), Outcome.ERROR),
        (KeyboardInterrupt(), Outcome.CANCELLED),
        (concurrent.futures.CancelledError(), Outcome.ERROR),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
@pytest.mark.parametrize("chunks", [0, 2])
def test_an_exception_of_the_engine_decides_the_outcome(
    captured: Captured, make: Callable[[Engine], Decorated], error: BaseException, outcome: Outcome, chunks: int
) -> None:
    def engine() -> Generator[str, None, None]:
        yield from ["a"] * chunks
        raise error

    if isinstance(error, concurrent.futures.CancelledError) and not isinstance(error, Exception):
        outcome = Outcome.CANCELLED

    def read() -> None:
        for _ in make(engine)():
            assert_outside()

    with pytest.raises(type(error)) as raised:
        read()
    assert raised.value is error
    assert_outside()
    assert_ended_once(captured, outcome, spans=("chat",))
    assert (captured.inferences()[0].ttft is None) is (chunks == 0)


def test_break_abandons_it(captured: Captured, make: Callable[[Engine], Decorated]) -> None:
    for _ in make(three)():
        break
    assert_outside()
    assert_ended_once(captured, Outcome.ABANDONED)


def test_close_abandons_it_and_closing_again_changes_nothing(
    captured: Captured, make: Callable[[Engine], Decorated]
) -> None:
    running = make(three)()
    next(running)
    running.close()
    assert_outside()
    running.close()
    assert list(running) == []
    del running
    assert_ended_once(captured, Outcome.ABANDONED)


def test_close_after_the_end_changes_nothing(captured: Captured, make: Callable[[Engine], Decorated]) -> None:
    running = make(three)()
    assert len(list(running)) == 3
    running.close()
    with pytest.raises(StopIteration):
        next(running)
    assert_ended_once(captured, Outcome.COMPLETED)


def test_close_from_another_thread_abandons_it(captured: Captured, make: Callable[[Engine], Decorated]) -> None:
    running = make(three)()
    next(running)
    thread = threading.Thread(target=running.close)
    thread.start()
    thread.join()
    assert_outside()
    assert_ended_once(captured, Outcome.ABANDONED)


def test_each_step_may_be_taken_by_another_thread(captured: Captured, make: Callable[[Engine], Decorated]) -> None:
    running = make(three)()
    with concurrent.futures.ThreadPoolExecutor(1) as one, concurrent.futures.ThreadPoolExecutor(1) as two:
        assert one.submit(next, running).result() == "a"
        assert two.submit(next, running).result() == "b"
        assert one.submit(list, running).result() == ["c"]
        for pool in (one, two):
            assert not pool.submit(trace.get_current_span).result().get_span_context().is_valid
    assert_ended_once(captured, Outcome.COMPLETED)


def test_collected_as_garbage_it_ended_at_its_last_hand_over(
    captured: Captured, make: Callable[[Engine], Decorated], clock: Any
) -> None:
    def engine() -> Generator[str, None, None]:
        clock.tick(5)
        yield "a"
        clock.tick(7)
        yield "b"

    running = make(engine)()
    next(running)
    clock.tick(100)
    next(running)
    clock.tick(1000)
    del running
    assert_outside()
    assert_ended_once(captured, Outcome.ABANDONED, spans=("chat",))
    ended = captured.inferences()[0]
    assert ended.end_ns is not None
    assert ended.end_ns - ended.start_ns == 112


def test_collected_in_a_cycle_it_is_abandoned(captured: Captured, make: Callable[[Engine], Decorated]) -> None:
    running = make(three)()
    next(running)
    cycle: list[Any] = [running]
    cycle.append(cycle)
    del running, cycle
    gc.collect()
    assert_outside()
    assert_ended_once(captured, Outcome.ABANDONED)


def test_a_generator_that_is_never_started_is_no_inference(captured: Captured) -> None:
    running = generator(three)()
    del running
    generator(three)().close()
    assert captured.inferences() == []
    assert captured.spans() == []


@pytest.mark.parametrize("make_returned", [returned_generator, returned_iterator, returned_stream])
def test_a_returned_iterator_that_is_never_iterated_is_abandoned(
    captured: Captured, make_returned: Callable[[Engine], Decorated]
) -> None:
    make_returned(three)()
    gc.collect()
    assert_outside()
    assert_ended_once(captured, Outcome.ABANDONED, spans=("chat",))


@pytest.mark.parametrize("make_generator", GENERATORS, ids=lambda make: make.__name__)
@pytest.mark.parametrize(("error", "outcome"), [(ValueError(), Outcome.ERROR), (TimeoutError(), Outcome.TIMEOUT)])
def test_what_is_thrown_in_and_not_caught_decides(
    captured: Captured, make_generator: Callable[[Engine], Decorated], error: Exception, outcome: Outcome
) -> None:
    running = make_generator(three)()
    next(running)
    with pytest.raises(type(error)) as raised:
        running.throw(error)
    assert raised.value is error
    assert_outside()
    assert_ended_once(captured, outcome)
    spans = {span.name: span.status.status_code for span in captured.spans()}
    assert spans == {"chat": StatusCode.ERROR, "decode": StatusCode.ERROR, "prefill": StatusCode.UNSET}


@pytest.mark.parametrize("make_generator", GENERATORS, ids=lambda make: make.__name__)
def test_what_is_thrown_in_and_caught_ends_nothing(
    captured: Captured, make_generator: Callable[[Engine], Decorated]
) -> None:
    def engine() -> Generator[str, None, None]:
        try:
            yield "a"
        except ValueError:
            yield "caught"
        yield "b"

    running = make_generator(engine)()
    next(running)
    assert running.throw(ValueError()) == "caught"
    assert captured.inferences() == []
    assert list(running) == ["b"]
    assert_ended_once(captured, Outcome.COMPLETED, spans=("chat",))


@pytest.mark.parametrize("make_generator", GENERATORS, ids=lambda make: make.__name__)
def test_a_generator_that_answers_its_close_by_returning_is_abandoned(
    captured: Captured, make_generator: Callable[[Engine], Decorated]
) -> None:
    def engine() -> Generator[str, None, None]:
        with contextlib.suppress(GeneratorExit):
            yield "a"

    running = make_generator(engine)()
    next(running)
    running.close()
    assert_ended_once(captured, Outcome.ABANDONED, spans=("chat",))


@pytest.mark.parametrize("make_generator", GENERATORS, ids=lambda make: make.__name__)
def test_a_generator_that_ignores_its_close_goes_on(
    captured: Captured, make_generator: Callable[[Engine], Decorated]
) -> None:
    def engine() -> Generator[str, None, None]:
        with contextlib.suppress(GeneratorExit):
            yield "a"
        yield "b"

    running = make_generator(engine)()
    next(running)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        running.close()
    assert_outside()
    assert list(running) == []
    del running
    assert len(captured.inferences()) == 1


@pytest.mark.parametrize("outcome", list(Outcome))
def test_set_outcome_goes_before_every_other_rule(
    captured: Captured, make: Callable[[Engine], Decorated], outcome: Outcome
) -> None:
    def engine() -> Generator[str, None, None]:
        inner.append(otelext.current_inference())
        yield "a"
        raise ValueError

    inner: list[otelext.Inference] = []
    running = make(engine)()
    next(running)
    inner[0].set_outcome(outcome)
    with pytest.raises(ValueError, match=r"^$"):
        next(running)
    assert [i.outcome for i in captured.inferences()] == [outcome]
    error_type = (captured.spans("chat")[0].attributes or {}).get("error.type")
    if outcome not in {Outcome.ERROR, Outcome.TIMEOUT}:
        assert error_type is None
        assert captured.spans("chat")[0].status.status_code is StatusCode.UNSET


def test_two_streams_interleaved_keep_their_own_spans(captured: Captured, make: Callable[[Engine], Decorated]) -> None:
    one, two = make(three)(), make(three)()
    assert [next(one), next(two), next(two), next(one), next(one), next(two)] == ["a", "a", "b", "b", "c", "c"]
    assert next(two, None) is None
    assert_outside()
    assert next(one, None) is None
    assert_outside()
    assert [inference.outcome for inference in captured.inferences()] == [Outcome.COMPLETED] * 2
    roots = {span.context.span_id for span in captured.spans("chat") if span.context}
    assert len(roots) == 2
    for name in ("decode", "prefill"):
        assert {span.parent.span_id for span in captured.spans(name) if span.parent} == roots


@pytest.mark.parametrize("way", ["returns", "raises", "times out"])
@pytest.mark.parametrize("kind", ["function", "context manager"])
def test_a_call_that_streams_nothing(captured: Captured, kind: str, way: str) -> None:
    error = {"returns": None, "raises": ValueError("x"), "times out": TimeoutError("x")}[way]
    outcome = {"returns": Outcome.COMPLETED, "raises": Outcome.ERROR, "times out": Outcome.TIMEOUT}[way]

    def work() -> int:
        assert otelext.current_inference().span_name == "chat"
        with otelext.stage("decode"), otelext.stage("prefill"):
            pass
        if error is not None:
            raise error
        return 7

    with contextlib.nullcontext() if error is None else pytest.raises(type(error)):
        if kind == "function":
            assert otelext.inference("chat")(work)() == 7
        else:
            with otelext.inference("chat"):
                assert work() == 7
    assert_outside()
    ended = captured.inferences()
    assert [i.outcome for i in ended] == [outcome]
    assert ended[0].ttft is None
    assert ended[0].breakdown is None
    assert captured.value("gen_ai.server.request.duration") == 1
    assert captured.value("gen_ai.server.time_to_first_token") == 0


def test_a_context_manager_entered_by_hand_and_dropped_is_abandoned(captured: Captured) -> None:
    def enter() -> None:
        manager = otelext.inference("chat")
        manager.__enter__()

    contextvars.copy_context().run(enter)
    gc.collect()
    assert [i.outcome for i in captured.inferences()] == [Outcome.ABANDONED]
    assert len(captured.spans("chat")) == 1


def test_a_stage_entered_by_hand_and_dropped_still_gives_its_span(captured: Captured) -> None:
    def enter() -> None:
        otelext.stage("decode").__enter__()

    with otelext.inference("chat"):
        contextvars.copy_context().run(enter)
    gc.collect()
    assert sorted(span.name for span in captured.spans()) == ["chat", "decode"]
    assert captured.value("vlm.stage.duration", vlm_stage="decode") == 1


def test_an_inference_inside_an_inference_is_one_of_its_own_and_a_stage_of_the_outer(captured: Captured) -> None:
    @otelext.inference("embeddings", model="small")
    def embed() -> None:
        with otelext.stage("preprocess"):
            pass

    @otelext.inference("chat", model="large")
    def answer() -> Generator[str, None, None]:
        embed()
        assert otelext.current_inference().model == "large"
        yield "a"

    list(answer())
    assert_outside()
    inner, outer = captured.inferences()
    assert (inner.model, outer.model) == ("small", "large")
    assert outer.breakdown is not None
    assert set(outer.breakdown) == {"embeddings", "unattributed"}
    assert [s.name for s in inner.stages] == ["preprocess"]
    child, parent = captured.spans("embeddings small")[0], captured.spans("chat large")[0]
    assert child.parent is not None
    assert parent.context is not None
    assert child.parent.span_id == parent.context.span_id
    assert len(captured.spans()) == 3
    assert captured.value("vlm.inferences") == 2
    assert captured.value("vlm.stage.duration", vlm_stage="embeddings") == 1


def test_within_an_inference_that_ended_the_one_around_it_is_current(captured: Captured) -> None:
    with otelext.inference("chat") as outer:
        with otelext.inference("embeddings"):
            context = contextvars.copy_context()
        assert context.run(otelext.current_inference) is outer

        def late() -> None:
            with otelext.stage("fetch"):
                assert otelext.current_inference() is outer

        context.run(late)
    assert [s.name for s in outer.stages] == ["embeddings", "fetch"]
    fetch, chat = captured.spans("fetch")[0], captured.spans("chat")[0]
    assert fetch.parent is not None
    assert chat.context is not None
    assert fetch.parent.span_id == chat.context.span_id


def test_a_chunk_that_cannot_be_looked_into_is_output(captured: Captured, make: Callable[[Engine], Decorated]) -> None:
    class Odd:
        @property
        def choices(self) -> object:
            raise RuntimeError("a chunk that can't be looked into")

    def engine() -> Generator[Any, None, None]:
        yield Odd()

    assert len(list(make(engine)())) == 1
    assert_ended_once(captured, Outcome.COMPLETED, spans=("chat",))
