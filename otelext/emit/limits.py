"""Bounds on the values of metric attributes, so that a caller's mistake can't blow up the backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelext import semconv

if TYPE_CHECKING:
    from collections.abc import Iterable


class ValueLimits:
    """At most so many distinct values for each attribute in this process; what comes later becomes `other`.

    Declared values always keep their place; values that come with requests share what is left.
    """

    def __init__(self, maximum: int = semconv.MAX_VALUES, maxima: dict[str, int] | None = None) -> None:
        """Make limits.

        Args:
            maximum: Distinct values of an attribute.
            maxima: Other numbers for some attributes; 64 for `vlm.stage` if None.
        """
        self._maximum = maximum
        self._maxima = {semconv.STAGE: semconv.MAX_STAGES} if maxima is None else maxima
        self._admitted: dict[str, dict[str, str]] = {}
        for key, values in semconv.ALWAYS_KEPT.items():
            self.declare(key, values)

    def declare(self, key: str, values: Iterable[str]) -> None:
        """Keep a place for `values` of the attribute `key`, whatever else comes."""
        admitted = self._admitted.setdefault(key, {})
        for value in values:
            admitted[value] = value

    def admit(self, key: str, value: str) -> str:
        """`value`, or `other` where the attribute `key` has its full number of values already."""
        admitted = self._admitted.get(key)
        if admitted is None:
            admitted = self._admitted[key] = {}
        found = admitted.get(value)
        if found is not None:
            return found
        if len(admitted) >= self._maxima.get(key, self._maximum):
            return semconv.OTHER
        admitted[value] = value
        return value
