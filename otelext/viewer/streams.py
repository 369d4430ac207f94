"""Totals of counters and histograms over a time range, whole across instances and restarts.

The rules are those of the metrics data model
(https://opentelemetry.io/docs/specs/otel/metrics/data-model/#resets-and-gaps): a stream is one set of resource,
scope, name, unit and attributes; a new start time, or a value that falls, begins anew; streams add up.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from otelext.viewer.distribution import ExponentialHistogram, Histogram
from otelext.viewer.selection import OF_SERVICES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

    from otelext.viewer.selection import Selection

_DELTA: Final = 1
NO_RECORDED_VALUE: Final = 1
"""The flag of a data point that tells that there is none: https://opentelemetry.io/docs/specs/otel/metrics/data-model/#no-recorded-value"""
_LOOKBACK_NS: Final = 3600 * 10**9
"""How long before the range a reading may lie that tells what a cumulative stream held when the range began."""

MOST: Final = 1e18
"""A counter's value or a histogram's sum beyond this measures nothing, and no rate or mean could be made of it."""


@dataclass(frozen=True)
class Increase:
    """What one stream gained in a range.

    Attributes:
        attributes: Of the data point.
        value: Of a counter, 0 for histograms.
        histogram: Of a histogram, empty for counters.
        begin_ns: From when on the gain counts.
        end_ns: Time of the last reading.
        service: Who sent it.
    """

    attributes: dict[str, Any]
    value: float
    histogram: Histogram
    begin_ns: int
    end_ns: int
    service: str


def increases(reader: duckdb.DuckDBPyConnection, metric: str, selection: Selection) -> list[Increase]:
    """What every selected stream of a monotonic sum or histogram gained in a range.

    A cumulative stream that began before the range and has no reading there from before counts from its first
    reading on: what it held by then cannot be dated.
    """
    since = selection.since_ns
    arguments = {
        "metric": metric,
        "until": selection.until_ns,
        "since": since if since is not None else -1,
        "earliest": since - _LOOKBACK_NS if since is not None else -1,
        "all": since is None,
        "services": list(selection.services),
    }
    cumulative = reader.execute(_CUMULATIVE, arguments).fetchall()
    deltas = reader.execute(_DELTAS, {k: arguments[k] for k in ("metric", "until", "since", "services")}).fetchall()
    return list(_gains(cumulative)) + [
        Increase(json.loads(attributes), value or 0.0, _histogram(last), begin, end, service)
        for attributes, service, begin, end, value, last in deltas
    ]


def total(found: list[Increase], *keys: str) -> dict[tuple[str, ...], float]:
    """Sums of counters by the values of some attributes; a missing one is an empty string."""
    sums: dict[tuple[str, ...], float] = {}
    for increase in found:
        group = tuple(str(increase.attributes.get(key, "")) for key in keys)
        sums[group] = sums.get(group, 0.0) + increase.value
    return sums


def merged(found: list[Increase], *keys: str) -> dict[tuple[str, ...], Histogram]:
    """Histograms added up by the values of some attributes; a missing one is an empty string."""
    sums: dict[tuple[str, ...], Histogram] = {}
    for increase in found:
        group = tuple(str(increase.attributes.get(key, "")) for key in keys)
        sums[group] = sums.get(group, Histogram()).plus(increase.histogram)
    return sums


_USABLE: Final = (
    f"flags & {NO_RECORDED_VALUE} = 0 AND coalesce(value, 0.0) BETWEEN 0 AND {MOST} "
    f"AND abs(coalesce(sum, 0.0)) <= {MOST} AND {OF_SERVICES}"
)

_READING: Final = (
    "{{'value': {0}.value, 'sum': {0}.sum, 'count': {0}.value_count, 'bounds': {0}.bounds, "
    "'bucket_counts': {0}.bucket_counts, 'scale': {0}.scale, 'zero_count': {0}.zero_count, "
    "'positive_offset': {0}.positive_offset, 'positive_counts': {0}.positive_counts, "
    "'negative_offset': {0}.negative_offset, 'negative_counts': {0}.negative_counts}}"
)

# A first pass over narrow columns finds the two readings of each stretch between resets; only those are read whole.
_CUMULATIVE: Final = f"""
WITH readings AS (
    SELECT rowid AS id, stream, start_ns, time_ns, coalesce(value_count::DOUBLE, value) AS level
    FROM points
    WHERE metric = $metric AND temporality <> {_DELTA} AND monotonic AND {_USABLE}
      AND time_ns BETWEEN $earliest AND $until
), falls AS (
    SELECT *, lag(level) OVER stretch > level AS fell FROM readings
    WINDOW stretch AS (PARTITION BY stream, start_ns ORDER BY time_ns)
), stretches AS (
    SELECT *, sum(coalesce(fell, FALSE)::INTEGER) OVER (
        PARTITION BY stream, start_ns ORDER BY time_ns ROWS UNBOUNDED PRECEDING) AS resets
    FROM falls
), ends AS (
    SELECT arg_max(id, time_ns) AS last_id, max(time_ns) AS last_ns,
        CASE WHEN $all THEN NULL
             ELSE coalesce(arg_max(id, time_ns) FILTER (time_ns <= $since),
                           CASE WHEN start_ns < $since AND resets = 0 THEN arg_min(id, time_ns) END)
        END AS base_id
    FROM stretches GROUP BY stream, start_ns, resets
)
SELECT l.attributes, l.service, coalesce(b.time_ns, l.start_ns), l.time_ns, {_READING.format("l")},
    CASE WHEN b.time_ns IS NOT NULL THEN {_READING.format("b")} END
FROM ends JOIN points l ON l.rowid = last_id LEFT JOIN points b ON b.rowid = base_id
WHERE last_ns > $since
"""  # noqa: S608 (constants)

_DELTAS: Final = f"""
SELECT attributes, service, start_ns, time_ns, value, {_READING.format("points")}
FROM points
WHERE metric = $metric AND temporality = {_DELTA} AND monotonic AND {_USABLE}
  AND time_ns > $since AND time_ns <= $until
"""  # noqa: S608 (constants)


def _gains(rows: list[tuple[Any, ...]]) -> Iterator[Increase]:
    for attributes, service, begin, end, last, base in rows:
        value = (last["value"] or 0.0) - ((base["value"] or 0.0) if base else 0.0)
        yield Increase(json.loads(attributes), value, _difference(last, base), begin, end, service)


def _difference(last: dict[str, Any], base: dict[str, Any] | None) -> Histogram:
    if base is None:
        return _histogram(last)
    if last["scale"] is not None and base["scale"] is not None:
        return _exponential(last).minus(_exponential(base)).explicit()
    return _histogram(last).minus(_histogram(base))


def _histogram(reading: dict[str, Any]) -> Histogram:
    if reading["scale"] is not None:
        return _exponential(reading).explicit()
    counts = tuple(map(float, reading["bucket_counts"] or (reading["count"] or 0,)))
    bounds = tuple(reading["bounds"] or ()) if reading["bucket_counts"] else ()
    return Histogram(bounds, counts, reading["sum"] or 0.0)


def _exponential(reading: dict[str, Any]) -> ExponentialHistogram:
    return ExponentialHistogram(
        reading["scale"],
        float(reading["zero_count"] or 0),
        _indexed(reading["positive_offset"], reading["positive_counts"]),
        _indexed(reading["negative_offset"], reading["negative_counts"]),
        reading["sum"] or 0.0,
    )


def _indexed(offset: int | None, counts: list[int] | None) -> dict[int, float]:
    return {(offset or 0) + i: float(count) for i, count in enumerate(counts or ()) if count}
