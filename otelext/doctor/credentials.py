"""Keeps credentials out of what is printed, whoever quotes them: a receiver's answer may."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable

    from otelext.doctor.endpoint import Endpoint
    from otelext.doctor.finding import Finding
    from otelext.doctor.settings import Access

    _F = TypeVar("_F", bound=Finding)

_SCHEMES: Final = ("bearer", "basic")
HIDDEN: Final = "****"
_SHORTEST: Final = 4
"""Shorter than this nothing is a secret, and replacing it would make a text unreadable."""


@dataclass(frozen=True)
class Credentials:
    """Values that must not be printed."""

    values: tuple[str, ...]

    @classmethod
    def of(cls, endpoints: Iterable[Endpoint], accesses: Iterable[Access]) -> Credentials:
        """Those of addresses and headers."""
        found: set[str] = set()
        places: list[Endpoint | Access] = [*endpoints, *accesses]
        for place in places:
            parts = place.parts
            user = parts.netloc.rpartition("@")[0]
            found |= {user, *user.split(":"), unquote(parts.password or ""), parts.query}
            for name, value in place.headers:
                # The name of a tenant is none, and helps to find it.
                if name.lower() != "x-scope-orgid":
                    found |= _of_header(value)
        return cls(tuple(sorted((value for value in found if len(value) >= _SHORTEST), key=len, reverse=True)))

    def hidden(self, finding: _F) -> _F:
        """The same finding without them."""
        return replace(
            finding,
            summary=self._without(finding.summary),
            cause=finding.cause and self._without(finding.cause),
            next_step=finding.next_step and self._without(finding.next_step),
            evidence=tuple(map(self._without, finding.evidence)),
        )

    def _without(self, text: str) -> str:
        for value in self.values:
            text = text.replace(value, HIDDEN)
        return text


def _of_header(value: str) -> set[str]:
    """A header's value and its words, but for the scheme that it may begin with."""
    words = value.split()
    if words and words[0].lower() in _SCHEMES:
        del words[0]
    return {value, *words} if words else set()
