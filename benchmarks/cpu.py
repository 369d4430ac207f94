"""What a call costs in CPU. The standard library alone, so that peers measure by it in environments without otelext."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from rounds import Figures, Measure


def measuring(call: Callable[[], None], flush: Callable[[], object]) -> Measure:
    """CPU seconds a call, of this thread, of the others, and of both until everything is emitted."""

    def measure(repetitions: int) -> Figures:
        thread, process = time.thread_time_ns(), time.process_time_ns()
        for _ in range(repetitions):
            call()
        in_request = time.thread_time_ns() - thread
        flush()
        total = time.process_time_ns() - process
        seconds = repetitions * 1e9
        return {
            "request path": in_request / seconds,
            "worker": (total - in_request) / seconds,
            "total CPU": total / seconds,
        }

    return measure
