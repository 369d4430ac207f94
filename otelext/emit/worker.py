"""The worker: a bounded queue, one daemon thread, and everything that happens to a record after its request."""

from __future__ import annotations

import threading
import time
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context

from otelext.capture.context import attach
from otelext.capture.failure import report, report_setup

if TYPE_CHECKING:
    from collections.abc import Callable

CAPACITY: Final = 8192
"""Records that may wait; more are dropped and counted, the newest first."""

_POLL_S: Final = 0.05
_SLICE: Final = 8  # records between two offers of the GIL, so that an event loop never waits a whole switch interval
_BATCH: Final = 64  # records between two deliveries to the meter providers, however full the queue is


class _Flush:
    """Stands in the queue behind what a flush waits for."""

    __slots__ = ("done",)

    def __init__(self) -> None:
        self.done = threading.Event()


class Worker:
    """Takes finished records from requests and emits them from a thread of its own.

    Attributes:
        capacity: Records that may wait.
        observers: Called with every finished `Inference`, after its spans; its metrics go out with the batch.
        polled: Called at each poll, and once more with True before a flush is answered: for what waits for a moment.
        wanted: Whether records are wanted though no provider is there to take what they tell.
    """

    def __init__(
        self,
        handle: Callable[[Any], None],
        after_batch: Callable[[], None],
        *,
        capacity: int = CAPACITY,
    ) -> None:
        """Make a worker; its thread starts with the first record.

        Args:
            handle: Emits one record.
            after_batch: Delivers what `handle` left waiting.
            capacity: Records that may wait.
        """
        self.capacity = capacity
        self.observers: list[Callable[[Any], None]] = []
        self.polled: list[Callable[[bool], None]] = []
        self.wanted = False
        self._handle = handle
        self._after_batch = after_batch
        self.reset()

    def reset(self) -> None:
        """Start anew with an empty queue and no thread, as a forked child does."""
        self._queue: deque[Any] = deque()
        self._lock = threading.Lock()  # two threads drain only where a signal's handler started a second one
        self._wake = threading.Event()
        self._drainer: threading.Thread | None = None
        self._thread: threading.Thread | None = None
        self._start_lock = threading.RLock()  # a signal's handler may flush inside of `_start`
        self._drops = count()
        self._dropped = self._dropped_told = 0
        self.errors = 0

    @property
    def queue_size(self) -> int:
        """Records that wait now."""
        return len(self._queue)

    @property
    def dropped(self) -> int:
        """Records dropped so far because the queue was full."""
        return self._dropped

    @property
    def drains_here(self) -> bool:
        """Whether a processor or observer that the worker called is what asks."""
        return self._drainer is threading.current_thread()

    def submit(self, record: Any) -> None:  # whatever the handler takes
        """Queue a record. Never blocks and never raises; a full queue drops the record and counts it."""
        queue = self._queue
        if len(queue) >= self.capacity:
            self._dropped = next(self._drops) + 1
            return
        queue.append(record)
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._start_lock:
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._run, name="otelext-worker", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # the interpreter is exiting; the drain at exit takes what is queued
                return
            self._thread = thread

    def _run(self) -> None:
        # Begun within a request, whose context the instrumentation of threads would keep here for good.
        attach(Context())
        wake = self._wake
        while True:
            if wake.wait(_POLL_S):
                wake.clear()
            if self._queue or self.polled:
                try:
                    self._drain()
                except BaseException:  # noqa: BLE001  # a SystemExit of foreign code would end the thread for good
                    self.failed()

    def force_flush(self, timeout: float = 5.0) -> bool:
        """Emit everything that is queued now.

        The worker's thread does it, so that a processor which blocks can't hold the caller for longer.

        Args:
            timeout: Seconds to wait at most.

        Returns:
            Whether everything was emitted in time. False at once where a processor or observer flushes from within:
            what is queued is being emitted already.
        """
        if self.drains_here:
            return False
        if self._thread is None:
            if not self._queue:
                return True
            self._start()
        flush = _Flush()
        self._queue.append(flush)
        if self._thread is None:  # the interpreter is exiting and starts no threads any more
            self._drain()
        self._wake.set()
        return flush.done.wait(max(0.0, timeout))

    def _drain(self) -> None:
        with self._lock:
            self._drainer = threading.current_thread()
            try:
                while self._queue:
                    self._drain_batch()
                self._poll(flushing=False)
            finally:
                self._drainer = None

    def _drain_batch(self) -> None:
        queue = self._queue
        flushes: list[_Flush] = []
        delivered = time.monotonic()
        for index in range(min(len(queue), _BATCH)):
            if index % _SLICE == _SLICE - 1:
                time.sleep(0)
            record = queue.popleft()
            if type(record) is _Flush:
                flushes.append(record)
            else:
                self._emit(record)
                if time.monotonic() - delivered > _POLL_S:  # a processor that blocks holds no metrics up
                    self._guard(self._after_batch)
                    delivered = time.monotonic()
        self._guard(self._after_batch)
        if self._dropped != self._dropped_told:
            self._dropped_told = self._dropped
            report_setup("otelext's queue was full (%d records): %d were dropped so far", self.capacity, self._dropped)
        if flushes:
            self._poll(flushing=True)
        for flush in flushes:
            flush.done.set()

    def _poll(self, *, flushing: bool) -> None:
        for poll in tuple(self.polled):
            self._guard(poll, flushing)

    def _emit(self, record: Any) -> None:
        self._guard(self._handle, record)

    def _guard(self, call: Callable[..., None], *args: Any) -> None:
        try:
            call(*args)
        except Exception:  # noqa: BLE001  # a foreign processor or instrument must not stop the worker
            self.failed()

    def failed(self) -> None:
        """Count the exception being handled, and log it once a minute at most."""
        self.errors += 1
        report("otelext's worker met an error", exc_info=True)

    def notify(self, record: Any) -> None:
        """Hand a finished record to the observers."""
        for observer in tuple(self.observers):
            self._guard(observer, record)
