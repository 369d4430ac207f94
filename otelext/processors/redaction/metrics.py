"""Metrics as they leave, and the exporter and the readers that let no others out."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
    ResourceMetrics,
    ScopeMetrics,
)

from otelext import semconv
from otelext.capture.failure import report_setup
from otelext.processors.redaction.counts import COUNTS
from otelext.processors.redaction.names import NAMES
from otelext.processors.redaction.points import merged
from otelext.processors.redaction.rules import PROCESS, Rules
from otelext.processors.redaction.samples import METRICS, SAMPLES, of_metrics
from otelext.processors.redaction.scopes import resource_of, scope_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from opentelemetry.sdk.metrics import Exemplar
    from opentelemetry.sdk.metrics.export import Metric

NEVER: Final = frozenset({semconv.REQUEST_ID, semconv.USER_ID})
"""Attributes that no data point carries, whoever allows them: each request or user would be a series of its own."""


@cache
def _units() -> re.Pattern[str]:
    # https://ucum.org/ucum, of which services use the short ones, and annotations in braces. Not compiled at the start.
    atom = r"(?:[A-Za-z%\[\]_]{1,8}[0-9]?|\{[A-Za-z_. -]{1,24}\}|1|10[*^][0-9]{1,2})"
    return re.compile(rf"(?:{atom}(?:{atom}?[./]{atom}){{0,3}})?")


class RedactingMetricExporter(MetricExporter):
    """Hands to another exporter what may leave of each metric. Usable by itself, around any `MetricExporter`.

    Attributes:
        exporter: The other one.
    """

    def __init__(self, exporter: MetricExporter, rules: Rules | None = None) -> None:
        """Wrap an exporter.

        Args:
            exporter: The exporter, whose temporality and aggregation are preferred.
            rules: What may leave; what holds in the process if None.
        """
        super().__init__(
            preferred_temporality=getattr(exporter, "_preferred_temporality", None),
            preferred_aggregation=getattr(exporter, "_preferred_aggregation", None),
        )
        self.exporter = exporter
        self._rules = rules

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Export what may leave; a metric that can't be looked at is left out."""
        leaving = _leaving(metrics_data, self._rules)
        if leaving is None:
            return MetricExportResult.FAILURE
        return self.exporter.export(leaving, timeout_millis=timeout_millis, **kwargs)

    def force_flush(self, *args: Any, **kwargs: Any) -> bool:
        """Flush the other exporter."""
        return self.exporter.force_flush(*args, **kwargs)

    def shutdown(self, *args: Any, **kwargs: Any) -> None:
        """Shut the other exporter down."""
        self.exporter.shutdown(*args, **kwargs)


class _Receiver:
    """In the place of a reader's `_receive_metrics`: hands on what may leave."""

    def __init__(self, receive: Callable[..., object], rules: Rules | None) -> None:
        self._receive = receive
        self._rules = rules

    def __call__(self, metrics_data: MetricsData, *args: Any, **kwargs: Any) -> None:
        leaving = _leaving(metrics_data, self._rules)
        if leaving is not None:
            self._receive(leaving, *args, **kwargs)


def redact_reader(reader: Any, rules: Rules | None = None) -> bool:
    """Let a reader receive or export what may leave alone, from now on. A second time changes nothing.

    Args:
        reader: Any metric reader of the SDK's interface: a periodic one, Prometheus's, one in memory, the user's.
        rules: What may leave; what holds in the process if None.

    Returns:
        Whether it holds.
    """
    try:
        return _redact_reader(reader, rules)
    except Exception as error:  # noqa: BLE001  # slots, properties; what can't be covered is said
        report_setup(
            "otelext could not cover the metric reader %s (%s)", type(reader).__qualname__, type(error).__qualname__
        )
        return False


