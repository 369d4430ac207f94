"""The arithmetic: what all have and what is idle is what was used."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext.gpu.energy.curve import Stretch, stretches
from otelext.gpu.energy.shares import Numbers, shared_out
from otelext.gpu.energy.steps import MOST, Step, steps, within
from otelext.gpu.snapshot import EnergySample

S = 10**9
END = 20 * S
MODELS = st.sampled_from(["a", "b", None])


@st.composite
def intervals(draw: st.DrawFn) -> list[tuple[str | None, int, int | None]]:
    found: list[tuple[str | None, int, int | None]] = []
    for model, begin, length in draw(
        st.lists(st.tuples(MODELS, st.integers(-5 * S, END), st.integers(0, END)), max_size=12)
    ):
        found.append((model, begin, draw(st.sampled_from([None, begin + length]))))
    return found


POWER = st.lists(st.floats(0, 1000), min_size=20, max_size=20).map(
    lambda watts: [Stretch(i * S, (i + 1) * S, w, "counter") for i, w in enumerate(watts)]
)


def numbers(activity: list[Step]) -> Numbers:
    return Numbers([step.at_ns for step in activity], [step.total for step in activity])


@given(st.lists(intervals(), min_size=1, max_size=4), POWER)
def test_all_parts_and_what_is_idle_are_what_was_used(processes: list[list], curve: list[Stretch]) -> None:  # type: ignore[type-arg]
    activities = [steps(0, END, process) for process in processes]
    used = sum(stretch.watts for stretch in curve)
    found = []
    for own in range(len(activities)):
        others = [numbers(activity) for place, activity in enumerate(activities) if place != own]
        found.append(shared_out(0, END, curve, activities[own], others))
    active = sum(joules for shares in found for joules in shares.active.values())
    idle = found[0].idle.get("counter", 0.0)
    assert all(joules >= 0 for shares in found for joules in shares.active.values())
    assert all(shares.idle.get("counter", 0.0) == pytest.approx(idle, abs=1e-6) for shares in found)
    assert active + idle == pytest.approx(used, rel=1e-9, abs=1e-6)


@given(intervals(), POWER, st.integers(1, 19))
def test_two_settlements_are_worth_one(ran: list, curve: list[Stretch], cut: int) -> None:  # type: ignore[type-arg]
    own = steps(0, END, ran)
    whole = shared_out(0, END, curve, own, [])
    first, second = shared_out(0, cut * S, curve, own, []), shared_out(cut * S, END, curve, own, [])
    for key in whole.active:
        assert first.active.get(key, 0) + second.active.get(key, 0) == pytest.approx(whole.active[key], abs=1e-6)


@given(intervals(), st.integers(0, END), st.integers(0, END))
def test_a_window_takes_nothing_from_outside(ran: list, one: int, other: int) -> None:  # type: ignore[type-arg]
    begin, end = min(one, other), max(one, other)
    inside = within(steps(0, END, ran), [(begin, end)])
    outside = [Stretch(0, begin, 7, "counter"), Stretch(end, END, 7, "counter")]
    assert not shared_out(0, END, outside, inside, []).active


def test_very_many_inferences_are_told_by_means_and_keep_their_sum() -> None:
    ran: list[tuple[str | None, int, int | None]] = [("a", i * 10**7, i * 10**7 + 3 * 10**6) for i in range(MOST + 500)]
    end = (MOST + 500) * 10**7
    told = steps(0, end, ran)
    assert len(told) < MOST
    edges = [*(step.at_ns for step in told), end]
    time = sum(step.total * (edges[i + 1] - edges[i]) for i, step in enumerate(told))
    assert time == pytest.approx((MOST + 500) * 3 * 10**6)


def test_energy_is_not_known_across_a_reset_or_another_source() -> None:
    samples = [
        EnergySample(0, 100.0, "counter", ""),
        EnergySample(S, 150.0, "counter", ""),
        EnergySample(2 * S, 5.0, "counter", ""),  # the driver was loaded anew
        EnergySample(3 * S, 25.0, "counter", ""),
        EnergySample(4 * S, 30.0, "power", "x"),
        EnergySample(5 * S, 40.0, "power", "y"),  # another reader
        EnergySample(6 * S, 72.0, "power", "y"),
    ]
    assert list(stretches(samples)) == [
        Stretch(0, S, 50.0, "counter"),
        Stretch(2 * S, 3 * S, 20.0, "counter"),
        Stretch(5 * S, 6 * S, 32.0, "power"),
    ]
