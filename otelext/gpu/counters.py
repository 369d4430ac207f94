"""Counters of a driver as counters of ours: they begin at 0, and no wrap and no reset takes anything back."""

from __future__ import annotations

from typing import Final

_WRAPS_AT: Final = 2**32
_NEAR: Final = 0.75


class Counter:
    """What a counter of the driver has gone up by.

    Attributes:
        total: By how much so far.
    """

    __slots__ = ("_last", "_wraps", "total")

    def __init__(self, *, wraps: bool = False) -> None:
        """Begin at 0.

        Args:
            wraps: Whether the driver's has 32 bits. Else one that goes down begins anew, as when the driver is loaded.
        """
        self.total = 0
        self._wraps = wraps
        self._last: int | None = None

    def take(self, raw: int) -> int:
        """Take a reading; the first, and the first after a rest, is where it goes on. Returns the total."""
        last, self._last = self._last, raw
        if last is None:
            return self.total
        if raw >= last:
            self.total += raw - last
        elif self._wraps and _NEAR * _WRAPS_AT < last < _WRAPS_AT and raw < (1 - _NEAR) * _WRAPS_AT:
            self.total += raw + _WRAPS_AT - last
        else:
            self.total += raw  # the driver was loaded anew, and counts from 0
        return self.total

    def rest(self) -> None:
        """Leave out what follows up to the next reading: another process counts it."""
        self._last = None


class Integral:
    """Energy from power that is read now and then, by trapezoids.

    Attributes:
        joules: So far.
    """

    __slots__ = ("_at_ns", "_longest_ns", "_watts", "joules")

    def __init__(self, longest_ns: int) -> None:
        """Begin at 0.

        Args:
            longest_ns: The longest gap between two readings over which a straight line stands for what was.
        """
        self.joules = 0.0
        self._longest_ns = longest_ns
        self._at_ns: int | None = None
        self._watts = 0.0

    def take(self, at_ns: int, watts: float) -> float:
        """Take a reading. Returns the total."""
        if self._at_ns is not None and 0 < at_ns - self._at_ns <= self._longest_ns:
            self.joules += (self._watts + watts) / 2 * (at_ns - self._at_ns) / 1e9
        self._at_ns, self._watts = at_ns, watts
        return self.joules

    def rest(self) -> None:
        """Leave out what follows up to the next reading."""
        self._at_ns = None
