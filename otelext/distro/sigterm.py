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
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any, Final

from otelext import _attach
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
    """

    def __init__(self) -> None:
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
            last_flush: Seconds of it that are kept for what was open until then.
        """
        self._seconds = seconds
        self._last_flush = last_flush
        if not self._prepared:
            self._prepared = True
            self._wait_in_thread()
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=self._after_fork)

    def begin(self) -> None:
        """Begin it, from a signal handler; what has begun already goes on."""
        if not self._begun:
            self._begun = True
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
            with PATIENCE.shorter(SHARE_OF_EXPORTS * self._last_flush):
                self._spend()
            self._begun = False  # the process lives on: its handler meant something else, or nobody kills it

    def _spend(self) -> None:
        over = monotonic() + self._seconds
        last_flush = over - self._last_flush
        open_ended = False
        while (now := monotonic()) < over and not LEAVING.begun:
            if now >= last_flush and not open_ended:
                open_ended = True
                _attach.end_open_inferences()
            until = over if open_ended else last_flush
            _attach.force_flush(max(until - now, 0.0))
            sleep(max(0.0, min(_INTERVAL_S, until - monotonic())))


GRACE_PERIOD: Final = GracePeriod()


class _BehindIt:
    """Another's handler of SIGTERM, with ours behind."""

    __slots__ = ("handler",)

    def __init__(self, handler: Callable[[int, FrameType | None], Any]) -> None:
        self.handler = handler

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        GRACE_PERIOD.begin()
        self.handler(signum, frame)


def handle() -> None:
    """Handle SIGTERM where nothing else does, and stand behind every handler that is there or comes later.

    A server sets its handler when it starts, past every hook that there is: `signal.signal` itself is wrapped. Who sets
    a handler, and who asks for it, still sees that handler alone.
    """
    if not getattr(signal.signal, "_otelext", False):
        signal.signal = _setting(signal.signal)
        signal.getsignal = _asking(signal.getsignal)
    if threading.current_thread() is threading.main_thread():
        current = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, _on_sigterm if current is signal.SIG_DFL else current)


def leave_alone() -> None:
    """Leave SIGTERM to what else handles it."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is _on_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _setting(original: Any) -> Any:
    @functools.wraps(original)
    def set_handler(signalnum: Any, handler: Any) -> Any:
        if signalnum == signal.SIGTERM and callable(handler) and handler is not _on_sigterm:
            handler = _BehindIt(handler)
        return _bare(original(signalnum, handler))

    set_handler._otelext = True  # type: ignore[attr-defined]  # noqa: SLF001
    return set_handler


def _asking(original: Any) -> Any:
    @functools.wraps(original)
    def get_handler(signalnum: Any) -> Any:
        return _bare(original(signalnum))

    return get_handler


def _bare(handler: Any) -> Any:
    return handler.handler if isinstance(handler, _BehindIt) else handler


def _on_sigterm(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the signature of handlers
    if os.getpid() == _PID_OF_INIT:
        # The kernel gives the first process of a container no default action: without us it would go on.
        GRACE_PERIOD.begin()
        return
    LEAVING.leave()
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)  # so that who waits for the process sees what ended it
