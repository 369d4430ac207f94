"""How long exports may still take: without a bound while the service runs, until a deadline when it is to end."""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator


class Patience:
    """The moment by which every export must have ended, and how those who wait between two attempts learn of it."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start anew, as a forked child does."""
        self._deadline = inf
        self._longest = inf
        self._hurried = threading.Event()

    def remaining(self) -> float:
        """Seconds that an attempt may take; infinite while nobody waits for it."""
        return min(self._longest, self._deadline - monotonic())

    @property
    def hurried(self) -> bool:
        """Whether somebody waits for the exports to end."""
        return self._hurried.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait between two attempts.

        Returns:
            Whether to give up, since somebody is in a hurry.
        """
        return self._hurried.wait(seconds)

    def end_within(self, seconds: float) -> None:
        """Let every attempt end within `seconds`. For signal handlers: unlike `hurry`, it takes no lock."""
        self._deadline = monotonic() + seconds

    def hurry(self, seconds: float) -> None:
        """End every export within `seconds`; those that wait for another attempt give up now."""
        self.end_within(seconds)
        self._hurried.set()

    @contextmanager
    def shorter(self, seconds: float) -> Iterator[None]:
        """Let no attempt take longer than `seconds` for a while: the process may have to end soon."""
        self._longest = seconds
        try:
            yield
        finally:
            self._longest = inf

    @contextmanager
    def hurrying(self, seconds: float) -> Iterator[None]:
        """Be in a hurry for a while: for a flush that the service may survive."""
        self.hurry(seconds)
        mine = self._deadline
        try:
            yield
        finally:
            if self._deadline == mine:  # else the process has begun to end meanwhile
                self._deadline = inf
                self._hurried.clear()


PATIENCE: Final = Patience()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=PATIENCE.reset)
