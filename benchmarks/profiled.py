"""Where otelext's time goes: the request's thread first, then the worker's, by cProfile."""

from __future__ import annotations

import cProfile
import pstats
from typing import TYPE_CHECKING

import otelext
from otelext.emit.process import WORKER

if TYPE_CHECKING:
    from collections.abc import Callable

_LINES = 30


def profiled(call: Callable[[], object], times: int) -> None:
    """Print what each function took of `times` calls, its callees left out.

    Requests are profiled first and then, with all of them queued, their emission: two profiles can't run at once.
    """
    call()
    otelext.force_flush(60)
    times = min(times, WORKER.capacity)
    requests, emission = cProfile.Profile(), cProfile.Profile()
    drain = WORKER._drain
    WORKER._drain = lambda: None  # type: ignore[method-assign]
    requests.runcall(lambda: [call() for _ in range(times)])
    WORKER._drain = drain  # type: ignore[method-assign]
    emission.runcall(drain)
    for title, profile in (("the request's thread", requests), ("the worker's thread", emission)):
        print(f"== {title}: {times} requests")
        pstats.Stats(profile).sort_stats("tottime").print_stats(_LINES)
