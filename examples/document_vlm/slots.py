"""A bounded pool: as many slots as the language model has, and a bounded line of requests that wait for one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from .errors import QueueFull

_T = TypeVar("_T")


class Slots:
    """The pool. Belongs to one event loop.

    Args:
        size: Slots; each runs one job at a time in a thread of its own.
        line: Requests that may wait; one more is refused.
    """

    def __init__(self, size: int, line: int) -> None:
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="slot")
        self._free = asyncio.Semaphore(size)
        self._line = line
        self._waiting = 0

    def waiting(self) -> int:
        """Requests that wait for a slot now."""
        return self._waiting

    async def take(self) -> Slot:
        """Wait for a slot, first come first served.

        Raises:
            QueueFull: As many wait already as may.
        """
        if self._free.locked() and self._waiting >= self._line:
            raise QueueFull(f"all slots are busy and {self._waiting} requests wait already; try again later")
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        return Slot(self._threads, self._free)

    def close(self) -> None:
        """Take no more jobs and wait for those that run."""
        self._threads.shutdown(wait=True, cancel_futures=True)


class Slot:
    """One taken slot: it is free again when `leave` was called and its last job has really ended.

    A thread can't be interrupted: were the slot free as soon as its request is cancelled, the next request would
    share the engine with a job that nobody waits for any more.
    """

    def __init__(self, threads: ThreadPoolExecutor, free: asyncio.Semaphore) -> None:
        self._threads = threads
        self._free = free
        self._loop = asyncio.get_running_loop()
        self._running: Future[object] | None = None
        self._left = False

    def start(self, job: Callable[[], _T]) -> Future[_T]:
        """Start a job in the slot's thread; one at a time."""
        future = self._threads.submit(job)
        self._running = future  # type: ignore[assignment]  # only its end matters here
        return future

    async def run(self, job: Callable[[], _T]) -> _T:
        """Run a job in the slot's thread and wait for what it returns."""
        return await asyncio.wrap_future(self.start(job))

    def leave(self) -> None:
        """Give the slot back, at once or when its job has ended."""
        if self._left:
            return
        self._left = True
        if self._running is None or self._running.done():
            self._free.release()
        else:
            self._running.add_done_callback(self._release_later)

    def _release_later(self, _: Future[object]) -> None:
        try:
            self._loop.call_soon_threadsafe(self._free.release)
        except RuntimeError:
            # The loop is closed: the service has ended and nobody waits for the slot.
            return
