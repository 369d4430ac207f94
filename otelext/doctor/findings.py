"""From what a search came to, to one finding a hop, with its cause where it failed."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from otelext.doctor.backends.api import is_local
from otelext.doctor.backends.exposition import risen
from otelext.doctor.backends.prometheus import BUCKETS
from otelext.doctor.causes import missing as causes
from otelext.doctor.causes.exporting import by_log, by_queue
from otelext.doctor.causes.missing import Missing
from otelext.doctor.causes.unanswered import why_not_asked
from otelext.doctor.collectors import Telemetry, telemetry
from otelext.doctor.disks import full_disks
from otelext.doctor.finding import Finding, Hop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from otelext.doctor.backends.health import Health
    from otelext.doctor.backends.loki import Loki
    from otelext.doctor.backends.prometheus import Prometheus
    from otelext.doctor.backends.traces import TraceBackend
    from otelext.doctor.canary import Canary
    from otelext.doctor.causes.cause import Cause
    from otelext.doctor.endpoint import Signal
    from otelext.doctor.hops import Sight, Sights
    from otelext.doctor.settings import Access

TRACE: Final = "trace"
METRIC: Final = "metric"
EXEMPLAR: Final = "exemplar"
LINK_TO_TRACE: Final = "exemplar_to_trace"
LOG: Final = "log"
LINK_TO_LOG: Final = "trace_to_log"
_CHECKS: Final[dict[Signal, str]] = {"traces": TRACE, "metrics": METRIC, "logs": LOG}
_NOUNS: Final[dict[Signal, str]] = {"traces": "trace", "metrics": "metric", "logs": "log line"}
_COLLECTOR_TELLS_S: Final = 4.0
"""From the sending, until a Collector's own log line about it is to be found: it leaves every second."""


@dataclass(frozen=True)
class Backends:
    """Those that can be asked; None for one that is left out or does not answer."""

    traces: TraceBackend | None = None
    metrics: Prometheus | None = None
    logs: Loki | None = None


@dataclass(frozen=True)
class Facts:
    """All that one examination gathered.

    Attributes:
        canary: What was sent.
        accepted: Signals that the receiver took.
        skip: What was left out, by the user.
        accesses: The backend of each signal that is not left out.
        healths: How each of these was found.
        backends: Those of them that answer.
        sights: What became of each search.
        ahead: Seconds that this machine's clock is ahead of the others', None where they agree.
        timeout: Seconds that were waited for.
        begun: When the canary was sent, by `time.monotonic`.
    """

    canary: Canary
    accepted: frozenset[Signal]
    skip: frozenset[str]
    accesses: Mapping[Signal, Access]
    healths: Mapping[Signal, Health]
    backends: Backends
    sights: Sights
    ahead: float | None
    timeout: float
    begun: float


def findings(facts: Facts, progress: Callable[[str], None]) -> Iterator[Finding]:
    """One finding a hop, in the order in which they lead to each other: exemplar, trace, line."""
    missing = _missing(facts, progress)
    yield _metric(facts, missing)
    yield _exemplar(facts, missing)
    yield _of_signal(facts, "traces", facts.sights.trace, missing, causes.why_no_trace)
    yield _link_to_trace(facts)
    yield _of_signal(facts, "logs", facts.sights.line, missing, causes.why_no_log)
    yield _link_to_log(facts)


def _missing(facts: Facts, progress: Callable[[str], None]) -> Callable[[Signal], Missing]:
    """What is known of a signal that is not there: asked for once, and only if something is missing."""
    told: list[Telemetry] = []

    def known(signal: Signal) -> Missing:
        if not told:
            progress("asking what the Collector says of itself")
            told.append(_told(facts))
        health = facts.healths[signal]
        common = Missing(
            backend=facts.accesses[signal].product.capitalize(),
            waited=facts.timeout,
            telemetry=told[0],
            ahead=facts.ahead,
            not_ready=health.text,
            preferences=facts.canary.preferences,
        )
        prometheus, loki = facts.backends.metrics, facts.backends.logs
        if signal == "metrics" and prometheus is not None:
            return replace(
                common,
                configured=prometheus.configured(),
                refused=risen(health.counts, prometheus.counts()),
                newer=prometheus.newer_than(facts.canary),
            )
        if signal == "logs" and loki is not None:
            return replace(common, refused=risen(health.counts, loki.counts()))
        return common

    return known


def _told(facts: Facts) -> Telemetry:
    """What the Collector says of itself, as soon as it says something of what is missing."""
    seen: dict[Signal, Sight[object] | None] = {
        "traces": facts.sights.trace,
        "metrics": facts.sights.sample,
        "logs": facts.sights.line,
    }
    wanted: list[Signal] = [
        signal for signal in facts.accesses if signal in facts.accepted and not _was_seen(seen[signal])
    ]
    deadline = facts.begun + _COLLECTOR_TELLS_S
    since = facts.canary.moment - round((facts.ahead or 0.0) * 1e9)
    while True:
        found = telemetry(facts.backends.metrics, facts.backends.logs, since)
        tells = all(by_log(signal, "", found) or found.queued.get(signal) for signal in wanted)
        if tells or not found.known or time.monotonic() > deadline:
            return found
        time.sleep(0.3)


