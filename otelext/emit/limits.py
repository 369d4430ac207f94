"""Bounds on the values of metric attributes, so that a caller's mistake can't blow up the backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelext import semconv

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any


class ValueLimits:
    """At most so many distinct values for each attribute in this process; what comes later becomes `other`.

    Declared values always keep their place; values that come with requests share what is left.

    Attributes:
        asked: Attributes that metrics have only because the user named them.
    """

    def __init__(self, maximum: int = semconv.MAX_VALUES, maxima: Mapping[str, int] | None = None) -> None:
        """Make limits.

        Args:
            maximum: Distinct values of an attribute.
            maxima: Other numbers for some attributes; the catalogue's if None.
        """
        self.asked: frozenset[str] = frozenset()
        self._maximum = maximum
        self._maxima = semconv.MAXIMA if maxima is None else maxima
        self._admitted: dict[str, set[str]] = {}
        self._declared: dict[str, list[Collection[str]]] = {}
        for key, values in semconv.ALWAYS_KEPT.items():
            self.declare(key, values)

    def declare(self, key: str, values: Collection[str]) -> None:
        """Keep a place for `values` of the attribute `key`, whatever else comes; a set may grow later."""
        declared = self._declared.setdefault(key, [])
        if not any(known is values for known in declared):
            declared.append(values)

    def tenant_in(self, attributes: Mapping[str, Any]) -> str | None:
        """The tenant that metrics name, out of a request's baggage or a span's attributes; None unless asked for."""
        if semconv.TENANT_ID not in self.asked:
            return None
        tenant = attributes.get(semconv.TENANT_ID)
        return tenant if isinstance(tenant, str) else semconv.OTHER

    def forget(self) -> None:
        """Forget which values were admitted; declared ones keep their places."""
        self._admitted = {}

    def admit(self, key: str, value: str) -> str:
        """`value`, or `other` where the attribute `key` has its full number of values already."""
        admitted = self._admitted.get(key)
        if admitted is None:
            admitted = self._admitted[key] = set()
        if value in admitted:
            return value
        declared = self._declared.get(key, ())
        if not any(value in values for values in declared):
            reserved = {name for values in declared for name in tuple(values)} - admitted
            if len(admitted) + len(reserved) >= self._maxima.get(key, self._maximum):
                return semconv.OTHER
        admitted.add(value)
        return value