def _redact_reader(reader: Any, rules: Rules | None) -> bool:
    receive = getattr(reader, "_receive_metrics", None)
    if isinstance(receive, _Receiver):
        return True
    exporter: Any = getattr(reader, "_exporter", None)
    # The SDK's own hands everything to the exporter, where the wrapper can be seen; a subclass may do as it likes.
    if getattr(receive, "__func__", None) is PeriodicExportingMetricReader._receive_metrics:  # noqa: SLF001
        if not isinstance(exporter, RedactingMetricExporter):
            reader._exporter = RedactingMetricExporter(exporter, rules)  # noqa: SLF001
        return True
    if not callable(receive):
        return False
    reader._receive_metrics = _Receiver(receive, rules)  # noqa: SLF001  # `collect` asks the instance
    if isinstance(exporter, RedactingMetricExporter):
        reader._exporter = exporter.exporter  # noqa: SLF001  # twice would hash a hash
    _forget(reader)
    return True


def _forget(reader: Any) -> None:
    """Take back what Prometheus's reader and the one in memory keep from before, to be scraped or read later."""
    collector: Any = getattr(reader, "_collector", None)
    if isinstance(getattr(collector, "_metrics_datas", None), deque):
        collector._metrics_datas.clear()  # noqa: SLF001  # each scrape collects anew
        collector._target_info = None  # noqa: SLF001  # resource attributes, else kept for good
    if isinstance(getattr(reader, "_metrics_data", None), MetricsData):
        reader._metrics_data = None  # noqa: SLF001


def _leaving(data: MetricsData, rules: Rules | None) -> MetricsData | None:
    """What leaves of a batch, None for nothing at all."""
    try:
        leaving = redact(data, PROCESS.rules if rules is None else rules)
    except Exception as error:  # noqa: BLE001  # whatever a foreign object does when it is looked at
        COUNTS.add(semconv.REDACTED_METRIC)
        report_setup("otelext left metrics out that could not be redacted (%s)", type(error).__qualname__)
        return None
    SAMPLES.take(METRICS, of_metrics(leaving))
    return leaving


def redact(data: MetricsData, rules: Rules) -> MetricsData:
    """Metrics as they leave. A metric that can't be looked at is left out.

    Points that have the same attributes then are made one, as `otelext.processors.redaction.points` says, also where
    they came from meters or instruments that differed in what was taken away alone.

    Returns:
        `data` itself where all of it may leave; so do all parts of it that may.
    """
    resources = _each(data.resource_metrics, lambda given: _resource_metrics(given, rules))
    return data if resources is data.resource_metrics else replace(data, resource_metrics=resources)


def _resource_metrics(given: ResourceMetrics, rules: Rules) -> ResourceMetrics:
    resource = resource_of(rules, given.resource)
    scopes = _joined_scopes(_each(given.scope_metrics, lambda metrics: _scope(metrics, rules)), given.scope_metrics)
    scopes = _each(scopes, lambda metrics: _scope_metrics(metrics, rules))
    schema_url = resource.schema_url or ""
    if resource is given.resource and scopes is given.scope_metrics and schema_url == (given.schema_url or ""):
        return given
    return replace(given, resource=resource, scope_metrics=scopes, schema_url=schema_url)


def _scope(given: ScopeMetrics, rules: Rules) -> ScopeMetrics:
    scope = scope_of(rules, given.scope)
    schema_url = scope.schema_url or ""
    if scope is given.scope and schema_url == (given.schema_url or ""):
        return given
    return replace(given, scope=scope, schema_url=schema_url)


def _scope_metrics(given: ScopeMetrics, rules: Rules) -> ScopeMetrics | None:
    named = _each(given.metrics, lambda metric: _named(metric, given.scope.name))
    metrics = _each(named, lambda metric: _metric(metric, rules))
    if metrics is given.metrics:
        return given
    return replace(given, metrics=metrics) if metrics else None


def _joined_scopes(scopes: Sequence[ScopeMetrics], given: Sequence[ScopeMetrics]) -> Sequence[ScopeMetrics]:
    """One for each scope, where scopes that differed in what was taken away have become the same."""
    if scopes is given:
        return given
    by_scope: dict[Hashable, list[ScopeMetrics]] = {}
    for metrics in scopes:
        by_scope.setdefault((metrics.scope, metrics.schema_url), []).append(metrics)
    return [
        same[0] if len(same) == 1 else replace(same[0], metrics=_joined_metrics([m for s in same for m in s.metrics]))
        for same in by_scope.values()
    ]


