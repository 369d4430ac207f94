"""How much redaction took away, by kind: what `otelext.redacted` tells."""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING, Final

from otelext import semconv

if TYPE_CHECKING:
    from collections.abc import Iterable


class Counts:
    """Counts by kind that many threads add to without a lock."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Start at 0 again, as a forked child does."""
        # `next` of one is atomic, as an addition to an int is not.
        self._counters = {kind: count() for kind in semconv.REDACTED_KINDS}
        self._values = dict.fromkeys(semconv.REDACTED_KINDS, 0)

    def add(self, kind: str, number: int = 1) -> None:
        """Count what was taken away.

        Args:
            kind: One of `semconv.REDACTED_KINDS`.
            number: How many.
        """
        counter = self._counters[kind]
        for _ in range(number):
            self._values[kind] = next(counter) + 1

    def of(self, kind: str) -> int:
        """The count of a kind."""
        return self._values[kind]

    def read(self) -> Iterable[tuple[int, dict[str, str]]]:
        """Counts with their attributes, as an observable instrument reads them; kinds that never came are left out."""
        for kind, value in tuple(self._values.items()):
            if value:
                yield value, {semconv.REDACTED_KIND: kind}


COUNTS: Final = Counts()
"""The process's counts."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=COUNTS.forget)
