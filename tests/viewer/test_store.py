from __future__ import annotations

import json
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import duckdb
import httpx
import pytest

from otelext.viewer import store as store_module
from otelext.viewer.errors import BatchTooLargeError, StoreBusyError, StoreError, StoreLockedError
from otelext.viewer.points import PointRow
from otelext.viewer.retention import Bounds, enforce, size_of
from otelext.viewer.schema import SCHEMA_VERSION, TABLES
from otelext.viewer.signals import LOGS, METRICS, TRACES
from otelext.viewer.spans import LogRow, SpanRow
from otelext.viewer.store import Store
from tests.viewer import messages
from tests.viewer.running import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.viewer.running import RunningViewer

HOUR_NS = 3600 * 10**9


def keep(store: Store, count: int = 1, *, received_ns: int | None = None, padding: int = 0) -> None:
    flattened = TRACES.flatten(messages.traces(count, padding=padding), received_ns or time.time_ns())
    store.submit(flattened.rows).result(30)


def count(store: Store, table: str = "spans") -> int:
    with store.reading() as reader:
        row = reader.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(("row", "table"), [(SpanRow, "spans"), (PointRow, "points"), (LogRow, "logs")])
def test_rows_have_their_tables_columns_in_order(row: Any, table: str) -> None:
    assert row._fields == tuple(TABLES[table])


def test_what_is_committed_is_read_back_to_the_bit(store: Store) -> None:
    request = messages.traces()
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.name = "nul \0, quotes ' \" and 한글 \U0001f600"
    span.end_time_unix_nano = 2**63 - 1
    span.attributes.extend(messages.attributes({"not a number": float("nan"), "endless": float("-inf")}))
    store.submit(TRACES.flatten(request, 5).rows).result(30)
    with store.reading() as reader:
        row = reader.execute(
            "SELECT name, end_ns, trace_id, attributes->>'$.\"not a number\"', attributes->>'$.endless' FROM spans"
        ).fetchone()
    assert row == (span.name, 2**63 - 1, span.trace_id.hex(), "NaN", "-Infinity")


def test_metric_points_keep_64_bit_counts_and_non_finite_values(store: Store) -> None:
    request = messages.histogram("h", [2**64 - 1], [], start_ns=1, time_ns=2, total=float("inf"))
    store.submit(METRICS.flatten(request, 5).rows).result(30)
    with store.reading() as reader:
        assert reader.execute("SELECT bucket_counts, value_count, sum FROM points").fetchone() == (
            [2**64 - 1],
            2**64 - 1,
            float("inf"),
        )


def test_a_file_is_there_again_after_closing(tmp_path: Path) -> None:
    path = tmp_path / "it's a store.duckdb"
    with Store(path) as store:
        keep(store, 3)
        store.submit(LOGS.flatten(messages.logs(2), 5).rows).result(30)
    with Store(path) as again:
        assert (count(again), count(again, "logs")) == (3, 2)
    with Store(path, read_only=True) as reading:
        assert count(reading) == 3
        with pytest.raises(StoreBusyError):
            reading.submit({"spans": [()]})


