"""Which traces may give exemplars: a consistent share of them, whoever asks."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace._sampling_experimental import composable_traceid_ratio_based, composite_sampler
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased
from opentelemetry.trace import SpanContext, TraceFlags

from otelext.emit.exemplars import ExemplarTraces

trace_ids = st.integers(min_value=1, max_value=2**128 - 1)
ratios = st.floats(min_value=0, max_value=1)
shares = st.floats(min_value=0.01, max_value=0.99)
NUMBER = 2000


def included(trace_id: int, ratio: float | None, *, sampled: bool = True) -> bool:
    traces = ExemplarTraces()
    traces.choose(ratio)
    return traces.include(SpanContext(trace_id, 1, is_remote=False, trace_flags=TraceFlags(int(sampled))))


@given(trace_ids, ratios, ratios)
def test_a_trace_chosen_at_one_ratio_is_chosen_at_every_greater_one(trace_id: int, one: float, other: float) -> None:
    smaller, greater = sorted((one, other))
    assert included(trace_id, smaller) <= included(trace_id, greater)


def check_share(ratio: float, ids: list[int]) -> None:
    share = sum(included(trace_id, ratio) for trace_id in ids) / len(ids)
    deviation = (ratio * (1 - ratio) / len(ids)) ** 0.5
    assert abs(share - ratio) < 6 * deviation


@given(shares, st.integers())
def test_the_ratio_is_the_share_of_all_traces(ratio: float, seed: int) -> None:
    numbers = random.Random(seed)
    check_share(ratio, [numbers.getrandbits(128) for _ in range(NUMBER)])


@given(shares, st.integers())
def test_the_ratio_is_the_share_of_the_traces_that_a_sampler_keeps_however_few(ratio: float, seed: int) -> None:
    numbers = random.Random(seed)
    few = 2**-10
    for sampler, kept in (
        (TraceIdRatioBased(few), lambda bits: bits & ~(1023 << 54)),  # the least of 64 bits
        (composite_sampler(composable_traceid_ratio_based(few)), lambda bits: bits | 1023 << 46),  # the greatest of 56
    ):
        ids = [kept(numbers.getrandbits(128)) for _ in range(NUMBER)]
        assert all(sampler.should_sample(None, trace_id, "span").decision.is_sampled() for trace_id in ids)
        check_share(ratio, ids)


@given(trace_ids)
def test_no_trace_is_chosen_at_0_and_every_one_at_1(trace_id: int) -> None:
    assert not included(trace_id, 0)
    assert included(trace_id, 1)


@given(trace_ids)
def test_nothing_is_chosen_where_nobody_asked_or_nothing_is_sampled(trace_id: int) -> None:
    assert not included(trace_id, None)
    assert not included(trace_id, 1, sampled=False)
    assert not ExemplarTraces().include(None)
