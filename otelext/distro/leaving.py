"""The end of a process: what is open ends, what is queued goes out, and the process ends in time either way.

A thread that waits from the start does it: Python 3.12 and later start none at exit, and a signal handler that flushed
in the main thread could wait for a lock which that very thread holds.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from math import inf
from time import monotonic
from typing import Any, Final

from opentelemetry import _logs, metrics, trace

from otelext import _attach
from otelext.capture.failure import report
from otelext.distro.patience import PATIENCE

SHARE_OF_EXPORTS: Final = 0.8
"""Exports end before the time-out does, so that one that fails can still say so."""
_ONE_END_S: Final = 2.0
"""A flush so shortly before the end, such as that of an application's lifespan, is part of it."""


class Leaving:
    """Ends the telemetry of this process, once.

    Attributes:
        timeout: Seconds that the end may take.
        begun: Whether it has begun.
        flushing: Held by who flushes in a service that may go on.
    """

    def __init__(self) -> None:
        self.timeout = 5.0
        self._prepared = False
        self._own: list[Any] = []
        self._reset()

    def _reset(self) -> None:
        self.begun = False
        self.flushing = threading.Lock()
        self._flushed = -inf
        self._flush_took = 0.0
        # Locks as binary semaphores: unlike an Event's, their steps can't be cut in two by a signal handler.
        self._go = threading.Lock()
        self._go.acquire()
        self._done = threading.Lock()
        self._done.acquire()

    def prepare(self, timeout: float) -> None:
        """Register the end of this process and of those forked from it.

        Args:
            timeout: Seconds that the end may take.
        """
        self.timeout = timeout
        for provider in _providers():
            if not any(provider is known for known in self._own):
                self._own.append(provider)
        # What was registered last runs first: before the providers' own handlers, which know no time-out.
        atexit.unregister(self.leave)
        atexit.register(self.leave)
        if not self._prepared:
            self._prepared = True
            self._wait_in_thread()
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=self._after_fork)
            # A child of the fork server is set up after its fork and before multiprocessing runs what is registered.
            _at_end_of_forked_worker(self.leave)

    def leave(self) -> None:
        """End the telemetry and return when it is done or the time-out is over."""
        now = monotonic()
        seconds = self.timeout
        if now - self._flushed < _ONE_END_S:
            seconds = max(0.0, seconds - self._flush_took)
        deadline = now + seconds
        if not self.begun:
            self.begun = True
            PATIENCE.end_within(SHARE_OF_EXPORTS * seconds)
            self._go.release()
        if self._done.acquire(timeout=max(0.0, deadline - monotonic())):
            self._done.release()
        for provider in self._own:
            atexit.unregister(provider.shutdown)
        for handler in logging.getLogger().handlers:
            # Everything is flushed. Its own flush starts a thread, which Python 3.12 refuses at exit with a traceback.
            if type(handler).__module__.startswith("opentelemetry."):
                handler.flush = _nothing  # type: ignore[method-assign]

    def flush(self) -> None:
        """Flush within the time-out, in a service that may go on."""
        # A thread of its own, since the SDK's processors flush without any time-out.
        flushing = threading.Thread(target=self._flush, name="otelext-flush", daemon=True)
        begun = monotonic()
        flushing.start()
        flushing.join(self.timeout)
        self._flushed = monotonic()
        self._flush_took = self._flushed - begun

    def _flush(self) -> None:
        with PATIENCE.hurrying(SHARE_OF_EXPORTS * self.timeout):
            _attach.force_flush(self.timeout)

    def _wait_in_thread(self) -> None:
        threading.Thread(target=self._end, args=(self._go, self._done), name="otelext-leaving", daemon=True).start()

    def _after_fork(self) -> None:
        self._reset()
        self._wait_in_thread()
        _at_end_of_forked_worker(self.leave)

    def _end(self, go: threading.Lock, done: threading.Lock) -> None:
        go.acquire()
        PATIENCE.hurry(PATIENCE.remaining())
        # A flush that is under way would meet providers that are shut down.
        flushed = self.flushing.acquire(timeout=max(0.0, PATIENCE.remaining()))
        try:
            _attach.end_open_inferences()
            _attach.worker.force_flush(max(0.0, PATIENCE.remaining()))
            for provider in _providers():
                if any(provider is known for known in self._own):
                    _guarded(provider.shutdown)
                else:  # set by the user after us, with a handler of its own at exit; SIGTERM knows none
                    _guarded(provider.force_flush)
        finally:
            if flushed:
                self.flushing.release()
            done.release()


def _nothing() -> None:
    """Flush nothing."""


def _guarded(end: Any) -> None:
    try:
        end()
    except Exception:  # noqa: BLE001  # a foreign exporter; the other signals still end
        report("otelext: a provider raised at the end of the process", exc_info=True)


def _providers() -> list[Any]:
    """The global providers that are the SDK's, metrics first: they are the smallest and count the most."""
    found = (metrics.get_meter_provider(), _logs.get_logger_provider(), trace.get_tracer_provider())
    return [provider for provider in found if type(provider).__module__.startswith("opentelemetry.sdk.")]


LEAVING: Final = Leaving()


def _at_end_of_forked_worker(leave: Any) -> None:
    """A worker that multiprocessing forked ends by `os._exit`, past `atexit`; it runs its own finalisers alone."""
    util: Any = sys.modules.get("multiprocessing.util")
    if util is None:
        return

    def register(_: object) -> None:
        util.Finalize(None, leave, exitpriority=100)

    # Finalisers of the parent are cleared in the child before this runs, after those of `os.fork`.
    util.register_after_fork(LEAVING, register)