def test_what_was_answered_survives_kill_9(view: Callable[..., RunningViewer], tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    viewer = view("--store", str(path))
    headers = {"content-type": "application/x-protobuf"}
    sent = 0
    for _ in range(20):
        body = messages.traces(100, padding=200).SerializeToString()
        answer = httpx.post(f"{viewer.otlp_http}/v1/traces", content=body, headers=headers, trust_env=False)
        sent += 100 if answer.status_code == 200 else 0
    code, _, _ = viewer.stop(signal.SIGKILL)
    assert code == -signal.SIGKILL
    with Store(path, read_only=True) as reading:
        assert count(reading) == sent == 2000
    with Store(path) as again:
        keep(again)
        assert count(again) == sent + 1


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    Store(path).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("UPDATE otelext_store SET schema_version = schema_version + 1")
    with pytest.raises(StoreError, match=f"has schema version {SCHEMA_VERSION + 1}, and this otelext reads version"):
        Store(path)


def test_what_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "block notes.txt"  # DuckDB's error about a held file speaks of a lock
    text.write_text("mine\n" * 5000)
    with pytest.raises(StoreError, match=r"notes\.txt cannot be opened"):  # and not that it is held
        Store(text)
    assert text.read_text() == "mine\n" * 5000
    other = tmp_path / "other.duckdb"
    with duckdb.connect(str(other)) as connection:
        connection.execute("CREATE TABLE mine (a INTEGER)")
    with pytest.raises(StoreError, match="not a store of otelext"):
        Store(other)


def test_a_file_that_a_viewer_holds_is_said_to_be_held(view: Callable[..., RunningViewer], tmp_path: Path) -> None:
    path = tmp_path / "store.duckdb"
    view("--store", str(path))
    with pytest.raises(StoreLockedError, match="is held by another process"):
        Store(path, read_only=True)


def test_a_full_queue_refuses_and_loses_nothing_that_it_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_MOST_WAITING", 1000)
    writing, go = threading.Event(), threading.Event()
    insert = store_module._insert

    def held(*arguments: Any) -> None:
        writing.set()
        assert go.wait(30)
        insert(*arguments)

    monkeypatch.setattr(store_module, "_insert", held)
    rows = TRACES.flatten(messages.traces(600), 5).rows
    with Store(tmp_path / "store.duckdb") as store:
        taken = [store.submit(rows)]
        assert writing.wait(30)
        taken.append(store.submit(rows))
        with pytest.raises(StoreBusyError, match="600 records wait"):
            store.submit(rows)
        go.set()
        for future in taken:
            future.result(30)
        assert count(store) == 1200


def test_one_batch_that_cannot_be_stored_takes_no_other_with_it(store: Store) -> None:
    wrong = store.submit({"spans": [("too", "short")]})
    right = store.submit(TRACES.flatten(messages.traces(2), 5).rows)
    with pytest.raises(StoreError):
        wrong.result(30)
    right.result(30)
    assert count(store) == 2


def test_a_writer_outlives_any_error(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    unserialisable = store.submit({"spans": [tuple(object() for _ in TABLES["spans"])]})
    with pytest.raises(StoreError, match="could not be written: TypeError"):
        unserialisable.result(30)

    failed = threading.Event()

    def fail(*_: Any) -> int:
        failed.set()
        raise OSError("the disk is gone")

    monkeypatch.setattr(store_module, "enforce", fail)
    monkeypatch.setattr(store_module, "_RETENTION_EVERY_S", 0.01)
    with Store() as another:
        assert failed.wait(30)
        keep(another, 2)
        assert count(another) == 2
    keep(store)
    assert count(store) == 1


def test_rows_of_a_long_resource_are_written_in_parts(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    longest = 0
    dumps = json.dumps

    def measured(*arguments: Any, **options: Any) -> str:
        nonlocal longest
        text: str = dumps(*arguments, **options)
        longest = max(longest, len(text))
        return text

    monkeypatch.setattr(json, "dumps", measured)
    store.submit(TRACES.flatten(messages.traces(500, resource_padding=100_000), 5).rows).result(30)
    assert count(store) == 500
    assert longest < 20_000_000
    with pytest.raises(BatchTooLargeError, match="700 records came to 7"):
        store.submit(TRACES.flatten(messages.traces(700, resource_padding=100_000), 5).rows)


def test_old_data_goes_by_its_time_of_receipt(store: Store) -> None:
    now = time.time_ns()
    keep(store, 5, received_ns=now - 25 * HOUR_NS)
    keep(store, 7, received_ns=now - 23 * HOUR_NS)
    with store.reading() as writer:
        writer.commit()
        assert enforce(writer, None, Bounds(), now) == 5
    assert count(store) == 7


@pytest.mark.parametrize("in_memory", [True, False])
def test_size_stays_bounded_and_the_newest_data_stays(tmp_path: Path, in_memory: bool) -> None:
    path = None if in_memory else tmp_path / "store.duckdb"
    bounds = Bounds(size=16_000_000)
    with Store(path) as store:
        writer = store._cursor()
        for age in range(30, 0, -1):
            keep(store, 2000, received_ns=time.time_ns() - age * 10**9, padding=1000)
            enforce(writer, path, bounds)
            assert size_of(writer, path) <= bounds.size
        oldest, newest = writer.execute("SELECT min(received_ns), max(received_ns) FROM spans").fetchone() or (0, 0)
        kept = count(store)
        writer.close()
    assert 4000 <= kept < 30_000
    assert time.time_ns() - newest < 60 * 10**9
    assert newest - oldest < 25 * 10**9


def test_a_store_deletes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_RETENTION_EVERY_S", 0.05)
    with Store(None, Bounds(age_s=0.2)) as store:
        keep(store, 5)
        until(lambda: count(store) == 0, 20)


def test_a_reader_keeps_its_snapshot_and_does_not_wait_for_deletion(store: Store) -> None:
    for _ in range(5):
        keep(store, 4000, received_ns=1)
    with store.reading() as reader:
        assert reader.execute("SELECT count(*) FROM spans").fetchone() == (20_000,)
        writer = store._cursor()
        assert enforce(writer, None, Bounds()) == 20_000
        writer.close()
        assert reader.execute("SELECT count(*) FROM spans").fetchone() == (20_000,)
    assert count(store) == 0


def test_bounds_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="greatest age is -1 s"):
        Bounds(age_s=-1)
    with pytest.raises(ValueError, match="greatest size is 5 bytes, and must be 16000000 or more"):
        Bounds(size=5)
