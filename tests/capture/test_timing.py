"""The arithmetic of an inference, held to the nanosecond against a record of every single nanosecond."""

from __future__ import annotations

import asyncio
import contextvars
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import otelext
from otelext.capture import timing
from otelext.capture.breakdown import split
from otelext.capture.delivery import MAX_HOLDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from otelext.testing import Captured

STAGES = ("prefill", "decode", "fetch")
EMPTY: tuple[Any, ...] = (
    "",
    b"",
    None,
    {"choices": [{"delta": {"role": "assistant"}}]},
    {"usage": {"total": 3}, "choices": []},
)
FULL: tuple[Any, ...] = ("a", "bcd", b"e")


class World:
    """A clock that remembers each nanosecond: who held a chunk, and which top-level stages were open."""

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.start = clock.now
        self.holder = False
        self.ahead = False
        self.open: dict[int, str] = {}
        self.number = 0
        self.past: list[tuple[bool, tuple[tuple[int, str], ...]]] = []
        self.first: int | None = None
        self.last: int | None = None
        self.stage_times: dict[int, int] = {}
        self.every: dict[int, str] = {}

    def tick(self, ns: int) -> None:
        for _ in range(ns):
            self.past.append((self.holder, tuple(sorted(self.open.items()))))
            for number in self.every:
                self.stage_times[number] = self.stage_times.get(number, 0) + (not self.holder)
        self.clock.tick(ns)

    @property
    def now(self) -> int:
        return int(self.clock.now - self.start)

    def began(self, name: str, *, top: bool) -> int:
        self.number += 1
        self.every[self.number] = name
        self.stage_times[self.number] = 0
        if top:
            self.open[self.number] = name
        return self.number

    def ended(self, number: int) -> tuple[str, int]:
        self.open.pop(number, None)
        return self.every.pop(number), self.stage_times[number]

    def output(self) -> None:
        if self.first is None:
            self.first = self.now
        self.last = self.now

    def held(self, start: int, end: int) -> int:
        return sum(holder for holder, _ in self.past[start:end])

    def parts(self) -> dict[str, Fraction]:
        """What belongs to each stage, odd nanoseconds shared out as fractions."""
        found = {"unattributed": Fraction(0)}
        assert self.first is not None
        for holder, stages in self.past[: self.first]:
            names = ["unattributed"] if holder or not stages else [name for _, name in stages]
            for name in names:
                found[name] = found.get(name, Fraction(0)) + Fraction(1, len(names))
        return found


TICK = st.tuples(st.just("tick"), st.integers(0, 7))
ELSEWHERE = st.tuples(st.just("elsewhere"), st.integers(0, 2), st.sampled_from(STAGES))
PAUSE = st.lists(st.one_of(TICK, TICK, ELSEWHERE, st.just(("first",))), max_size=4)
YIELD = st.tuples(st.just("yield"), st.sampled_from(EMPTY + FULL + FULL), PAUSE)
STEP = st.one_of(
    TICK,
    TICK,
    st.tuples(st.just("enter"), st.sampled_from(STAGES)),
    st.just(("leave",)),
    ELSEWHERE,
    YIELD,
    YIELD,
    st.just(("first",)),
    st.tuples(st.just("nested"), st.integers(0, 5)),
)


