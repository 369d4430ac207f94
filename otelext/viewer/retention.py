"""How much a store keeps: bounds in time and size, and the deletion of what lies beyond them."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otelext.viewer.formats import counted
from otelext.viewer.schema import TABLES

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

SMALLEST_SIZE: Final = 16_000_000
"""Bytes below which a bound in size cannot be held: every column of a table takes a block or two."""

_SHARE: Final = 0.2
_MOST_ROUNDS: Final = 3


@dataclass(frozen=True)
class Bounds:
    """What a store may hold.

    Attributes:
        age_s: Age by the time of receipt, in seconds, beyond which data goes.
        size: Bytes beyond which the oldest data goes: of the file and its write-ahead log, or of memory.
    """

    age_s: float = 24 * 3600.0
    size: int = 1_000_000_000

    def __post_init__(self) -> None:
        if self.age_s <= 0:
            raise ValueError(f"the greatest age is {self.age_s} s, and must be more than 0")
        if self.size < SMALLEST_SIZE:
            raise ValueError(f"the greatest size is {counted(self.size, 'byte')}, and must be {SMALLEST_SIZE} or more")


def size_of(connection: duckdb.DuckDBPyConnection, path: Path | None) -> int:
    """Bytes in use by the store: blocks of the file and its write-ahead log, or, without a file, memory."""
    if path is None:
        query = "SELECT sum(memory_usage_bytes) FROM duckdb_memory()"
    else:
        query = "SELECT sum(used_blocks * block_size) FROM pragma_database_size() WHERE database_name = 'store'"
    row = connection.execute(query).fetchone()
    used = int(row[0] or 0) if row else 0
    if path is not None:
        log = path.with_name(path.name + ".wal")
        with contextlib.suppress(FileNotFoundError):  # a checkpoint removes it
            used += log.stat().st_size
    return used


def enforce(connection: duckdb.DuckDBPyConnection, path: Path | None, bounds: Bounds, now_ns: int | None = None) -> int:
    """Delete what lies beyond the bounds. Readers keep the snapshot they began with and never wait.

    Args:
        connection: The only connection that writes.
        path: The store's file, or None for one in memory.
        bounds: What to keep.
        now_ns: Present time in Unix nanoseconds, the clock's when not given.

    Returns:
        Rows deleted.
    """
    now_ns = time.time_ns() if now_ns is None else now_ns
    deleted = _delete_until(connection, now_ns - int(bounds.age_s * 1e9))
    if deleted:
        connection.execute("CHECKPOINT store")
    for _ in range(_MOST_ROUNDS):
        if size_of(connection, path) <= bounds.size:
            break
        # Data counts in full until a checkpoint has compressed it and freed what was deleted.
        connection.execute("CHECKPOINT store")
        used = size_of(connection, path)
        if used <= bounds.size:
            break
        row = connection.execute(_OLDEST, [max(_SHARE, 1 - 0.8 * bounds.size / used)]).fetchone()
        if row is None or row[0] is None:
            break
        deleted += _delete_until(connection, int(row[0]))
        connection.execute("CHECKPOINT store")
        if size_of(connection, path) > bounds.size:
            _rewrite(connection)
    return deleted


_OLDEST = "SELECT quantile_disc(received_ns, ?) FROM ({})".format(  # noqa: S608 (names of our own tables)
    " UNION ALL ".join(f"SELECT received_ns FROM {table}" for table in TABLES)  # noqa: S608
)


def _rewrite(connection: duckdb.DuckDBPyConnection) -> None:
    """Write the tables anew: a row group frees its space only when all of its rows are gone, and in memory, or with
    long rows, one group can be a large part of a small store.
    """
    for table in TABLES:
        connection.execute(f"CREATE OR REPLACE TABLE {table} AS FROM {table}")
    connection.execute("CHECKPOINT store")


def _delete_until(connection: duckdb.DuckDBPyConnection, received_ns: int) -> int:
    deleted = 0
    for table in TABLES:
        row = connection.execute(f"DELETE FROM {table} WHERE received_ns <= ?", [received_ns]).fetchone()  # noqa: S608
        deleted += int(row[0]) if row else 0
    return deleted
