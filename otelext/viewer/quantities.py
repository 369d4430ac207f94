"""Durations and sizes as people write them."""

from __future__ import annotations

import re
from typing import Final

_DURATION_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE_UNITS: Final = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KIB": 2**10,
    "MIB": 2**20,
    "GIB": 2**30,
    "TIB": 2**40,
}
_QUANTITY: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?([a-zA-Z]*)")
_LONGEST_S: Final = 100 * 365 * 86400.0


def parse_duration(text: str) -> float:
    """Seconds in a text such as `90s`, `15m`, `1.5h` or `7d`; a bare number is seconds.

    Raises:
        ValueError: The text is no such duration, or not between 0 and 100 years.
    """
    match = _QUANTITY.fullmatch(text.strip())
    unit = _DURATION_UNITS.get(match[2] or "s") if match else None
    if match is None or unit is None:
        raise ValueError(f"{text[:64]!r} is no duration, must be a number with ms, s, m, h or d, as in 90s or 1.5h")
    seconds = float(match[1]) * unit
    if not 0 < seconds <= _LONGEST_S:
        raise ValueError(f"{text[:64]!r} is no usable duration, must be more than 0 and at most 100 years")
    return seconds


def parse_size(text: str) -> int:
    """Bytes in a text such as `500MB`, `1GB` or `2GiB`; a bare number is bytes.

    Raises:
        ValueError: The text is no such size.
    """
    match = _QUANTITY.fullmatch(text.strip())
    unit = _SIZE_UNITS.get((match[2] or "B").upper()) if match else None
    if match is None or unit is None:
        raise ValueError(f"{text[:64]!r} is no size, must be a number with B, kB, MB, GB, MiB or GiB, as in 500MB")
    return int(float(match[1]) * unit)
