"""SIGTERM: an orchestrator's notice that SIGKILL follows when the grace period is over.

Where nothing else handles the signal, the process flushes and dies of it as before. Servers handle it themselves:
they wait for open streams, as long as SIGKILL lets them, and run no exit handler before. Behind their handlers stands
a notice of ours: from then on what is finished leaves every second, and what is still open shortly before the end of
the grace period ends as it is then.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
from contextlib import suppress
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

from otelext import _attach
from otelext.capture.failure import report
from otelext.distro.leaving import LEAVING, SHARE_OF_EXPORTS
from otelext.distro.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_PID_OF_INIT: Final = 1
_INTERVAL_S: Final = 1.0


class GracePeriod:
    """The seconds between SIGTERM and SIGKILL, spent by a thread that waits for them from the start.

    A signal handler may interrupt the main thread anywhere, also where it holds a lock: it starts no thread and
    flushes nothing by itself.

    Attributes:
        wanted: Whether SIGTERM begins it.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._seconds = 0.0
        self._last_flush = 0.0
        self._prepared = False
        self._reset()

    def _reset(self) -> None:
        self._begun = False
        # A lock as binary semaphore: unlike an Event's, its steps can't be cut in two by a signal handler.
        self._go = threading.Lock()
        self._go.acquire()

    def prepare(self, seconds: float, last_flush: float) -> None:
        """Wait for SIGTERM in this process and in those forked from it.

        Args:
            seconds: Seconds between SIGTERM and SIGKILL.
            last_flush: Seconds of it that are kept for what was open until then, at most half of it.
        """
        self.wanted = True
        self._seconds = min(seconds, threading.TIMEOUT_MAX)
        self._last_flush = min(last_flush, self._seconds / 2)
        if not self._prepared:
            self._prepared = True
            self._wait_in_thread()
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=self._after_fork)

    def begin(self) -> None:
        """Begin it, from a signal handler; what has begun already goes on."""
        if self.wanted and not self._begun:
            self._begun = True
            with suppress(RuntimeError):  # another SIGTERM came between the two lines above
                self._go.release()

    def _wait_in_thread(self) -> None:
        threading.Thread(target=self._wait, args=(self._go,), name="otelext-sigterm", daemon=True).start()

    def _after_fork(self) -> None:
        self._reset()
        self._wait_in_thread()

    def _wait(self, go: threading.Lock) -> None:
        while True:
            go.acquire()
            # What nobody answers must have failed, and said so, when a server of the user's ends at once.
            try:
                with PATIENCE.shorter(SHARE_OF_EXPORTS * self._last_flush):
                    self._spend()
            except Exception:  # noqa: BLE001  # the next SIGTERM finds this thread all the same
                report("otelext could not flush at SIGTERM", exc_info=True)
            self._begun = False  # the process lives on: its handler meant something else, or nobody kills it

    def _spend(self) -> None:
        over = monotonic() + self._seconds
        last_flush = over - self._last_flush
        open_ended = False
        while (now := monotonic()) < over and not LEAVING.begun:
            is_last = now >= last_flush and not open_ended
            if is_last:
                open_ended = True
                _attach.end_open_inferences()
            until = over if open_ended else last_flush
            # A flush needs some time: in less than that, the SDK complains of its callbacks.
            if is_last or until - now >= _INTERVAL_S:
                with LEAVING.flushing:
                    _attach.force_flush(until - now)
            sleep(max(0.0, min(_INTERVAL_S, until - monotonic())))


GRACE_PERIOD: Final = GracePeriod()


class _BehindIt:
    """Another's handler of SIGTERM, with ours behind."""

    __slots__ = ("handler",)

    def __init__(self, handler: Any) -> None:
        self.handler = handler

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        GRACE_PERIOD.begin()
        self.handler(signum, frame)


class _Default:
    """The default of SIGTERM, with the end of the telemetry before it."""

    __slots__ = ("_set", "handler")

    def __init__(self, set_handler: Callable[[int, Any], Any]) -> None:
        self.handler = signal.SIG_DFL
        self._set = set_handler

    def __call__(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002  # the signature of handlers
        if os.getpid() == _PID_OF_INIT:
            # The kernel gives the first process of a container no default action: without us it would go on.
            GRACE_PERIOD.begin()
            return
        if GRACE_PERIOD.wanted:
            LEAVING.leave()
        self._set(signum, signal.SIG_DFL)
        os.kill(os.getpid(), signum)  # so that who waits for the process sees what ended it


def handle() -> None:
    """Handle SIGTERM where nothing else does, and stand behind every handler that is there or comes later.

    A server sets its handler when it starts, past every hook that there is: `signal.signal` itself is wrapped. Who sets
    a handler, and who asks for it, still sees that handler alone, and the default where none is set.
    """
    if not getattr(signal.signal, "_otelext", False):
        signal.signal = _setting(signal.signal)
        signal.getsignal = _asking(signal.getsignal)
    current = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is threading.main_thread() and current is not None:  # None: set from outside Python
        signal.signal(signal.SIGTERM, current)


def leave_alone() -> None:
    """Leave SIGTERM to what else handles it."""
    GRACE_PERIOD.wanted = False


def _setting(original: Any) -> Any:
    @functools.wraps(original)
    def set_handler(signalnum: Any, handler: Any) -> Any:
        if signalnum == signal.SIGTERM and callable(handler):
            handler = _BehindIt(handler)
        elif signalnum == signal.SIGTERM and handler == signal.SIG_DFL:
            handler = _Default(original)
        return _bare(original(signalnum, handler))

    set_handler._otelext = True  # type: ignore[attr-defined]  # noqa: SLF001
    return set_handler


def _asking(original: Any) -> Any:
    @functools.wraps(original)
    def get_handler(signalnum: Any) -> Any:
        return _bare(original(signalnum))

    return get_handler


def _bare(handler: Any) -> Any:
    return handler.handler if isinstance(handler, (_BehindIt, _Default)) else handler
