"""Looks for an accepted canary in every backend, and follows it from its exemplar to its trace to its line."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from otelext.doctor.backends.api import UnansweredError

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from otelext.doctor.backends.loki import Line, Loki
    from otelext.doctor.backends.prometheus import Prometheus, Sample
    from otelext.doctor.backends.traces import TraceBackend
    from otelext.doctor.canary import Canary

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)

_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.5
_LINK_S: Final = 2.0


@dataclass(frozen=True)
class Sight(Generic[_T_co]):
    """What a search came to.

    Attributes:
        found: What was looked for, None where it was not seen.
        seconds: From the sending until it was, None likewise.
        error: What the backend answered last, where it could not be asked.
        waited: Seconds from the sending to the end of the search.
    """

    found: _T_co | None = None
    seconds: float | None = None
    error: str = ""
    waited: float = 0.0


@dataclass(frozen=True)
class Sights:
    """What became of each search; None for one that was not made."""

    trace: Sight[str] | None = None
    sample: Sight[Sample] | None = None
    exemplar: Sight[str] | None = None
    line: Sight[Line] | None = None
    trace_of_exemplar: Sight[str] | None = None
    line_of_trace: Sight[Line] | None = None


def search(
    canary: Canary,
    begun: float,
    timeout: float,
    *,
    traces: TraceBackend | None,
    metrics: Prometheus | None,
    exemplars: bool,
    logs: Loki | None,
) -> Sights:
    """Look everywhere at the same time, until all is found or time is over.

    Args:
        canary: What was sent.
        begun: When, by `time.monotonic`.
        timeout: Seconds that it may take to be visible.
        traces: Where its trace was sent, None where it is not looked for; likewise the others.
        metrics: Where its sample was.
        exemplars: Whether to look for the exemplar of it.
        logs: Where its line was.
    """
    deadline = begun + timeout
    with ThreadPoolExecutor(max_workers=6) as threads:

        def started(question: Callable[[], _T | None] | None) -> Future[Sight[_T] | None]:
            return threads.submit(lambda: _until_seen(question, begun, deadline) if question else None)

        trace = started(partial(traces.trace, canary.trace_id) if traces else None)
        sample = started(partial(metrics.sample, canary, timeout) if metrics else None)
        exemplar = started(partial(metrics.exemplar, canary, timeout) if metrics and exemplars else None)
        line = started(partial(logs.line, canary) if logs else None)

        def trace_of_exemplar() -> Sight[str] | None:
            """By the exemplar's own id, once both ends are there."""
            known, led_by = trace.result(), exemplar.result()
            if traces is None or known is None or known.found is None or led_by is None or led_by.found is None:
                return None
            return _until_seen(partial(traces.trace, led_by.found) if led_by.found else _nothing, begun, _soon())

        def line_of_trace() -> Sight[Line] | None:
            """By the id that the trace has where it is stored; by the one that was sent, where none is looked for."""
            known, end = trace.result(), line.result()
            if logs is None or end is None or end.found is None or (known is not None and known.found is None):
                return None
            trace_id = known.found if known is not None and known.found is not None else canary.trace_id
            return _until_seen(partial(logs.line_of_trace, canary, trace_id), begun, _soon())

        to_trace, to_line = threads.submit(trace_of_exemplar), threads.submit(line_of_trace)
        return Sights(
            trace.result(), sample.result(), exemplar.result(), line.result(), to_trace.result(), to_line.result()
        )


def _nothing() -> None:
    """Where there is nothing to ask for."""


def _soon() -> float:
    """A deadline for what leads from one to the other: both are there, so that it needs no time of its own."""
    return time.monotonic() + _LINK_S


def _until_seen(question: Callable[[], _T | None], begun: float, deadline: float) -> Sight[_T]:
    pause, error = _FIRST_PAUSE_S, ""
    while True:
        try:
            found = question()
        except UnansweredError as unanswered:
            found, error = None, str(unanswered)
        now = time.monotonic()
        if found is not None:
            return Sight(found, now - begun, waited=now - begun)
        if now + pause > deadline:
            return Sight(error=error, waited=now - begun)
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE_S)
