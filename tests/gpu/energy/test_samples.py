from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext.gpu.energy.samples import Curve, continued, document, newest, parse
from otelext.gpu.energy.shares import Piece
from otelext.gpu.snapshot import EnergySample

SECOND = 10**9


def curve(*samples: tuple[float, float], source: str = "counter", epoch: str = "") -> Curve:
    told = tuple(EnergySample(round(at * SECOND), joules, source, epoch) for at, joules in samples)
    return Curve(told, 0, 30 * SECOND)


def test_between_two_samples_energy_is_used_evenly() -> None:
    assert list(curve((1, 100), (2, 150)).pieces()) == [Piece(SECOND, 2 * SECOND, 50, "counter")]


@pytest.mark.parametrize(
    "second",
    [
        EnergySample(2 * SECOND, 50, "counter", ""),
        EnergySample(2 * SECOND, 150, "power", ""),
        EnergySample(2 * SECOND, 150, "counter", "another"),
        EnergySample(40 * SECOND, 150, "counter", ""),
        EnergySample(2 * SECOND, 1e9, "counter", ""),
    ],
    ids=["set back", "another source", "another epoch", "too long ago", "more than a GPU draws"],
)
def test_samples_that_do_not_belong_together_leave_a_gap(second: EnergySample) -> None:
    assert list(continued(curve((1, 100)), second, 30 * SECOND).pieces()) == []


def test_a_curve_keeps_the_latest_samples_in_order() -> None:
    found: Curve | None = None
    for at in [*range(1, 100), 50]:
        found = continued(found, EnergySample(at, at, "power", "x"), 100)
    assert found is not None
    assert [sample.at_ns for sample in found.samples] == list(range(68, 100))


def test_of_two_holders_the_one_that_goes_further_is_taken() -> None:
    old, new = curve((1, 10)), curve((1, 10), (2, 20))
    settled = new._replace(idle_to_ns=5)
    assert newest({"GPU-0": new}, {"GPU-0": old, "GPU-1": old}) == {"GPU-0": new, "GPU-1": old}
    assert newest({"GPU-0": new}, {"GPU-0": settled}) == {"GPU-0": settled}


def test_what_is_published_is_what_is_read() -> None:
    curves = {"GPU-0": curve((1, 10), (2, 20)), "GPU-1": curve((1, 1), source="power", epoch="x")}
    assert parse(json.loads(json.dumps(document(curves))), 3 * SECOND) == curves
    assert parse(json.loads(json.dumps(document(curves))), SECOND) == {"GPU-1": curves["GPU-1"]}


@pytest.mark.parametrize(
    "samples",
    [[], [[1, 2.0, "counter"]], [[1, float("inf"), "power", ""]], [[2, 1, "power", ""], [2, 1, "power", ""]], ["x"]],
)
def test_what_can_not_be_is_no_curve(samples: list[Any]) -> None:
    assert parse({"GPU-0": {"idle_to_ns": 0, "longest_ns": 1, "samples": samples}}, 100) == {}


anything = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.just("power"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


@given(anything, st.lists(st.lists(anything, min_size=4, max_size=4), max_size=3))
def test_no_document_raises(told: Any, samples: list[Any]) -> None:
    parse(told, 100)
    parse({"GPU-0": {"idle_to_ns": 0, "longest_ns": 1, "samples": samples}, "GPU-1": told}, 100)
