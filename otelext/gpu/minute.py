"""What may go on for long is said once a minute at most."""

from __future__ import annotations

from time import perf_counter_ns
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_MINUTE_NS: Final = 60 * 10**9


class OnceAMinute:
    """Whether to say it now: called where there is something to say."""

    def __init__(self, clock: Callable[[], int] = perf_counter_ns) -> None:
        """Nothing was said so far.

        Args:
            clock: In ns.
        """
        self._clock = clock
        self._said_ns: int | None = None

    def __call__(self) -> bool:
        """True for the first call, and for one that is a minute or more after the last True."""
        now = self._clock()
        if self._said_ns is not None and now - self._said_ns < _MINUTE_NS:
            return False
        self._said_ns = now
        return True
