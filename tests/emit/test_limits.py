"""However many values callers bring, a metric attribute stays bounded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from otelext import semconv
from otelext.emit.limits import ValueLimits

values = st.text(min_size=1, max_size=6)


@given(st.lists(values, max_size=60), st.sets(values, max_size=8), st.integers(min_value=1, max_value=10))
def test_an_attribute_has_at_most_its_maximum_of_values_and_other(
    brought: list[str], declared: set[str], maximum: int
) -> None:
    limits = ValueLimits(maximum)
    limits.declare("key", declared)
    admitted = {limits.admit("key", value) for value in brought}
    assert len(admitted - {semconv.OTHER}) <= max(maximum, len(declared))
    assert admitted <= {*brought, semconv.OTHER}


@given(st.lists(values, max_size=60), st.sets(values, max_size=8))
def test_declared_values_are_kept_whatever_came_before(brought: list[str], declared: set[str]) -> None:
    limits = ValueLimits(3)
    limits.declare("key", declared)
    for value in brought:
        limits.admit("key", value)
    assert {limits.admit("key", value) for value in declared} == declared


@given(st.lists(values, max_size=60))
def test_a_value_that_was_admitted_once_stays_admitted(brought: list[str]) -> None:
    limits = ValueLimits(5)
    kept = [value for value in brought if limits.admit("key", value) == value]
    assert [limits.admit("key", value) for value in kept] == kept


def test_values_that_are_declared_later_are_kept_too() -> None:
    limits = ValueLimits(2)
    declared: set[str] = set()
    limits.declare("key", declared)
    assert [limits.admit("key", value) for value in "abc"] == ["a", "b", "other"]
    declared.add("c")
    assert [limits.admit("key", value) for value in "abcd"] == ["a", "b", "c", "other"]


def test_attributes_do_not_share_their_places() -> None:
    limits = ValueLimits(1)
    assert limits.admit("one", "a") == limits.admit("two", "a") == "a"
    assert limits.admit("one", "b") == limits.admit("two", "b") == "other"


def test_the_designs_limits_are_the_default() -> None:
    limits = ValueLimits()
    models = {limits.admit(semconv.REQUEST_MODEL, f"m{number}") for number in range(200)}
    stages = {limits.admit(semconv.STAGE, f"s{number}") for number in range(200)}
    assert len(models) == 50 + 1
    assert len(stages) == 64 - len(semconv.KNOWN_STAGES) - 1 + 1  # the known ones and `unattributed` keep their places
    assert limits.admit(semconv.STAGE, "prefill") == "prefill"
    assert limits.admit(semconv.OUTCOME, "completed") == "completed"
