"""What happens to records after their request, whatever the code that the worker calls does."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from otelext.capture import failure
from otelext.emit.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEADLINE_S = 10.0


def nothing(*_: object) -> None:
    """Take anything, do nothing."""


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the worker did not get there in time"
        time.sleep(0.005)


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Closed: who waits for it is blocked until the test opens it, at its end at the latest."""
    event = threading.Event()
    yield event
    event.set()


def test_records_are_emitted_in_order_without_anybody_asking() -> None:
    seen: list[int] = []
    worker = Worker(seen.append, nothing)
    for number in range(1000):
        worker.submit(number)
    wait_until(lambda: len(seen) == 1000)
    assert seen == list(range(1000))


def test_counters_are_delivered_after_each_batch_and_not_after_each_record() -> None:
    deliveries: list[int] = []
    seen: list[int] = []
    worker = Worker(seen.append, lambda: deliveries.append(len(seen)), capacity=10_000)
    worker._thread = threading.current_thread()  # so that nothing is taken before the flush
    for number in range(2000):
        worker.submit(number)
    worker._thread = None
    assert worker.force_flush(DEADLINE_S)
    assert deliveries[-1] == 2000
    assert len(deliveries) < 100


def test_records_that_take_long_hold_no_delivery_up() -> None:
    deliveries: list[int] = []
    seen: list[int] = []

    def slow(record: int) -> None:
        threading.Event().wait(0.06)
        seen.append(record)

    worker = Worker(slow, lambda: deliveries.append(len(seen)))
    for number in range(5):
        worker.submit(number)
    assert worker.force_flush(DEADLINE_S)
    assert {1, 2, 3, 4, 5} <= set(deliveries)


def test_a_full_queue_drops_the_newest_and_counts_them(
    gate: threading.Event, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failure, "_last", {})
    seen: list[int] = []
    entered = threading.Event()

    def handle(record: int) -> None:
        entered.set()
        gate.wait()
        seen.append(record)

    worker = Worker(handle, nothing, capacity=10)
    worker.submit(-1)
    assert entered.wait(DEADLINE_S)  # in the worker's hands, no longer in the queue
    for number in range(25):
        worker.submit(number)
    assert worker.queue_size == worker.capacity == 10
    assert worker.dropped == 15
    gate.set()
    assert worker.force_flush(DEADLINE_S)
    assert seen == [-1, *range(10)]
    assert worker.queue_size == 0
    (record,) = caplog.records
    assert record.getMessage() == "otelext's queue was full (10 records): 15 were dropped so far"


def test_submitting_never_waits_for_a_blocked_handler(gate: threading.Event) -> None:
    def handle(_: object) -> None:
        gate.wait()

    worker = Worker(handle, nothing, capacity=5)
    started = time.monotonic()
    for number in range(1000):
        worker.submit(number)
    assert time.monotonic() - started < 1
    gate.set()
    assert worker.force_flush(DEADLINE_S)


@pytest.mark.parametrize("busy", [False, True])
def test_a_flush_ends_by_its_timeout_though_the_handler_blocks(gate: threading.Event, busy: bool) -> None:
    entered = threading.Event()

    def handle(_: object) -> None:
        entered.set()
        gate.wait()

    worker = Worker(handle, nothing)
    worker.submit(1)
    if busy:
        assert entered.wait(DEADLINE_S)
    started = time.monotonic()
    assert not worker.force_flush(0.2)
    assert time.monotonic() - started < 2
    gate.set()
    assert worker.force_flush(DEADLINE_S)


def test_a_flush_waits_for_the_record_that_is_being_emitted(gate: threading.Event) -> None:
    entered = threading.Event()
    finished: list[int] = []

    def handle(record: int) -> None:
        entered.set()
        gate.wait()
        finished.append(record)

    worker = Worker(handle, nothing)
    worker.submit(1)
    assert entered.wait(DEADLINE_S)
    assert worker.queue_size == 0
    threading.Timer(0.05, gate.set).start()
    assert worker.force_flush(DEADLINE_S)
    assert finished == [1]


def test_flushing_nothing_is_done_at_once_and_starts_no_thread() -> None:
    worker = Worker(nothing, nothing)
    assert worker.force_flush(0)
    assert worker._thread is None


