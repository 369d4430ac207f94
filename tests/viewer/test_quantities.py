from __future__ import annotations

import pytest

from otelext.viewer.quantities import parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("1.5h", 5400), ("7d", 604800), ("250ms", 0.25)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "1y", "-1h", "0", "1e9", "nan", "inf", "1 h h", "99999999999d", "200000d"])
def test_what_is_no_duration_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"no (usable )?duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"), [("5", 5), ("5B", 5), ("1GB", 10**9), ("1gb", 10**9), ("2 GiB", 2**31), ("1.5MB", 1_500_000)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "1PB", "-1GB", "1 G B"])
def test_what_is_no_size_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="no size"):
        parse_size(text)
