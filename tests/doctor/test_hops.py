"""How an accepted canary is looked for: again and again, everywhere at once, and from one to the other."""

from __future__ import annotations

import time
from typing import Any

from otelext.doctor.backends.api import UnansweredError
from otelext.doctor.backends.loki import Line
from otelext.doctor.backends.prometheus import Sample
from otelext.doctor.canary import Canary, Preferences
from otelext.doctor.hops import search

CANARY = Canary.made(Preferences())
SAMPLE = Sample("buckets", "otelext_canary_duration_seconds_bucket")
LINE = Line({}, "a line", CANARY.moment)


class Backend:
    """Shows what it has from the nth question on, and says why it can't before that."""

    def __init__(self, *, after: int = 0, trace_id: str = CANARY.trace_id, broken: bool = False) -> None:
        self.after = after
        self.trace_id = trace_id
        self.broken = broken
        self.asked: list[str] = []

    def _shown(self, question: str, answer: Any) -> Any:
        self.asked.append(question)
        if self.asked.count(question) > self.after:
            return answer
        if self.broken:
            raise UnansweredError("it is not ready")
        return None

    def trace(self, trace_id: str) -> str | None:
        return self._shown(f"trace {trace_id}", trace_id)  # type: ignore[no-any-return]

    def sample(self, *_: Any) -> Sample | None:
        return self._shown("sample", SAMPLE)  # type: ignore[no-any-return]

    def exemplar(self, *_: Any) -> str | None:
        return self._shown("exemplar", self.trace_id)  # type: ignore[no-any-return]

    def line(self, *_: Any) -> Line | None:
        return self._shown("line", LINE)  # type: ignore[no-any-return]

    def line_of_trace(self, _: Canary, trace_id: str) -> Line | None:
        return self._shown(f"line of {trace_id}", LINE)  # type: ignore[no-any-return]


def searched(timeout: float = 20.0, **backends: Any) -> Any:
    all_of_them = {"traces": Backend(), "metrics": Backend(), "logs": Backend(), **backends}
    return search(CANARY, time.monotonic(), timeout, exemplars=True, **all_of_them)


def test_what_comes_late_is_found_as_soon_as_it_is_there() -> None:
    traces, metrics, logs = (Backend(after=3) for _ in range(3))
    found = searched(traces=traces, metrics=metrics, logs=logs)
    assert found.trace.found == CANARY.trace_id
    assert (found.sample.found, found.line.found) == (SAMPLE, LINE)
    assert 0 < found.trace.seconds <= found.trace.waited < 20
    assert traces.asked.count(f"trace {CANARY.trace_id}") >= 4


def test_the_way_goes_from_the_exemplar_to_its_own_trace_and_from_the_trace_to_its_line() -> None:
    traces, logs = Backend(), Backend()
    found = searched(traces=traces, metrics=Backend(trace_id="of another"), logs=logs)
    assert found.exemplar.found == "of another"
    assert "trace of another" in traces.asked
    assert f"line of {CANARY.trace_id}" in logs.asked
    assert (found.trace_of_exemplar.found, found.line_of_trace.found) == ("of another", LINE)


def test_what_never_comes_is_waited_for_no_longer_than_said() -> None:
    found = searched(0.2, traces=Backend(after=10**9))
    assert (found.trace.found, found.trace.seconds) == (None, None)
    assert found.trace.waited < 5
    assert found.trace_of_exemplar is None
    assert found.line.found == LINE


def test_who_cannot_be_asked_is_asked_again_and_quoted_if_it_stays_so() -> None:
    assert searched(traces=Backend(after=2, broken=True)).trace.found == CANARY.trace_id
    never = searched(0.2, traces=Backend(after=10**9, broken=True)).trace
    assert (never.found, never.error) == (None, "it is not ready")


def test_what_is_left_out_is_not_looked_for() -> None:
    found = searched(traces=None, logs=None)
    assert (found.trace, found.line, found.trace_of_exemplar, found.line_of_trace) == (None, None, None, None)
    assert found.sample.found == SAMPLE