def test_a_flush_from_within_is_refused_also_where_no_thread_can_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """As while the interpreter exits."""

    def refuse(_: threading.Thread) -> None:
        msg = "can't start new thread"
        raise RuntimeError(msg)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    answers: list[bool] = []
    worker = Worker(lambda _: answers.append(worker.force_flush(DEADLINE_S)), nothing)
    worker.submit(1)
    worker.submit(2)
    assert worker.force_flush(DEADLINE_S)
    assert answers == [False, False]


def test_a_flush_from_within_the_worker_returns_instead_of_waiting_for_itself() -> None:
    answers: list[bool] = []
    started = time.monotonic()
    worker = Worker(lambda _: answers.append(worker.force_flush(DEADLINE_S)), nothing)
    worker.submit(1)
    worker.submit(2)
    wait_until(lambda: len(answers) == 2)
    assert answers == [False, False]
    assert time.monotonic() - started < DEADLINE_S / 2
    assert worker.force_flush(DEADLINE_S)


def test_flushes_from_several_threads_all_see_their_records_emitted() -> None:
    seen: set[tuple[int, int]] = set()
    worker = Worker(seen.add, nothing)
    missing: list[tuple[int, int]] = []

    def submit_and_flush(thread: int) -> None:
        for number in range(20):
            worker.submit((thread, number))
            if not worker.force_flush(DEADLINE_S) or (thread, number) not in seen:
                missing.append((thread, number))

    threads = [threading.Thread(target=submit_and_flush, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert missing == []


def test_what_raises_is_counted_and_stops_nothing() -> None:
    seen: list[Any] = []

    def handle(record: int) -> None:
        if record % 2:
            raise ValueError(record)
        seen.append(record)

    def deliver() -> None:
        seen.append("delivered")
        raise RuntimeError

    worker = Worker(handle, deliver)
    for number in range(6):
        worker.submit(number)
    assert worker.force_flush(DEADLINE_S)
    assert [record for record in seen if record != "delivered"] == [0, 2, 4]
    deliveries = seen.count("delivered")
    assert deliveries >= 1
    assert worker.errors == 3 + deliveries


def test_foreign_code_that_asks_for_the_exit_does_not_end_the_worker() -> None:
    seen: list[int] = []

    def handle(record: int) -> None:
        if record == 0:
            raise SystemExit
        seen.append(record)

    worker = Worker(handle, nothing)
    worker.submit(0)
    wait_until(lambda: worker.errors == 1)
    worker.submit(1)
    assert worker.force_flush(DEADLINE_S)
    assert seen == [1]


def test_errors_are_logged_once_a_minute_only(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failure, "_last", {})

    def handle(_: object) -> None:
        raise ValueError

    worker = Worker(handle, nothing)
    for number in range(50):
        worker.submit(number)
    assert worker.force_flush(DEADLINE_S)
    assert worker.errors == 50
    assert [record.getMessage() for record in caplog.records] == ["otelext's worker met an error"]


def test_an_observer_that_raises_does_not_keep_the_others_from_seeing_a_record() -> None:
    seen: list[Any] = []

    def broken(_: object) -> None:
        raise ValueError

    worker = Worker(nothing, nothing)
    worker.observers.extend([broken, seen.append])
    worker.notify("record")
    assert seen == ["record"]
    assert worker.errors == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_starts_clean_even_when_the_parents_worker_is_busy(gate: threading.Event) -> None:
    seen: list[int] = []
    entered = threading.Event()

    def handle(record: int) -> None:
        if record == 0:
            entered.set()
            gate.wait()
        seen.append(record)

    worker = Worker(handle, nothing)
    worker.submit(0)
    assert entered.wait(DEADLINE_S)
    worker.submit(1)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            worker.reset()
            worker.submit(2)
            flushed = worker.force_flush(DEADLINE_S)
            os.write(write, f"{flushed} {seen}".encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        assert pipe.read() == "True [2]"
    os.waitpid(child, 0)
    gate.set()
    assert worker.force_flush(DEADLINE_S)
    assert seen == [0, 1]