class Player:
    """Plays steps against an inference and against the record."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.inside: list[tuple[Any, int]] = []
        self.outside: dict[int, tuple[contextvars.Context, Any, int]] = {}
        self.inference: otelext.Inference | None = None
        self.durations: list[tuple[str, int]] = []

    def play(self, step: tuple[Any, ...]) -> None:
        world, inference = self.world, self.inference
        assert inference is not None
        match step:
            case ("tick", ns):
                world.tick(ns)
            case ("enter", name):
                stage = otelext.stage(name)
                stage.__enter__()
                self.inside.append((stage, world.began(name, top=not self.inside)))
            case ("leave",) if self.inside:
                stage, number = self.inside.pop()
                stage.__exit__(None, None, None)
                self.durations.append(world.ended(number))
            case ("elsewhere", place, name):  # as by another thread: it enters and leaves at any time
                if place in self.outside:
                    context, stage, number = self.outside.pop(place)
                    context.run(stage.__exit__, None, None, None)
                    self.durations.append(world.ended(number))
                else:
                    context, stage = contextvars.Context(), inference.stage(name)
                    context.run(stage.__enter__)
                    self.outside[place] = (context, stage, world.began(name, top=True))
            case ("first",):
                inference.first_token()
                if world.first is None:
                    world.first = world.now
            case ("add", n):
                inference.add_tokens(n)
                if n:
                    world.ahead = world.ahead or world.holder
                    world.output()
            case ("nested", ns):
                number = world.began("embeddings", top=not self.inside)
                with otelext.inference("embeddings"):
                    world.tick(ns)
                self.durations.append(world.ended(number))
            case _:
                pass

    def finish(self) -> None:
        while self.inside:
            self.play(("leave",))
        for place in list(self.outside):
            self.play(("elsewhere", place, ""))


def fresh(clock: Any) -> World:
    clock.now = 1_000_000_000
    return World(clock)


def assert_parts(inference: otelext.Inference, world: World) -> None:
    assert inference.ttft == (None if world.first is None else world.first / 1e9)
    parts = timing.breakdown_ns(inference)
    if world.first is None:
        assert parts is None
        return
    assert parts is not None
    assert sum(parts.values()) == world.first
    assert all(isinstance(ns, int) and ns >= 0 for ns in parts.values())
    expected = world.parts()
    overlaps = [state for state in world.past[: world.first] if len(state[1]) > 1]
    odd = sum(1 for one, other in pairwise(overlaps) if one != other) + len(overlaps[:1])
    for name in parts.keys() | expected.keys():
        # Of each run of one overlap, up to one nanosecond less than it has stages goes to the earliest alone.
        most = max((len(state[1]) for state in overlaps), default=0)
        assert abs(Fraction(parts.get(name, 0)) - expected.get(name, Fraction(0))) <= most * odd


def assert_stages(inference: otelext.Inference, player: Player) -> None:
    """Each stage's duration is its time on the record less what a consumer held."""
    found = sorted((s.name, (s.end_ns or 0) - s.start_ns - s.held_ns) for s in inference.stages)
    assert found == sorted(player.durations)
    assert all(s.held_ns >= 0 for s in inference.stages)


def assert_adds_up(inference: otelext.Inference, world: World) -> None:
    """TTFT, producer, consumer and what follows the last chunk are the whole duration; nothing is negative."""
    assert inference.end_ns is not None
    assert inference.end_ns - inference.start_ns == len(world.past)
    assert_parts(inference, world)
    if world.last is None:
        assert timing.producer_ns(inference) is None
        return
    assert world.first is not None
    producer, wait, last = (
        timing.producer_ns(inference),
        timing.consumer_wait_ns(inference),
        timing.last_chunk_ns(inference),
    )
    assert producer is not None
    assert last is not None
    assert producer >= 0
    assert wait is None or wait >= 0
    after = inference.end_ns - last
    assert after >= 0
    assert world.first + producer + (wait or 0) + after == len(world.past)


def assert_tpot(inference: otelext.Inference, world: World, tokens: int, first: int, *, waited: bool = True) -> None:
    if world.first is None or world.last is None or tokens <= first:
        assert inference.tpot is None
        return
    wait = world.held(world.first, world.last) if waited else 0
    assert inference.tpot == pytest.approx((world.last - world.first - wait) / (tokens - first) / 1e9)


