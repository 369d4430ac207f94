"""What may go on for long is said once a minute at most."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from otelext.gpu.minute import OnceAMinute

MINUTE = 60 * 10**9


@given(st.lists(st.integers(0, 2 * MINUTE)))
def test_what_is_said_is_a_minute_apart_and_never_withheld_for_longer(gaps: list[int]) -> None:
    now, said = 0, []
    say = OnceAMinute(clock=lambda: now)
    for gap in gaps:
        now += gap
        if say():
            said.append(now)
        assert now - said[-1] < MINUTE
    assert all(after - before >= MINUTE for before, after in pairwise(said))
