from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext.doctor import clock
from otelext.doctor.clock import Skew
from otelext.doctor.sender import parse_date

NOW = 1_800_000_000.0


@given(st.floats(-1e6, 1e6), st.floats(0, 0.999), st.floats(0, 5))
def test_the_true_difference_lies_within_the_uncertainty(offset: float, fraction: float, travelled: float) -> None:
    """A server whose clock is ahead by `offset` answers somewhere between being asked and the answer's arrival."""
    asked, received = NOW + fraction, NOW + fraction + travelled
    for answered in (asked, received):
        date = parse_date(formatdate(answered + offset, usegmt=True))
        found = clock.between(date, asked, received)
        assert found.seconds is not None
        assert abs(found.seconds - offset) <= found.uncertainty + 1e-6


def test_without_a_date_nothing_is_known() -> None:
    for text in (None, "", "yesterday"):
        assert parse_date(text) is None
    assert clock.between(None, 0, 1) == Skew(None, 0.0)
    assert clock.examine({"Loki": Skew(None, 0.0)}).level == "skipped"


@given(st.dictionaries(st.sampled_from("abcd"), st.floats(-1.4, 1.4), min_size=1))
def test_clocks_that_agree_are_fine(offsets: dict[str, float]) -> None:
    found = clock.examine({name: Skew(value, 0.5) for name, value in offsets.items()})
    assert found.level == "ok"
    assert found.cause is None


@pytest.mark.parametrize(
    ("seconds", "level"), [(3.0, "warning"), (-30.0, "warning"), (61.0, "error"), (-3600.0, "error")]
)
def test_how_much_is_too_much(seconds: float, level: str) -> None:
    found = clock.examine({"Jaeger": Skew(seconds, 0.5), "Loki": Skew(seconds + 0.3, 0.5)})
    assert found.level == level
    assert "this machine's clock is wrong" in str(found.cause)
    assert ("behind" if seconds > 0 else "ahead of") in found.summary
    assert "timedatectl" in str(found.next_step)


def test_one_server_that_is_off_is_named() -> None:
    found = clock.examine({"Jaeger": Skew(0.1, 0.5), "Loki": Skew(-120.0, 0.5), "Prometheus": Skew(0.0, 0.5)})
    assert "Loki is 2 min behind" in found.summary
    assert "the others agree with this machine's" in str(found.cause)


def test_harm_is_this_machine_s_alone() -> None:
    ahead = Skew(-3600.0, 0.5)  # the servers are behind it
    fine = Skew(0.0, 0.5)
    assert clock.harm([ahead, ahead]) == 3600.0
    assert clock.harm([ahead, ahead, fine]) == 3600.0
    assert clock.harm([ahead, fine]) is None
    assert clock.harm([fine]) is None
    assert clock.harm([Skew(-30.0, 0.5)]) is None
    assert clock.harm([]) is None


def test_dates_are_those_of_http() -> None:
    assert parse_date(formatdate(1_800_000_000, usegmt=True)) == 1_800_000_000
    assert abs(time.time() - (parse_date(formatdate(usegmt=True)) or 0)) < 5