def many(step: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Few steps, or enough of them that something happens."""
    return st.one_of(st.lists(step, max_size=5), st.lists(step, min_size=8, max_size=16))


shared_fixtures = settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
EMPTY_RULE = st.sampled_from([None, lambda chunk: len(chunk) if isinstance(chunk, (str, bytes)) else 0])


@shared_fixtures
@given(steps=many(STEP), rule=EMPTY_RULE)
@pytest.mark.usefixtures("captured")
def test_any_interleaving_of_a_stream_adds_up(clock: Any, steps: list[tuple[Any, ...]], rule: Any) -> None:
    world = fresh(clock)
    player = Player(world)
    pauses = []
    first_tokens = 1

    @otelext.inference("chat", tokens=rule)
    def answer() -> Iterator[Any]:
        nonlocal first_tokens
        player.inference = otelext.current_inference()
        for step in steps:
            if step[0] != "yield":
                player.play(step)
                continue
            _, chunk, pause = step
            if chunk in FULL:
                if world.first is None and rule is not None:
                    first_tokens = len(chunk)
                world.output()
            pauses.append(pause)
            yield chunk
        player.finish()

    for _ in answer():
        world.holder = True
        for step in pauses[-1]:
            player.play(step)
        world.holder = False

    inference = player.inference
    assert inference is not None
    assert_adds_up(inference, world)
    assert_stages(inference, player)
    full = [step[1] for step in steps if step[0] == "yield" and step[1] in FULL]
    tokens = len(full) if rule is None else sum(map(len, full))
    assert (inference.output_tokens or 0) == tokens
    assert inference.chunks == len(full)
    assert_tpot(inference, world, tokens, first_tokens)
    if full:
        assert world.first is not None
        assert timing.consumer_wait_ns(inference) == world.held(world.first, world.last or 0)


@shared_fixtures
@given(steps=many(STEP), rule=EMPTY_RULE, asynchronous=st.booleans())
@pytest.mark.usefixtures("captured")
def test_any_interleaving_of_stream_in_the_functions_own_code_adds_up(
    clock: Any, steps: list[tuple[Any, ...]], rule: Any, asynchronous: bool
) -> None:
    world = fresh(clock)
    player = Player(world)
    pauses = []
    first_tokens = 1

    def engine() -> Iterator[Any]:
        nonlocal first_tokens
        for step in steps:
            world.holder = False
            if step[0] != "yield":
                player.play(step)
                continue
            _, chunk, pause = step
            if chunk in FULL:
                if world.first is None and rule is not None:
                    first_tokens = len(chunk)
                world.output()
            pauses.append(pause)
            yield chunk
        world.holder = False

    async def async_engine() -> AsyncIterator[Any]:
        for chunk in engine():
            yield chunk

    def hold() -> None:
        world.holder = True
        for step in pauses[-1]:
            player.play(step)

    async def consume(inf: otelext.Inference) -> None:
        async for _ in inf.stream(async_engine(), tokens=rule):
            hold()

    with otelext.inference("chat") as inf:
        player.inference = inf
        if asynchronous:
            asyncio.run(consume(inf))
        else:
            for _ in inf.stream(engine(), tokens=rule):
                hold()
        player.finish()

    assert_adds_up(inf, world)
    assert_stages(inf, player)
    full = [step[1] for step in steps if step[0] == "yield" and step[1] in FULL]
    tokens = len(full) if rule is None else sum(map(len, full))
    assert (inf.output_tokens or 0) == tokens
    assert_tpot(inf, world, tokens, first_tokens)


ADD = st.tuples(st.just("add"), st.integers(0, 5))
DELIVER = st.tuples(st.just("yield"), st.sampled_from(FULL), st.lists(st.one_of(TICK, ADD), max_size=3))


@shared_fixtures
@given(steps=many(st.one_of(STEP, ADD, DELIVER)))
@pytest.mark.usefixtures("captured")
def test_callbacks_with_or_without_an_engine_that_runs_ahead_add_up(clock: Any, steps: list[tuple[Any, ...]]) -> None:
    world = fresh(clock)
    player = Player(world)
    pauses = []
    deliveries = []

    @otelext.inference("chat")
    def answer() -> Iterator[Any]:
        player.inference = otelext.current_inference()
        player.play(("add", 2))  # from here on what is yielded is a delivery
        for step in steps:
            if step[0] != "yield":
                player.play(step)
                continue
            pauses.append(step[2])
            deliveries.append((world.now, step[1]))
            yield step[1]
        player.finish()

    for _ in answer():
        world.holder = True
        for step in pauses[-1]:
            player.play(step)
        world.holder = False

    inference = player.inference
    assert inference is not None
    assert_adds_up(inference, world)
    tokens = 2
    for step in steps:
        inner = step[2] if step[0] == "yield" else [step]
        tokens += sum(s[1] for s in inner if s[0] == "add")
    assert inference.output_tokens == tokens
    assert timing.token_count_source(inference) == "counted"
    assert inference.chunks == sum(1 for step in steps if step[0] == "yield" and step[1] in FULL)
    assert inference.runs_ahead is world.ahead
    delivered = [moment for moment, chunk in deliveries if chunk in FULL]
    if world.first is not None:
        known_until = delivered[-1] if delivered else (world.last or 0)
        assert timing.consumer_wait_ns(inference) == world.held(world.first, known_until)
    assert_tpot(inference, world, tokens, 1, waited=not world.ahead)
    assert all(s.held_ns >= 0 for s in inference.stages)


@given(
    first=st.integers(0, 60),
    stages=st.lists(
        st.tuples(st.integers(-5, 60), st.one_of(st.none(), st.integers(0, 30)), st.sampled_from("abc")), max_size=5
    ),
    holds=st.lists(st.tuples(st.integers(-5, 60), st.integers(0, 20)), max_size=3),
)
def test_every_nanosecond_of_the_breakdown_belongs_to_whom_it_should(
    first: int, stages: list[tuple[int, int | None, str]], holds: list[tuple[int, int]]
) -> None:
    spans = [(start, None if length is None else start + length, name) for start, length, name in stages]
    held = [(start, start + length) for start, length in holds]
    parts = split(
        100,
        100 + first,
        [(s + 100, None if e is None else e + 100, n) for s, e, n in spans],
        [(s + 100, e + 100) for s, e in held],
    )
    assert sum(parts.values()) == first
    assert not any(ns < 0 for ns in parts.values())
    ideal: dict[str, Fraction] = {"unattributed": Fraction(0)}
    for moment in range(first):
        names = [n for s, e, n in spans if s <= moment and (e is None or moment < e)]
        if not names or any(s <= moment < e for s, e in held):
            names = ["unattributed"]
        for name in names:
            ideal[name] = ideal.get(name, Fraction(0)) + Fraction(1, len(names))
    odd = 2 * (len(spans) + len(held)) + 2
    for name in parts.keys() | ideal.keys():
        assert abs(Fraction(parts.get(name, 0)) - ideal.get(name, Fraction(0))) <= odd
    if not any(part.denominator > 1 for part in ideal.values()) and len(spans) < 2:
        assert {n: p for n, p in parts.items() if p} == {n: p for n, p in ideal.items() if p}


def test_odd_nanoseconds_go_to_the_earliest() -> None:
    assert split(0, 5, [(0, None, "a"), (0, None, "b")]) == {"unattributed": 0, "a": 3, "b": 2}
    assert split(0, 10, [(5, 10, "late"), (2, 10, "early")]) == {"unattributed": 2, "early": 6, "late": 2}
    assert split(0, 10, [(2, 4, "a"), (4, 6, "b")]) == {"unattributed": 6, "a": 2, "b": 2}


# --- one rule at a time ------------------------------------------------------------------------------------------------


def test_a_slow_client_does_not_raise_tpot(clock: Any, captured: Captured) -> None:
    @otelext.inference("chat")
    def answer() -> Iterator[str]:
        for _ in range(5):
            clock.tick(10)
            yield "a"

    for pause in (0, 10_000):
        for _ in answer():
            clock.tick(pause)
    quick, slow = captured.inferences()
    assert quick.tpot == slow.tpot == 10 / 1e9
    assert (timing.consumer_wait_ns(quick), timing.consumer_wait_ns(slow)) == (0, 40_000)


def test_what_follows_the_last_chunk_is_neither_producers_nor_consumers(clock: Any, captured: Captured) -> None:
    @otelext.inference("chat")
    def answer() -> Iterator[str]:
        clock.tick(5)
        yield "a"
        clock.tick(7)
        yield "b"
        clock.tick(1000)
        yield ""
        clock.tick(1000)

    for _ in answer():
        clock.tick(3)
    ended = captured.inferences()[0]
    assert (timing.producer_ns(ended), timing.consumer_wait_ns(ended)) == (7, 3)


def test_a_stage_stands_still_while_the_consumer_holds_a_chunk(clock: Any, captured: Captured) -> None:
    @otelext.inference("chat")
    def answer() -> Iterator[str]:
        with otelext.stage("decode"):
            clock.tick(5)
            yield "a"
            clock.tick(7)
            yield "b"
            clock.tick(1)

    for _ in answer():
        clock.tick(1000)
    (decode,) = captured.inferences()[0].stages
    assert decode.end_ns is not None
    assert decode.end_ns - decode.start_ns - decode.held_ns == 13
    span = captured.spans("decode")[0]
    assert (span.end_time or 0) - (span.start_time or 0) == 2013
    point = captured.metrics()["vlm.stage.duration"][0]
    assert point.sum == pytest.approx(13e-9)


@pytest.mark.parametrize("returned", [True, False])
def test_a_streams_own_rule_says_which_chunk_is_the_last(clock: Any, captured: Captured, returned: bool) -> None:
    def engine() -> Iterator[Any]:
        for chunk in ("a", "b", {"statistics": 1}):
            clock.tick(10)
            yield chunk

    def rule(chunk: Any) -> int:
        return 1 if isinstance(chunk, str) else 0

    def answer() -> Iterator[Any]:
        return otelext.current_inference().stream(engine(), tokens=rule)

    def own_code() -> None:
        for _ in answer():
            clock.tick(3)

    if returned:
        for _ in otelext.inference("chat")(answer)():
            clock.tick(3)
    else:
        otelext.inference("chat")(own_code)()
    ended = captured.inferences()[0]
    assert (timing.producer_ns(ended), timing.consumer_wait_ns(ended)) == (10, 3)
    assert (ended.chunks, ended.output_tokens) == (2, 2)


def test_consumer_time_before_the_first_token_is_unattributed(clock: Any, captured: Captured) -> None:
    @otelext.inference("chat")
    def answer() -> Iterator[str]:
        with otelext.stage("prefill"):
            clock.tick(5)
            yield ""  # a role-only chunk
            clock.tick(7)
        yield "a"

    for _ in answer():
        clock.tick(100)
    assert timing.breakdown_ns(captured.inferences()[0]) == {"prefill": 12, "unattributed": 100}


def test_any_number_of_hand_overs_before_the_first_token_keeps_the_sum(clock: Any, captured: Captured) -> None:
    @otelext.inference("chat")
    def answer() -> Iterator[str]:
        with otelext.stage("prefill"):
            for _ in range(MAX_HOLDS + 50):
                clock.tick(2)
                yield ""
            clock.tick(2)
        yield "a"

    for _ in answer():
        clock.tick(3)
    (ended,) = captured.inferences()
    parts = timing.breakdown_ns(ended)
    assert parts is not None
    assert sum(parts.values()) == 5 * (MAX_HOLDS + 50) + 2
    assert 0 < parts["prefill"] <= 2 * (MAX_HOLDS + 51)
    assert len(ended.holds or ()) == MAX_HOLDS


def test_a_stage_that_another_thread_ends_within_a_hold_is_cut_there(clock: Any, captured: Captured) -> None:
    context = contextvars.Context()
    stages: list[Any] = []

    @otelext.inference("chat")
    def answer() -> Iterator[str]:
        stages.append(otelext.current_inference().stage("fetch"))
        context.run(stages[0].__enter__)
        clock.tick(5)
        yield ""
        clock.tick(2)
        yield "a"

    running = answer()
    next(running)
    clock.tick(10)
    context.run(stages[0].__exit__, None, None, None)
    clock.tick(10)
    next(running)
    del running
    assert timing.breakdown_ns(captured.inferences()[0]) == {"fetch": 5, "unattributed": 22}


def test_a_stage_keeps_a_positive_duration_when_the_engine_turns_out_to_run_ahead(
    clock: Any, captured: Captured
) -> None:
    context = contextvars.Context()

    @otelext.inference("chat")
    def answer() -> Iterator[str]:
        yield "a"
        stage = otelext.current_inference().stage("decode")
        context.run(stage.__enter__)
        clock.tick(5)
        yield "b"
        context.run(stage.__exit__, None, None, None)

    for chunk in answer():
        clock.tick(100)
        if chunk == "b":
            (inference,) = inference_module_open()
            inference.add_tokens(1)
    (decode,) = captured.inferences()[0].stages
    assert decode.held_ns == 0
    assert (decode.end_ns or 0) - decode.start_ns == 105


def inference_module_open() -> Sequence[otelext.Inference]:
    from otelext.capture.inference import OPEN

    return list(OPEN)


def test_usage_goes_before_counts_and_counts_before_chunks(clock: Any, captured: Captured) -> None:
    def answer(rule: Any, usage: int | None) -> None:
        @otelext.inference("chat", tokens=rule)
        def run() -> Iterator[str]:
            for _ in range(3):
                clock.tick(12)
                yield "ab"
            otelext.current_inference().set_usage(output_tokens=usage)

        list(run())

    answer(None, None)
    answer(len, None)
    answer(len, 13)
    chunks, counted, usage = captured.inferences()
    assert [timing.token_count_source(i) for i in (chunks, counted, usage)] == ["chunks", "counted", "usage"]
    assert [i.output_tokens for i in (chunks, counted, usage)] == [3, 6, 13]
    assert [i.tpot for i in (chunks, counted, usage)] == [24 / 2 / 1e9, 24 / 4 / 1e9, 24 / 11 / 1e9]


@pytest.mark.parametrize(("usage", "tpot"), [(0, None), (1, None), (2, 10 / 1e9)])
def test_no_tpot_without_a_positive_divisor(clock: Any, captured: Captured, usage: int, tpot: float | None) -> None:
    @otelext.inference("chat")
    def answer() -> Iterator[str]:
        yield "a"
        clock.tick(10)
        yield "b"
        otelext.current_inference().set_usage(output_tokens=usage)

    list(answer())
    assert captured.inferences()[0].tpot == tpot


def test_first_token_counts_nothing_and_stamps_once(clock: Any) -> None:
    with otelext.inference("chat") as inf:
        clock.tick(3)
        inf.first_token()
        clock.tick(3)
        inf.first_token()
        assert inf.ttft == 3 / 1e9
        assert inf.output_tokens is None
        assert inf.tpot is None
        inf.add_tokens(2)
        clock.tick(4)
        inf.add_tokens(1)
        assert inf.output_tokens == 3
        assert inf.tpot == (3 + 4) / 2 / 1e9


def test_tokens_added_to_a_stream_are_counted_with_it(clock: Any, captured: Captured) -> None:
    with otelext.inference("chat") as inf:
        list(inf.stream(["a", "b"]))
        inf.add_tokens(5)
    assert inf.output_tokens == 7
    assert timing.token_count_source(inf) == "counted"


def test_with_callbacks_the_first_chunk_is_one_token(clock: Any) -> None:
    @otelext.inference("chat", tokens=len)
    def answer() -> Iterator[str]:
        inf = otelext.current_inference()
        yield "abcde"
        clock.tick(10)
        inf.add_tokens(11)
        assert inf.tpot == 10 / 10 / 1e9

    list(answer())


def test_a_collected_stream_whose_engine_ran_ahead_does_not_end_before_its_last_token(
    clock: Any, captured: Captured
) -> None:
    @otelext.inference("chat")
    def answer() -> Iterator[str]:
        yield ""
        yield "b"

    running = answer()
    next(running)
    (inference,) = inference_module_open()
    clock.tick(10)
    inference.add_tokens(1)
    clock.tick(10)
    del running
    assert inference.ttft == 10 / 1e9
    assert (inference.end_ns or 0) - inference.start_ns == 10


def test_readings_are_none_until_known(clock: Any) -> None:
    with otelext.inference("chat") as inf:
        assert (inf.ttft, inf.tpot, inf.breakdown, inf.outcome, inf.output_tokens) == (None,) * 5
        clock.tick(4)
        inf.add_tokens(1)
        assert inf.breakdown == {"unattributed": 4 / 1e9}
        assert inf.tpot is None
    assert inf.outcome == "completed"


def test_nothing_changes_after_the_end(clock: Any, captured: Captured) -> None:
    with otelext.inference("chat", model="m") as inf:
        inf.add_tokens(1)
    before = timing.span_attributes(inf)
    clock.tick(10)
    inf.set_model("n")
    inf.set_input(images=1, pages=1, pixels=1, image_tokens=1, text_tokens=1)
    inf.set_usage(input_tokens=1, output_tokens=9, cached_input_tokens=1)
    inf.set_response(model="r", finish_reasons=["stop"])
    inf.set_document(type="receipt", width=1, height=1, fields=1)
    inf.set_attribute("a", 1)
    inf.set_outcome(otelext.Outcome.ERROR)
    inf.set_cost(1)
    inf.first_token()
    inf.add_tokens(1)
    assert list(inf.stream(["a", "b"])) == ["a", "b"]
    with inf.stage("decode"):
        pass
    assert timing.span_attributes(inf) == before
    assert inf.stages == []
    assert "a" not in (captured.spans("chat m")[0].attributes or {})


def test_costs_add_up() -> None:
    with otelext.inference("chat") as inf:
        inf.set_cost(0.25)
        inf.set_cost(0.5)
    assert inf.cost == 0.75


def test_the_model_can_be_replaced_until_the_first_chunk(captured: Captured) -> None:
    with otelext.inference("chat", model="asked") as inf:
        inf.set_model("given", "r2")
        inf.first_token()
        inf.set_model("late")
    assert (inf.model, inf.model_version) == ("given", "r2")
    assert [span.name for span in captured.spans()] == ["chat given"]


def test_only_completed_inferences_give_ttft_and_tpot_but_all_give_durations_and_tokens(captured: Captured) -> None:
    @otelext.inference("chat")
    def answer() -> Iterator[str]:
        yield "a"
        yield "b"
        yield "c"

    list(answer())
    for _ in answer():
        break
    assert captured.value("gen_ai.server.time_to_first_token") == 1
    assert captured.value("gen_ai.server.time_per_output_token") == 1
    assert captured.value("gen_ai.server.request.duration") == 2
    assert captured.value("vlm.tokens", vlm_outcome="completed") == 3
    assert captured.value("vlm.tokens", vlm_outcome="abandoned") == 1
