"""The store: one DuckDB database, one thread that writes, any number of readers."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import duckdb

from otelext.viewer.errors import BatchTooLargeError, StoreBusyError, StoreError, StoreLockedError
from otelext.viewer.formats import counted
from otelext.viewer.retention import Bounds, enforce
from otelext.viewer.schema import INSERTIONS, TABLES, prepare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Self

    Rows = Mapping[str, Sequence[tuple[object, ...]]]

_log = logging.getLogger(__name__)

_MOST_WAITING: Final = 100_000
_MOST_WAITING_BYTES: Final = 64_000_000
_LARGEST_BATCH: Final = 64_000_000
_MOST_AT_ONCE: Final = 50_000
_MOST_AT_ONCE_BYTES: Final = 16_000_000
_RETENTION_EVERY_S: Final = 10.0
# Space is freed by row group, so small ones hold a bound in size more closely; must be a multiple of 2,048.
_ROW_GROUP: Final = 16_384


@dataclass(frozen=True)
class _Batch:
    rows: Rows
    count: int
    size: int
    committed: Future[None]


class Store:
    """Spans, metric points and log records in DuckDB.

    Args:
        path: The file, made when it is missing; None keeps everything in memory.
        bounds: What to keep.
        read_only: Open an existing file for reading alone, without a writer.

    Raises:
        StoreLockedError: Another process holds the file.
        StoreError: The file cannot be opened, is of a newer version, or is no store of otelext.
    """

    def __init__(self, path: Path | None = None, bounds: Bounds | None = None, *, read_only: bool = False) -> None:
        self.path = path
        self.bounds = bounds or Bounds()
        self._root = _open(path, self.bounds, read_only=read_only)
        self._root_lock = threading.Lock()
        self._waiting: deque[_Batch] = deque()
        self._waiting_rows = 0
        self._waiting_bytes = 0
        self._wake = threading.Condition()
        self._closing = False
        self._writer: threading.Thread | None = None
        if not read_only:
            self._writer = threading.Thread(target=self._write, name="otelext-store-writer", daemon=True)
            self._writer.start()

    def submit(self, rows: Rows) -> Future[None]:
        """Queue rows to be written; the future is done when they are committed.

        Args:
            rows: Tuples by table, in the order of the table's columns.

        Raises:
            BatchTooLargeError: The rows are larger than what is written at once. Nothing was queued.
            StoreBusyError: Too many rows wait already, or the store is closing. Nothing was queued.
        """
        count = sum(map(len, rows.values()))
        future: Future[None] = Future()
        if not count:
            future.set_result(None)
            return future
        size = _size_of(rows)
        if size > _LARGEST_BATCH:
            raise BatchTooLargeError(
                f"{counted(count, 'record')} came to {size} characters, each with its resource and scope, "
                f"and may come to {_LARGEST_BATCH}: send fewer at once, or smaller resources"
            )
        future.set_running_or_notify_cancel()  # who waits may give up, but the writer's answer always has its place
        with self._wake:
            if self._closing or self._writer is None:
                raise StoreBusyError("the store is closing")
            too_much = self._waiting_rows + count > _MOST_WAITING or self._waiting_bytes + size > _MOST_WAITING_BYTES
            if self._waiting and too_much:
                raise StoreBusyError(f"{counted(self._waiting_rows, 'record')} waiting to be written")
            self._waiting.append(_Batch(rows, count, size, future))
            self._waiting_rows += count
            self._waiting_bytes += size
            self._wake.notify()
        return future

    @property
    def waiting_rows(self) -> int:
        """Rows that wait for the writer."""
        return self._waiting_rows

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of its own for one reader, within one snapshot of the store."""
        cursor = self._cursor()
        try:
            cursor.begin()
            yield cursor
        finally:
            cursor.close()

    def close(self) -> None:
        """Write what waits and close the file. May be called again."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if self._writer is not None:
            self._writer.join()
        with self._root_lock:
            self._root.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        with self._root_lock:
            cursor = self._root.cursor()
        cursor.execute("USE store")
        return cursor

    def _write(self) -> None:
        cursor = self._cursor()
        due = time.monotonic() + _RETENTION_EVERY_S
        while True:
            with self._wake:
                while not self._waiting and not self._closing and time.monotonic() < due:
                    self._wake.wait(due - time.monotonic())
                batches = self._take()
                if not batches and self._closing:
                    break
            if batches:
                _insert_each(cursor, batches)
            if time.monotonic() >= due:
                self._retain(cursor)
                due = time.monotonic() + _RETENTION_EVERY_S
        try:
            cursor.execute("CHECKPOINT store")
        except Exception:  # noqa: BLE001 (closing goes on)
            _log.warning("the store could not be checkpointed; its write-ahead log stays beside it", exc_info=True)
        cursor.close()

    def _take(self) -> list[_Batch]:
        batches: list[_Batch] = []
        taken = size = 0
        while self._waiting and taken < _MOST_AT_ONCE and size < _MOST_AT_ONCE_BYTES:
            batch = self._waiting.popleft()
            batches.append(batch)
            taken += batch.count
            size += batch.size
        self._waiting_rows -= taken
        self._waiting_bytes -= size
        return batches

    def _retain(self, cursor: duckdb.DuckDBPyConnection) -> None:
        try:
            enforce(cursor, self.path, self.bounds)
        except Exception:  # noqa: BLE001 (the writer must outlive it)
            _log.warning("old data could not be deleted from the store; it is tried again", exc_info=True)


def _insert_each(cursor: duckdb.DuckDBPyConnection, batches: list[_Batch]) -> None:
    """Commit all batches in one transaction, or each by itself when that fails."""
    try:
        _insert(cursor, [batch.rows for batch in batches])
    except Exception as error:  # noqa: BLE001 (the writer must outlive it, and each sender be told)
        if len(batches) > 1:
            for batch in batches:
                _insert_each(cursor, [batch])
        else:
            reason = f"{type(error).__name__}: {error}"
            _log.warning("%s could not be stored: %s", counted(batches[0].count, "record"), reason)
            batches[0].committed.set_exception(StoreError(f"the store could not be written: {reason}"))
    else:
        for batch in batches:
            batch.committed.set_result(None)


def _insert(cursor: duckdb.DuckDBPyConnection, batches: list[Rows]) -> None:
    cursor.begin()
    try:
        for table, columns in TABLES.items():
            for rows in _slices(row for batch in batches for row in batch.get(table, ())):
                payload = json.dumps(dict(zip(columns, zip(*rows, strict=True), strict=True)), ensure_ascii=False)
                cursor.execute(INSERTIONS[table], [payload])
        cursor.commit()
    except BaseException:
        cursor.rollback()
        raise


def _size_of(rows: Rows) -> int:
    """Characters of text, and members of lists, in all rows: a row repeats what its request said once."""
    return sum(_row_size(row) for table in rows.values() for row in table)


def _row_size(row: tuple[object, ...]) -> int:
    return sum(len(value) for value in row if isinstance(value, (str, list)))


def _slices(rows: Iterable[tuple[object, ...]]) -> Iterator[list[tuple[object, ...]]]:
    """The rows in parts that each fit the memory of one insertion, which holds their text several times."""
    part: list[tuple[object, ...]] = []
    size = 0
    for row in rows:
        part.append(row)
        size += _row_size(row)
        if size >= _MOST_AT_ONCE_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part


def _open(path: Path | None, bounds: Bounds, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": str(min(4, os.cpu_count() or 1)),
            # Beyond this DuckDB refuses to write, and the sender is told to come again.
            "memory_limit": f"{(2 * bounds.size + 512_000_000) // 1_000_000}MB",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "temp_directory": "" if path is None else f"{path}.tmp",
        },
    )
    target = ":memory:" if path is None else str(path).replace("'", "''")
    options = "READ_ONLY" if read_only else f"ROW_GROUP_SIZE {_ROW_GROUP}"
    try:
        connection.execute(f"ATTACH '{target}' AS store ({options})")
        connection.execute("USE store")
        prepare(connection, str(path), read_only=read_only)
    except duckdb.Error as error:
        connection.close()
        if "Could not set lock on file" in str(error):
            raise StoreLockedError(f"the store {path} is held by another process") from error
        raise StoreError(f"the store {path} cannot be opened: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection
