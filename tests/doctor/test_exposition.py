from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from otelext.doctor.backends.exposition import counters, risen

TEXT = """\
# HELP discarded_total The total.
# TYPE discarded_total counter
discarded_total{reason="label \\"x\\" {y}",tenant="fake"} 3
discarded_total{reason="rate"} 1e+06 1800000000000
discarded_total_more 7
plain 0.5
wrong NaN
nonsense{ 1
"""


def test_the_samples_of_the_named_metrics() -> None:
    assert counters(TEXT, frozenset({"discarded_total", "plain", "nonsense"})) == {
        'discarded_total{reason="label \\"x\\" {y}",tenant="fake"}': 3.0,
        'discarded_total{reason="rate"}': 1e6,
        "plain": 0.5,
    }


@given(
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
)
def test_rises_are_positive_and_a_counter_that_began_anew_counts_from_zero(
    before: dict[str, float], after: dict[str, float]
) -> None:
    found = risen(before, after)
    for name, value in after.items():
        start = before.get(name, 0)
        assert found.get(name, 0) == (value - start if value >= start else value)
    assert all(rise > 0 for rise in found.values())
