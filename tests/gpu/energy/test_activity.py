from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext.gpu.energy.activity import SETS, SLICES, Activity, bounded, document, parse
from otelext.gpu.energy.shares import Slice

GPUS = frozenset({"GPU-0", "GPU-1"})
ACTIVITY = Activity(90, 5, 10**9, (Slice(10, 20, 2, GPUS), Slice(20, 25, 0.5, frozenset({"GPU-1"}))))
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
)


def told(**changed: Any) -> Any:
    return json.loads(json.dumps(document(ACTIVITY))) | changed


def test_what_is_published_is_what_is_read() -> None:
    assert parse(told(), 100) == ACTIVITY


@pytest.mark.parametrize(
    "changed",
    [
        {"published_to_ns": 101},
        {"published_to_ns": "90"},
        {"dropped_to_ns": 91},
        {"dropped_to_ns": -1},
        {"interval_ns": 0},
        {"interval_ns": 10**15},
        {"gpus": [["GPU-0"]]},
        {"gpus": [["GPU-0"], "GPU-1"]},
        {"gpus": [["GPU-0"], [7]]},
        {"gpus": [["GPU-0"], ["x" * 1000]]},
        {"gpus": [["GPU-0"], ["x"] * 1000]},
        {"slices": [[10, 20, 1]]},
        {"slices": [[20, 10, 1, 0]]},
        {"slices": [[10, 20, 1, 0], [19, 30, 1, 0]]},
        {"slices": [[10, 95, 1, 0]]},
        {"slices": [[1, 20, 1, 0]]},
        {"slices": [[10, 20, -1, 0]]},
        {"slices": [[10, 20, float("nan"), 0]]},
        {"slices": [[10, 20, 1e300, 0]]},
        {"slices": [[10, 20, 1, 2]]},
        {"slices": [[10, 20, 1, -1]]},
        {
            "slices": [[place, place + 1, 1, 0] for place in range(SLICES + 1)],
            "published_to_ns": 99,
            "dropped_to_ns": 0,
        },
        {"slices": None},
    ],
)
def test_what_can_not_be_is_no_activity(changed: dict[str, Any]) -> None:
    assert parse(told(**changed), 100) is None


@given(anything, st.dictionaries(st.sampled_from(sorted(told())), anything))
def test_no_document_raises(other: Any, changed: dict[str, Any]) -> None:
    parse(other, 100)
    parse(told(**changed), 100)


def test_the_oldest_slices_go_first() -> None:
    slices = [Slice(place, place + 1, 1, GPUS) for place in range(SLICES + 7)]
    assert bounded(slices, 0) == 7
    assert bounded(slices, 100) == 100
    assert bounded(slices[:5], 0) == 0


def test_few_sets_of_gpus_are_told() -> None:
    slices = [Slice(place, place + 1, 1, frozenset({str(place)})) for place in range(40)]
    assert bounded(slices, 0) == 40 - SETS
