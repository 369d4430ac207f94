"""Inference spans: exact latencies, the paged list, and the traces they belong to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, TypedDict

from otelext import semconv
from otelext.viewer.selection import OF_SERVICES

if TYPE_CHECKING:
    import duckdb

    from otelext.viewer.selection import Selection

QUANTILES: Final = (0.5, 0.9, 0.95, 0.99)

_MOST_SPANS: Final = 5_000
_KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")
_STATUSES: Final = ("unset", "ok", "error")


class Exact(TypedDict):
    """One measure of one model's inferences, in seconds, out of their spans."""

    model: str
    count: int
    mean: float
    quantiles: list[float]


class Inference(TypedDict):
    """One inference span; durations in seconds, None where the span has none."""

    trace_id: str
    span_id: str
    name: str
    operation: str
    model: str
    outcome: str
    service: str
    instance: str
    start_ns: int
    end_ns: int
    duration_s: float
    ttft_s: float | None
    tpot_s: float | None
    consumer_wait_s: float | None
    output_tokens: int | None


class TraceSpan(TypedDict):
    """One span of a trace."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    kind: str
    service: str
    instance: str
    scope: str
    stage: str | None
    outcome: str | None
    start_ns: int
    end_ns: int
    status: str
    status_message: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    events: list[dict[str, Any]]
    links: list[dict[str, Any]]


_COMPLETED: Final = semconv.Outcome.COMPLETED.value

MEASURES: Final = {
    "ttft": ("ttft_s", f"outcome = '{_COMPLETED}'"),
    "tpot": ("tpot_s", f"outcome = '{_COMPLETED}'"),
    "duration": ("(end_ns - start_ns) / 1e9", f"outcome = '{_COMPLETED}'"),
    "consumer_wait": ("consumer_wait_s", "TRUE"),
}
"""What can be asked, as SQL: the value and the inferences that it is taken of, as `docs/measurement.md` has it."""

_COLUMNS: Final = (
    "trace_id, span_id, name, coalesce(operation, ''), coalesce(model, ''), outcome, service, instance, "
    "start_ns, end_ns, (end_ns - start_ns) / 1e9, ttft_s, tpot_s, consumer_wait_s, output_tokens"
)

# A sender that missed the answer sends a span again: the first one counts.
_INFERENCES: Final = f"""(
    SELECT * FROM spans
    WHERE scope = '{semconv.SCOPE_NAME}' AND outcome IS NOT NULL AND end_ns > $since AND end_ns <= $until
        AND {OF_SERVICES}
    QUALIFY row_number() OVER (PARTITION BY trace_id, span_id ORDER BY received_ns) = 1
)"""  # noqa: S608 (constants)


def counts(reader: duckdb.DuckDBPyConnection, selection: Selection) -> dict[tuple[str, str], int]:
    """Inference spans by model and outcome."""
    query = f"SELECT coalesce(model, ''), outcome, count(*) FROM {_INFERENCES} GROUP BY ALL"  # noqa: S608
    return {
        (model, outcome): count for model, outcome, count in reader.execute(query, _arguments(selection)).fetchall()
    }


def services(reader: duckdb.DuckDBPyConnection, selection: Selection) -> set[str]:
    """Services that sent inference spans."""
    query = f"SELECT DISTINCT service FROM {_INFERENCES}"  # noqa: S608
    return {name for (name,) in reader.execute(query, _arguments(selection)).fetchall()}


def observed(reader: duckdb.DuckDBPyConnection, selection: Selection) -> tuple[int, int] | None:
    """Start of the first and end of the last inference, None without any."""
    query = f"SELECT min(start_ns), max(end_ns) FROM {_INFERENCES}"  # noqa: S608
    row = reader.execute(query, _arguments(selection)).fetchone()
    return (row[0], row[1]) if row and row[0] is not None else None


def exact(reader: duckdb.DuckDBPyConnection, measure: str, selection: Selection) -> dict[str, Exact]:
    """Exact latencies by model.

    Args:
        reader: A reading cursor.
        measure: A key of `MEASURES`.
        selection: When the inferences ended, and whose they are.
    """
    value, condition = MEASURES[measure]
    query = (
        f"SELECT coalesce(model, ''), count(v), avg(v), quantile_cont(v, {list(QUANTILES)}) "  # noqa: S608
        f"FROM (SELECT model, {value} AS v FROM {_INFERENCES} WHERE {condition}) "
        "WHERE v IS NOT NULL GROUP BY ALL"
    )
    rows = reader.execute(query, _arguments(selection)).fetchall()
    return {m: {"model": m, "count": count, "mean": mean, "quantiles": found} for m, count, mean, found in rows}


def page(
    reader: duckdb.DuckDBPyConnection,
    selection: Selection,
    *,
    limit: int,
    before: tuple[int, str] | None = None,
    model: str | None = None,
    outcome: str | None = None,
) -> list[Inference]:
    """Inferences, the last ended first.

    Args:
        reader: A reading cursor.
        selection: When they ended, and whose they are.
        limit: How many at most.
        before: End (Unix nanoseconds) and span id of the last one of the page before.
        model: Only of this model.
        outcome: Only with this outcome.
    """
    query = (
        f"SELECT {_COLUMNS} FROM {_INFERENCES} "  # noqa: S608
        "WHERE (end_ns, span_id) < ($end, $id) AND ($model IS NULL OR coalesce(model, '') = $model) "
        "AND ($outcome IS NULL OR outcome = $outcome) ORDER BY end_ns DESC, span_id DESC LIMIT $limit"
    )
    end, span_id = before or (2**63 - 1, "g")  # "g" sorts behind every hexadecimal digit
    arguments = {**_arguments(selection), "end": end, "id": span_id, "model": model, "outcome": outcome, "limit": limit}
    return [_inference(row) for row in reader.execute(query, arguments).fetchall()]


def slowest(reader: duckdb.DuckDBPyConnection, selection: Selection, limit: int) -> list[Inference]:
    """The longest inferences, one a trace."""
    query = (
        f"SELECT {_COLUMNS} FROM {_INFERENCES} "  # noqa: S608
        "QUALIFY row_number() OVER (PARTITION BY trace_id ORDER BY end_ns - start_ns DESC) = 1 "
        "ORDER BY end_ns - start_ns DESC, span_id LIMIT $limit"
    )
    return [_inference(row) for row in reader.execute(query, {**_arguments(selection), "limit": limit}).fetchall()]


def trace(reader: duckdb.DuckDBPyConnection, trace_id: str) -> list[TraceSpan]:
    """Spans of a trace by start, 5,000 at most; empty for an unknown one."""
    rows = reader.execute(
        "SELECT trace_id, span_id, parent_id, name, kind, service, instance, scope, stage, outcome, start_ns, end_ns, "
        "status, status_message, attributes, resource, events, links FROM spans WHERE trace_id = ? "
        "QUALIFY row_number() OVER (PARTITION BY span_id ORDER BY received_ns) = 1 "
        "ORDER BY start_ns, end_ns DESC LIMIT ?",
        [trace_id, _MOST_SPANS],
    ).fetchall()
    return [_trace_span(row) for row in rows]


def logs(reader: duckdb.DuckDBPyConnection, trace_id: str) -> list[dict[str, Any]]:
    """Log records of a trace by time, 5,000 at most."""
    rows = reader.execute(
        "SELECT time_ns, severity, severity_text, event_name, body, span_id, attributes FROM logs "
        "WHERE trace_id = ? ORDER BY time_ns LIMIT ?",
        [trace_id, _MOST_SPANS],
    ).fetchall()
    keys = ("time_ns", "severity", "severity_text", "event_name", "body", "span_id")
    return [{**dict(zip(keys, row, strict=False)), "attributes": json.loads(row[-1])} for row in rows]


def _arguments(selection: Selection) -> dict[str, Any]:
    since = -1 if selection.since_ns is None else selection.since_ns
    return {"since": since, "until": selection.until_ns, "services": list(selection.services)}


def _inference(row: tuple[Any, ...]) -> Inference:
    return {
        "trace_id": row[0],
        "span_id": row[1],
        "name": row[2],
        "operation": row[3],
        "model": row[4],
        "outcome": row[5],
        "service": row[6],
        "instance": row[7],
        "start_ns": row[8],
        "end_ns": row[9],
        "duration_s": row[10],
        "ttft_s": row[11],
        "tpot_s": row[12],
        "consumer_wait_s": row[13],
        "output_tokens": row[14],
    }


def _trace_span(row: tuple[Any, ...]) -> TraceSpan:
    return {
        "trace_id": row[0],
        "span_id": row[1],
        "parent_id": row[2],
        "name": row[3],
        "kind": _named(_KINDS, row[4]),
        "service": row[5],
        "instance": row[6],
        "scope": row[7],
        "stage": row[8],
        "outcome": row[9],
        "start_ns": row[10],
        "end_ns": row[11],
        "status": _named(_STATUSES, row[12]),
        "status_message": row[13],
        "attributes": json.loads(row[14]),
        "resource": json.loads(row[15]),
        "events": json.loads(row[16]),
        "links": json.loads(row[17]),
    }


def _named(names: tuple[str, ...], number: int) -> str:
    return names[number] if number < len(names) else str(number)