def _joined_metrics(metrics: Sequence[Metric]) -> list[Metric]:
    """One for each stream, with the points of all; some may have the same attributes."""
    by_stream: dict[Hashable, list[Metric]] = {}
    for metric in metrics:
        data: Any = metric.data
        kind = (type(data), getattr(data, "aggregation_temporality", None), getattr(data, "is_monotonic", None))
        by_stream.setdefault((metric.name, metric.unit, kind), []).append(metric)
    return [same[0] if len(same) == 1 else _joined(same) for same in by_stream.values()]


def _joined(same: Sequence[Metric]) -> Metric:
    data: Any = same[0].data
    points = _Joined(point for metric in same for point in metric.data.data_points)
    return replace(same[0], data=replace(data, data_points=points))


class _Joined(list[Any]):
    """Points of several metrics, which may be duplicates even where nothing is taken away from them."""


def _named(given: Metric, scope: str) -> Metric | None:
    """A metric without a unit or description that is none of the program's; nothing where its name is none."""
    if not NAMES.names_instrument(given.name, scope):
        COUNTS.add(semconv.REDACTED_METRIC)
        report_setup(
            "otelext left a metric of %s out, whose name is neither written in the program nor made of plain words",
            scope,
        )
        return None
    unit = given.unit or ""
    if unit and not _units().fullmatch(unit):
        COUNTS.add(semconv.REDACTED_METRIC)
        unit = ""
    description = given.description or ""
    if not NAMES.describes(description, scope):
        COUNTS.add(semconv.REDACTED_METRIC)
        description = ""
    if unit == (given.unit or "") and description == (given.description or ""):
        return given
    return replace(given, unit=unit, description=description)


def _metric(given: Metric, rules: Rules) -> Metric | None:
    try:
        data: Any = given.data
        given_points = data.data_points
        points = _each(given_points, lambda point: _point(point, rules))
        joined = isinstance(given_points, _Joined)
        if points is given_points and not joined:
            return given
        data = replace(data, data_points=points)
        if joined or any(a.attributes is not b.attributes for a, b in zip(points, given_points, strict=True)):
            data, left_out = merged(data)
            if left_out:
                COUNTS.add(semconv.REDACTED_METRIC, left_out)
                report_setup(
                    "otelext left points of %s out: their buckets differ, so they can't be added up", given.name
                )
        return replace(given, data=data)
    except Exception as error:  # noqa: BLE001  # whatever a foreign object does when it is looked at
        COUNTS.add(semconv.REDACTED_METRIC)
        report_setup("otelext left a metric out that could not be redacted (%s)", type(error).__qualname__)
        return None


def _point(given: Any, rules: Rules) -> Any:
    attributes = _attributes(given.attributes, rules)
    exemplars = _each(given.exemplars, lambda exemplar: _exemplar(exemplar, rules))
    if attributes is given.attributes and exemplars is given.exemplars:
        return given
    return replace(given, attributes=attributes, exemplars=exemplars)


def _attributes(given: Mapping[str, Any] | None, rules: Rules) -> Mapping[str, Any] | None:
    if not given:
        return given
    if semconv.REQUEST_ID in given or semconv.USER_ID in given:
        kept = {key: value for key, value in given.items() if key not in NEVER}
        COUNTS.add(semconv.REDACTED_METRIC_ATTRIBUTE, len(given) - len(kept))
        given = kept
    return rules.attributes(given, semconv.REDACTED_METRIC_ATTRIBUTE)


def _exemplar(given: Exemplar, rules: Rules) -> Exemplar:
    if not given.filtered_attributes:
        return given
    attributes = rules.attributes(given.filtered_attributes, semconv.REDACTED_EXEMPLAR_ATTRIBUTE)
    return given if attributes is given.filtered_attributes else replace(given, filtered_attributes=attributes)


def _each(items: Sequence[Any], leave: Callable[[Any], Any]) -> Sequence[Any]:
    """What leaves of each; `items` itself where all leave as they are, and without those that do not leave at all."""
    changed: list[Any] | None = None
    for index, item in enumerate(items):
        leaves = leave(item)
        if leaves is item and changed is None:
            continue
        if changed is None:
            changed = list(items[:index])
        if leaves is not None:
            changed.append(leaves)
    return items if changed is None else changed
