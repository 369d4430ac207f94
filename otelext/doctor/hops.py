"""Looks for an accepted canary in every backend, and follows it from its exemplar to its trace to its line."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from otelext.doctor.backends.api import UnansweredError

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelext.doctor.backends.loki import Line, Loki
    from otelext.doctor.backends.prometheus import Prometheus, Sample
    from otelext.doctor.backends.traces import TraceBackend
    from otelext.doctor.canary import Canary

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)

_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.5


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
    with ThreadPoolExecutor(max_workers=4) as threads:
        trace = threads.submit(_until_seen, lambda: traces.trace(canary.trace_id), begun, deadline) if traces else None
        sample = (
            threads.submit(_until_seen, lambda: metrics.sample(canary, timeout), begun, deadline) if metrics else None
        )
        exemplar = (
            threads.submit(_until_seen, lambda: metrics.exemplar(canary, timeout), begun, deadline)
            if metrics and exemplars
            else None
        )
        line = threads.submit(_until_seen, lambda: logs.line(canary), begun, deadline) if logs else None
        found = Sights(
            trace=trace.result() if trace else None,
            sample=sample.result() if sample else None,
            exemplar=exemplar.result() if exemplar else None,
            line=line.result() if line else None,
        )
    return _followed(canary, begun, found, traces, logs)


def _followed(canary: Canary, begun: float, found: Sights, traces: TraceBackend | None, logs: Loki | None) -> Sights:
    """From the exemplar's own trace id to the trace, and from the id that the trace has to the line."""
    # Both ends are there: what leads from one to the other needs no time of its own.
    deadline = time.monotonic() + 2.0
    to_trace: Sight[str] | None = None
    to_line: Sight[Line] | None = None
    trace_id = found.trace.found if found.trace else None
    exemplar_id = found.exemplar.found if found.exemplar else None
    if traces and trace_id and exemplar_id is not None:
        to_trace = _until_seen(lambda: traces.trace(exemplar_id) if exemplar_id else None, begun, deadline)
    # Where no trace was looked for, the line is found by the id that was sent.
    if logs and found.line and found.line.found and (trace_id or found.trace is None):
        led_by = trace_id or canary.trace_id
        to_line = _until_seen(lambda: logs.line_of_trace(canary, led_by), begun, deadline)
    return Sights(found.trace, found.sample, found.exemplar, found.line, to_trace, to_line)


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
