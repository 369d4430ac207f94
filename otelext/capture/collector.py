"""Whether the garbage collector runs in this thread: it alone closes generators in the middle of anything.

Then the context that is current belongs to whom it interrupted. And it may have come while a context variable was being
set, where to set one can crash the interpreter up to Python 3.11: https://github.com/python/cpython/issues/148891.
"""

from __future__ import annotations

import gc
from contextvars import copy_context
from threading import get_ident
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable


class _Collector:
    __slots__ = ("thread",)

    def __init__(self) -> None:
        self.thread = 0
        gc.callbacks.append(self._watch)

    def _watch(self, phase: str, _: object) -> None:
        self.thread = get_ident() if phase == "start" else 0


COLLECTOR: Final = _Collector()
"""`thread` is that in which the collector runs, 0 while it doesn't, and where `run_apart` runs."""


def collecting() -> bool:
    """Whether the garbage collector called what runs here."""
    return COLLECTOR.thread != 0 and COLLECTOR.thread == get_ident()


def run_apart(function: Callable[[], Any]) -> Any:
    """Call `function` while `collecting()`, in a copy of what is current, where setting a variable is harmless."""
    thread, COLLECTOR.thread = COLLECTOR.thread, 0
    try:
        return copy_context().run(function)
    finally:
        COLLECTOR.thread = thread
