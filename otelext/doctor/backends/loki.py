"""Loki: the canary's line, by its moment and by its trace, and the lines of Collectors.

https://grafana.com/docs/loki/latest/reference/loki-http-api/.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from otelext import semconv
from otelext.doctor.backends.api import UnansweredError
from otelext.doctor.backends.exposition import scraped
from otelext.doctor.backends.health import looked, succeeded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelext.doctor.backends.api import Api
    from otelext.doctor.backends.health import Health
    from otelext.doctor.canary import Canary

DISCARDED: Final = "loki_discarded_samples_total"
_UNAVAILABLE: Final = 503
_SERVICE: Final = f'{{service_name="{semconv.CANARY_SERVICE}"}}'
_NS: Final = 10**9


@dataclass(frozen=True)
class Line:
    """One entry.

    Attributes:
        labels: Labels and structured metadata.
        text: The line.
        at: Its moment, in nanoseconds since the epoch.
    """

    labels: Mapping[str, str]
    text: str
    at: int


@dataclass(frozen=True)
class Loki:
    """One server.

    Attributes:
        api: How it is asked.
        name: As people call it.
    """

    api: Api
    name: str = "Loki"

    def look(self) -> Health:
        """Whether it answers, and what it discarded so far."""
        found = looked(self.api, "/loki/api/v1/labels", succeeded)
        return replace(found, text=self._not_ready(), counts=self.counts()) if found.answers else found

    def counts(self) -> Mapping[str, float]:
        """Lines that it discarded so far by reason, empty where it does not tell."""
        return scraped(self.api, frozenset({DISCARDED}))

    def line(self, canary: Canary) -> Line | None:
        """The canary's line, found by its moment; raises `UnansweredError`."""
        found = self.lines(_SERVICE, canary.moment, canary.moment + 1, 10)
        return found[0] if found else None

    def line_of_trace(self, canary: Canary, trace_id: str) -> Line | None:
        """The canary's line, found by the id of a trace; raises `UnansweredError`."""
        begin, end = canary.moment - _NS, canary.moment + _NS
        found = self.lines(f'{_SERVICE} | trace_id="{trace_id}"', begin, end, 1)
        return found[0] if found else None

    def lines(self, query: str, begin: int, end: int, limit: int) -> list[Line]:
        """The newest entries that match, within nanoseconds since the epoch, `end` left out.

        Raises:
            UnansweredError: It can't be asked.
        """
        found = self.api.ask("/loki/api/v1/query_range", query=query, start=begin, end=end, limit=limit)
        return [
            Line(stream["stream"], entry[1], int(entry[0]))
            for stream in found["data"]["result"]
            for entry in stream["values"]
        ]

    def recent(self, query: str, seconds: float, limit: int = 20) -> list[Line]:
        """The newest entries of the last seconds; raises `UnansweredError`."""
        now = time.time_ns()
        return self.lines(query, now - int(seconds * _NS), now + 60 * _NS, limit)

    def _not_ready(self) -> str:
        """Why it says that it isn't, empty where it is or does not say."""
        try:
            response = self.api.get("/ready")
        except UnansweredError:
            return ""
        return response.shortened if response.status == _UNAVAILABLE else ""
