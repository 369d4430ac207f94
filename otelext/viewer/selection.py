"""What of a store is asked for: a time range, and all services or some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otelext.viewer.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Collection

    import duckdb

OF_SERVICES: Final = "(len($services::VARCHAR[]) = 0 OR list_contains($services::VARCHAR[], service))"
"""A condition on any of the store's tables; `$services` is `Selection.services`."""


@dataclass(frozen=True)
class Selection:
    """A part of the store's data.

    Attributes:
        since_ns: Beginning in Unix nanoseconds; None takes everything there is.
        until_ns: End in Unix nanoseconds, included.
        services: Names of services; empty takes all.
    """

    since_ns: int | None
    until_ns: int
    services: tuple[str, ...] = ()


def known_services(reader: duckdb.DuckDBPyConnection) -> list[str]:
    """Names of all services that the store has data of."""
    names = reader.execute(
        "SELECT service FROM spans UNION SELECT service FROM points UNION SELECT service FROM logs ORDER BY 1"
    ).fetchall()
    return [name for (name,) in names if name]


def check_services(asked: Collection[str], known: Collection[str]) -> None:
    """Refuse names of services that sent nothing; while nobody has, every name is as good.

    Raises:
        QueryError: A name is unknown; the message lists those that are known.
    """
    unknown = [name for name in asked if name not in known]
    if known and unknown:
        raise QueryError(f"no service {unknown[0][:64]!r} has sent anything; known: {', '.join(map(repr, known))}")
