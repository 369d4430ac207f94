"""Metrics as they leave."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from otelext import semconv
from otelext.capture.failure import report_setup
from otelext.processors.redaction import each
from otelext.processors.redaction.counts import COUNTS
from otelext.processors.redaction.names import NAMES
from otelext.processors.redaction.points import merged
from otelext.processors.redaction.rules import NEVER_ON_POINTS
from otelext.processors.redaction.scopes import resource_of, scope_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from opentelemetry.sdk.metrics import Exemplar
    from opentelemetry.sdk.metrics.export import Metric, MetricsData, ResourceMetrics, ScopeMetrics

    from otelext.processors.redaction.rules import Rules


@cache
def _units() -> re.Pattern[str]:
    # https://ucum.org/ucum, of which services use the short ones, and annotations in braces. Not compiled at the start.
    atom = r"(?:[A-Za-z%\[\]_]{1,8}[0-9]?|\{[A-Za-z_. -]{1,24}\}|1|10[*^][0-9]{1,2})"
    return re.compile(rf"(?:{atom}(?:{atom}?[./]{atom}){{0,3}})?")


def leaving(data: MetricsData, rules: Rules) -> MetricsData | None:
    """What leaves of a batch, None for nothing at all."""
    found = each.leaving((data,), lambda batch: redact(batch, rules), "metrics", semconv.REDACTED_METRIC)
    return found[0] if found else None


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
        kept = {key: value for key, value in given.items() if key not in NEVER_ON_POINTS}
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
