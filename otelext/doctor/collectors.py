"""What Collectors say of themselves: their own metrics, where Prometheus has them, and their log, where Loki has it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from otelext.doctor.backends.api import UnansweredError
from otelext.doctor.endpoint import SIGNALS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from otelext.doctor.backends.loki import Line, Loki
    from otelext.doctor.backends.prometheus import Prometheus
    from otelext.doctor.endpoint import Signal

ITEMS: Final[dict[Signal, str]] = {"traces": "spans", "metrics": "metric_points", "logs": "log_records"}
"""How Collectors call what they count."""
_FILTERED: Final[dict[Signal, str]] = {"traces": "spans", "metrics": "datapoints", "logs": "logs"}
# Those of collector/gateway.yaml that tell streams apart: each removes what another one keeps.
_SORTING: Final = frozenset({"filter/made_by_collectors", "filter/not_made_by_collectors", "filter/counted"})
_TAIL_SAMPLING: Final = "otelcol_processor_tail_sampling_sampling_traces_on_memory(_total)?"
_WINDOW: Final = "5m"
_LOG_WINDOW_S: Final = 180.0
# Collectors say it every 15 s. What is older may be the last word of one that is gone: Prometheus holds it for minutes.
_QUEUE_WINDOW_S: Final = 30.0
_EXPORT_FAILED: Final = "Exporting failed"
_DROPPED: Final = "Dropping data"
# Every Collector counts something of these.
_ANY: Final = "otelcol_(exporter_queue_capacity|process_uptime.*|receiver_accepted_.*|exporter_sent_.*)"


@dataclass(frozen=True)
class Failure:
    """One exporter that fails, by its own log.

    Attributes:
        exporter: Its name in the configuration.
        error: What it was answered, or why it was not.
        dropped: Whether it gave up what it had; else it tries again.
        recent: Whether it says so since the canary was sent; an older line may be of what is repaired by now.
    """

    exporter: str
    error: str
    dropped: bool
    recent: bool


@dataclass(frozen=True)
class Telemetry:
    """What is known of the Collectors in the last minutes.

    Attributes:
        known: Whether anything of theirs was found at all.
        queued: Exporters with something in their queue, and how much, by signal.
        given_up: Exporters that dropped something, and how many items, by signal.
        failures: Failing exporters by their log, newest first, by signal.
        sampled: Traces that samplers kept.
        sampled_away: Traces that they dropped.
        decides_late: Whether there is one that waits for the end of a trace.
        filtered: Filters that removed something, and how many items, by signal.
    """

    known: bool = False
    queued: Mapping[Signal, Mapping[str, float]] = field(default_factory=dict)
    given_up: Mapping[Signal, Mapping[str, float]] = field(default_factory=dict)
    failures: Mapping[Signal, tuple[Failure, ...]] = field(default_factory=dict)
    sampled: float = 0.0
    sampled_away: float = 0.0
    decides_late: bool = False
    filtered: Mapping[Signal, Mapping[str, float]] = field(default_factory=dict)


def telemetry(prometheus: Prometheus | None, loki: Loki | None, since: int) -> Telemetry:
    """What both have of it; whichever can't be asked is left out.

    Args:
        prometheus: Where the metrics of Collectors are, None where it can't be asked.
        loki: Where their log is, likewise.
        since: When the canary was sent, in nanoseconds since the epoch by the others' clock.
    """
    services: set[str] = set()
    queued: dict[Signal, dict[str, float]] = {}
    given_up: dict[Signal, dict[str, float]] = {}
    filtered: dict[Signal, dict[str, float]] = {}
    sampled = sampled_away = 0.0
    decides_late = False
    if prometheus is not None:
        try:
            services = {
                name
                for labels, _ in prometheus.query(f'group by (service_name, job) ({{__name__=~"{_ANY}"}})')
                if (name := labels.get("service_name") or labels.get("job"))
            }
            for signal in SIGNALS:
                queued[signal] = _queued(prometheus, signal, since / 1e9)
                failed = f"otelcol_exporter_send_failed_{ITEMS[signal]}"
                given_up[signal] = _by(prometheus, "exporter", _risen("exporter", failed))
                removed = f"otelcol_processor_filter_{_FILTERED[signal]}_filtered"
                by_filters = _by(prometheus, "filter", _risen("filter", removed))
                filtered[signal] = {name: items for name, items in by_filters.items() if name not in _SORTING}
            sampled, sampled_away = _sampling(prometheus)
            decides_late = bool(prometheus.query(f'group({{__name__=~"{_TAIL_SAMPLING}"}})'))
        except UnansweredError:
            pass
    failures: dict[Signal, tuple[Failure, ...]] = {}
    lines: list[Line] = []
    if loki is not None:
        named = "|".join(sorted(services)) if services else ".*(otelcol|collector).*"
        with contextlib.suppress(UnansweredError):
            lines = loki.recent(f'{{service_name=~"{named}"}} |= "{_EXPORT_FAILED}"', _LOG_WINDOW_S, 50)
        for signal in SIGNALS:
            of_signal = sorted((line for line in lines if _is_of(line, signal)), key=lambda line: -line.at)
            failures[signal] = tuple(dict.fromkeys(_failure(line, since) for line in of_signal))
    return Telemetry(
        known=bool(services or lines),
        queued=queued,
        given_up=given_up,
        failures=failures,
        sampled=sampled,
        sampled_away=sampled_away,
        decides_late=decides_late,
        filtered=filtered,
    )


def _risen(label: str, name: str) -> str:
    """By how much a counter rose lately; one that is new rose by all that it holds."""
    series = f'{{__name__=~"{name}(_total)?"}}'
    new = f"sum by ({label}) ({series}) unless sum by ({label}) ({series} offset {_WINDOW})"
    # The brackets matter: `>` binds closer than `unless`, and what never rose would be among it.
    return f"(sum by ({label}) (increase({series}[{_WINDOW}])) >= 0.5) or (({new}) > 0)"


def _queued(prometheus: Prometheus, signal: Signal, since: float) -> dict[str, float]:
    """What waits in queues by exporter: said since then where one said anything, else shortly before."""
    sizes = f'otelcol_exporter_queue_size{{data_type="{signal}"}}'
    said = [
        _by(prometheus, "exporter", f"max by (exporter) ({sizes} and (timestamp({sizes}) >= {moment:.3f}))")
        for moment in (since - _QUEUE_WINDOW_S, since)
    ]
    return {exporter: size for exporter, size in (said[0] | said[1]).items() if size > 0}


def _by(prometheus: Prometheus, label: str, expression: str) -> dict[str, float]:
    return {labels.get(label, ""): value for labels, value in prometheus.query(expression)}


def _sampling(prometheus: Prometheus) -> tuple[float, float]:
    """Traces that samplers kept and dropped lately."""
    kept = dropped = 0.0
    names = "otelcol_processor_(tail_sampling_global|probabilistic_sampler)_count_traces_sampled"
    for labels, value in prometheus.query(_risen("sampled, decision", names)):
        if labels.get("sampled") == "true" or labels.get("decision") == "sampled":
            kept += value
        else:
            dropped += value
    return kept, dropped


def _is_of(line: Line, signal: Signal) -> bool:
    # A gateway keeps no attributes of an agent's lines; what can't be told apart counts for each.
    return line.labels.get("otelcol_signal", signal) == signal


def _failure(line: Line, since: int) -> Failure:
    return Failure(
        exporter=line.labels.get("otelcol_component_id", "an exporter"),
        error=line.labels.get("error", ""),
        dropped=_DROPPED in line.text,
        recent=line.at >= since,
    )