def _was_seen(sight: Sight[object] | None) -> bool:
    return sight is not None and sight.found is not None


def _of_signal(
    facts: Facts,
    signal: Signal,
    sight: Sight[object] | None,
    missing: Callable[[Signal], Missing],
    why: Callable[[Missing], Cause],
) -> Finding:
    """Of the three hops from the receiver to a backend."""
    check, what = _CHECKS[signal], _NOUNS[signal]
    if signal not in facts.accesses:
        return Finding(check, "skipped", f"no {what} is looked for")
    access, health = facts.accesses[signal], facts.healths[signal]
    name = access.product.capitalize()
    if not health.answers:
        cause = why_not_asked(access, health, full_disks() if is_local(access.url) else ())
        text, evidence = cause.text, cause.evidence
        if health.trouble is not None and signal in facts.accepted:
            told = missing(signal).telemetry
            waits = by_log(signal, name, told) or by_queue(signal, name, told)
            evidence = (*evidence, *(waits.evidence if waits else ()))
            tries = any(one.recent and not one.dropped for one in told.failures.get(signal, ()))
            if tries or told.queued.get(signal):
                text += "; the Collector keeps what it accepted, and tries again"
        return Hop(check, "error", f"{name} cannot be asked at {access.shown}", text, cause.next_step, evidence)
    if sight is None:
        return Finding(check, "skipped", f"no {what} is looked for in {name}, as none was accepted")
    if sight.found is not None:
        return Hop(check, "ok", f"{what} found in {name}", seconds=sight.seconds)
    cause = why(missing(signal))
    evidence = (*cause.evidence, *((f"{name} answered last: {sight.error}",) if sight.error else ()))
    return Hop(check, "error", f"{what} not found in {name}", cause.text, cause.next_step, evidence)


def _metric(facts: Facts, missing: Callable[[Signal], Missing]) -> Finding:
    sight = facts.sights.sample
    found = _of_signal(facts, "metrics", sight, missing, causes.why_no_metric)
    if sight is None or sight.found is None:
        return found
    if sight.found.form == "buckets":
        return replace(found, summary=f"{found.summary}, as {BUCKETS}")
    cause = causes.why_other_form(sight.found, missing("metrics"))
    name = facts.accesses["metrics"].product.capitalize()
    return Hop(
        METRIC,
        "error",
        f"metric in {name} as {sight.found.name}, where queries look for {BUCKETS}",
        cause.text,
        cause.next_step,
        cause.evidence,
        seconds=sight.seconds,
    )


def _exemplar(facts: Facts, missing: Callable[[Signal], Missing]) -> Finding:
    sample, sight = facts.sights.sample, facts.sights.exemplar
    if sight is None:
        return Finding(EXEMPLAR, "skipped", "no exemplar is looked for")
    name = facts.accesses["metrics"].product.capitalize()
    if sight.found is not None:
        return Hop(EXEMPLAR, "ok", f"exemplar found in {name}", seconds=sight.seconds)
    if sample is None or sample.found is None:
        return Finding(EXEMPLAR, "skipped", "no exemplar without its metric")
    cause = causes.why_no_exemplar(missing("metrics"))
    evidence = (*cause.evidence, *((f"{name} answered last: {sight.error}",) if sight.error else ()))
    return Hop(EXEMPLAR, "error", f"exemplar not found in {name}", cause.text, cause.next_step, evidence)


def _link_to_trace(facts: Facts) -> Finding:
    exemplar, trace, link = facts.sights.exemplar, facts.sights.trace, facts.sights.trace_of_exemplar
    if exemplar is None or exemplar.found is None or trace is None or trace.found is None or link is None:
        return Finding(LINK_TO_TRACE, "skipped", "exemplar → trace needs both of them")
    if link.found == facts.canary.trace_id:
        return Hop(LINK_TO_TRACE, "ok", "exemplar → trace: by the exemplar's trace_id", seconds=link.seconds)
    return Hop(
        LINK_TO_TRACE,
        "error",
        "the exemplar does not lead to its trace",
        f"its trace_id is {exemplar.found or 'missing'}, the trace's is {facts.canary.trace_id}: something on the way"
        " changes the labels of exemplars",
        "look for processors and relabelling that touch exemplars (trace_id, span_id)",
    )


def _link_to_log(facts: Facts) -> Finding:
    line, link = facts.sights.line, facts.sights.line_of_trace
    if line is None or line.found is None or link is None:
        return Finding(LINK_TO_LOG, "skipped", "trace → log line needs both of them")
    if link.found is not None:
        return Hop(LINK_TO_LOG, "ok", "trace → log line: by the trace's id", seconds=link.seconds)
    cause = causes.why_no_link_to_log("Loki")
    return Hop(LINK_TO_LOG, "error", "the trace's id does not find its line", cause.text, cause.next_step)
