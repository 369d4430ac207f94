"""How many lines leave in a flood, and how many were left out: none is left out without being told."""

from __future__ import annotations

import math
from time import monotonic_ns
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_SECOND: Final = 1_000_000_000
_QUIET_NS: Final = _SECOND
_UNTOLD_NS: Final = 60 * _SECOND


class RateLimit:
    """A token bucket that counts what it turns away until somebody tells of it.

    In whole nanoseconds, so that no rounding lets one too many pass. For one caller at a time, as the worker is.
    """

    def __init__(self, per_second: float, clock: Callable[[], int] = monotonic_ns) -> None:
        """Make a full bucket.

        Args:
            per_second: How many pass a second, and how many pass at once after a pause (one at least); 0 for none.
            clock: Nanoseconds that never run backwards.
        """
        self._clock = clock
        self._open = per_second > 0
        endless = math.isinf(per_second)
        self._interval = 0 if endless or not self._open else math.ceil(_SECOND / per_second)
        self._ahead = 0 if endless else (max(1, int(per_second)) - 1) * self._interval
        self.reset()

    def reset(self) -> None:
        """Be full and have nothing to tell, as in a forked child."""
        self._next = 0  # when the bucket is full again
        self._left_out = 0
        self._first = self._last = 0

    def admit(self, *, always: bool = False) -> int | None:
        """Whether one more passes.

        Args:
            always: It passes, and takes nothing from the others' share.

        Returns:
            How many were left out since it was last told, which is told by this one; None where it is left out itself.
        """
        now = self._clock()
        if not always and not self._takes(now):
            if not self._left_out:
                self._first = now
            self._left_out += 1
            self._last = now
            return None
        return self._told()

    def over(self, *, at_once: bool = False) -> int:
        """How many were left out, once the flood is over: after a second in which none was, and each minute of it.

        Args:
            at_once: Not to wait for that.
        """
        if not self._left_out:
            return 0
        now = self._clock()
        if not at_once and now - self._last < _QUIET_NS and now - self._first < _UNTOLD_NS:
            return 0
        return self._told()

    def untold(self, count: int) -> None:
        """Take back what was to be told, as it could not be."""
        if count:
            now = self._clock()
            if not self._left_out:
                self._first = now
            self._left_out += count
            self._last = now

    def _told(self) -> int:
        left_out, self._left_out = self._left_out, 0
        return left_out

    def _takes(self, now: int) -> bool:
        begin = max(now, self._next)
        if not self._open or begin - now > self._ahead:
            return False
        self._next = begin + self._interval
        return True
