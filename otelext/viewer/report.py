"""The report: every figure that `otelext report` prints, computed from the store as plain JSON data.

Counts and sums come from metrics, which sampling does not change. Percentiles come from inference spans where
(nearly) all were sampled, since those are exact, and from histogram buckets otherwise; each says which.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from otelext import semconv
from otelext.viewer import inferences
from otelext.viewer.gpus import gpus
from otelext.viewer.inferences import QUANTILES
from otelext.viewer.selection import Selection, check_services, known_services
from otelext.viewer.streams import Increase, increases, merged, total
from otelext.viewer.waterfall import waterfall

if TYPE_CHECKING:
    from collections.abc import Sequence

    import duckdb

    from otelext.viewer.distribution import Histogram
    from otelext.viewer.figures import (
        Breakdown,
        Count,
        Field,
        Latency,
        Received,
        Report,
        Requests,
        Slow,
        Throughput,
        Wasted,
        WastedBy,
    )
    from otelext.viewer.inferences import Exact, Inference

FROM_TRACES: Final = "traces"
FROM_METRICS: Final = "histograms"
ALL_SAMPLED: Final = 0.95
"""Share of the counted inferences that must have a span for percentiles to come from spans. Not 1, since spans
and metrics of the latest seconds arrive at different moments."""

SLOWEST: Final = 5

_ADDS_UP_WITHIN: Final = 1e-3
_COMPLETED: Final = semconv.Outcome.COMPLETED.value


def build_report(
    reader: duckdb.DuckDBPyConnection,
    since_s: float | None = 3600.0,
    slowest: int = SLOWEST,
    *,
    services: Sequence[str] = (),
    otlp: str | None = None,
    now_ns: int | None = None,
) -> Report:
    """Compute the report.

    Args:
        reader: A reading cursor of the store.
        since_s: How far back to look, in seconds; None for everything.
        slowest: How many of the slowest inferences to show.
        services: Only of these services; empty takes all.
        otlp: Where the viewer takes OTLP/HTTP.
        now_ns: End of the range in Unix nanoseconds, the present when not given.

    Raises:
        QueryError: A service has sent nothing; the message names those that have.
    """
    known = known_services(reader)
    check_services(services, known)
    now_ns = time.time_ns() if now_ns is None else now_ns
    # Clocks of senders may run ahead a little; their latest data belongs to the report.
    since_ns = None if since_s is None else now_ns - int(since_s * 1e9)
    selection = Selection(since_ns, now_ns + 60 * 10**9, tuple(services))
    gains = {m.name: increases(reader, m.name, selection) for m in _READ}
    traced = inferences.counts(reader, selection)
    found = {gain.service for gain in gains[semconv.INFERENCES.name] if gain.value}
    found = found | inferences.services(reader, selection) or set(services)
    return {
        "generated_ns": now_ns,
        "since_ns": since_ns,
        "received": _received(reader, known, otlp),
        "requests": _requests(gains[semconv.INFERENCES.name], traced, sorted(filter(None, found))),
        "latency": _latency(reader, gains, selection),
        "throughput": _throughput(gains, _window(reader, gains[semconv.INFERENCES.name], traced, selection)),
        "breakdown": _breakdown(gains),
        "wasted": _wasted(gains[semconv.TOKENS.name]),
        "critical_fields": _critical_fields(gains),
        "gpus": gpus(reader, selection, gains[semconv.TOKENS.name]),
        "slowest": [_slow(reader, found) for found in inferences.slowest(reader, selection, slowest)],
    }


def is_empty(report: Report) -> bool:
    """Whether nothing at all was received."""
    received = report["received"]
    return not (received["spans"] or received["points"] or received["logs"])


_MEASURED: Final = {
    "ttft": semconv.TTFT,
    "tpot": semconv.TPOT,
    "duration": semconv.REQUEST_DURATION,
    "consumer_wait": semconv.CONSUMER_WAIT_TIME,
}
_READ: Final = (
    *_MEASURED.values(),
    semconv.INFERENCES,
    semconv.TTFT_STAGE_TIME,
    semconv.TOKENS,
    semconv.PAGES,
    semconv.IMAGES,
    semconv.COST_TOTAL,
    semconv.CRITICAL_FIELD_ERRORS,
    semconv.CRITICAL_FIELD_CHECKS,
)


def _received(reader: duckdb.DuckDBPyConnection, services: list[str], otlp: str | None) -> Received:
    row = reader.execute(
        "SELECT (SELECT count(*) FROM spans), (SELECT count(*) FROM points), (SELECT count(*) FROM logs)"
    ).fetchone()
    spans, points, logs = row or (0, 0, 0)
    return {"spans": spans, "points": points, "logs": logs, "services": services, "otlp": otlp}


def _requests(found: list[Increase], traced: dict[tuple[str, str], int], services: list[str]) -> Requests:
    counted = {key: round(value) for key, value in total(found, semconv.REQUEST_MODEL, semconv.OUTCOME).items()}
    by_model_and_outcome = counted or traced
    rows: list[Count] = [
        {"model": model, "outcome": outcome, "count": count}
        for (model, outcome), count in sorted(by_model_and_outcome.items())
        if count
    ]
    return {
        "total": sum(by_model_and_outcome.values()),
        "traced": sum(traced.values()),
        "source": FROM_METRICS if counted else FROM_TRACES,
        "services": services,
        "by_outcome": rows,
    }


def _latency(
    reader: duckdb.DuckDBPyConnection, gains: dict[str, list[Increase]], selection: Selection
) -> list[Latency]:
    rows: list[Latency] = []
    for measure, metric in _MEASURED.items():
        by_model = merged([g for g in gains[metric.name] if _is_completed(g)], semconv.REQUEST_MODEL)
        spans = inferences.exact(reader, measure, selection)
        for model in sorted({*spans, *(model for (model,) in by_model)}):
            histogram, exact = by_model.get((model,)), spans.get(model)
            counted = round(histogram.count) if histogram else 0
            if exact and exact["count"] >= ALL_SAMPLED * counted:
                rows.append(_from_spans(measure, exact, counted))
            elif histogram and counted:
                rows.append(_from_histogram(measure, model, histogram, counted))
    return rows


def _is_completed(increase: Increase) -> bool:
    outcome: object = increase.attributes.get(semconv.OUTCOME, _COMPLETED)
    return outcome == _COMPLETED


def _from_spans(measure: str, exact: Exact, counted: int) -> Latency:
    return {
        "measure": measure,
        "model": exact["model"],
        "source": FROM_TRACES,
        "count": exact["count"],
        "counted": max(counted, exact["count"]),
        "mean": exact["mean"],
        "total": exact["mean"] * exact["count"],
        "quantiles": dict(zip(map(_label, QUANTILES), exact["quantiles"], strict=True)),
        "beyond": [],
    }


def _from_histogram(measure: str, model: str, histogram: Histogram, counted: int) -> Latency:
    found = {_label(q): histogram.quantile(q) for q in QUANTILES}
    return {
        "measure": measure,
        "model": model,
        "source": FROM_METRICS,
        "count": counted,
        "counted": counted,
        "mean": histogram.mean or 0.0,
        "total": histogram.sum,
        "quantiles": {label: quantile.value for label, quantile in found.items() if quantile},
        "beyond": [label for label, quantile in found.items() if quantile and quantile.beyond],
    }


def _label(quantile: float) -> str:
    return f"p{quantile * 100:.0f}"


def _window(
    reader: duckdb.DuckDBPyConnection, found: list[Increase], traced: dict[tuple[str, str], int], selection: Selection
) -> float:
    counted = sum(total(found).values())
    if traced and sum(traced.values()) >= ALL_SAMPLED * counted:
        observed = inferences.observed(reader, selection)
        if observed:
            return (observed[1] - observed[0]) / 1e9
    dated = [g for g in found if g.value and g.begin_ns]
    return (max(g.end_ns for g in dated) - min(g.begin_ns for g in dated)) / 1e9 if dated else 0.0


def _throughput(gains: dict[str, list[Increase]], window_s: float) -> Throughput:
    def amount(name: str) -> float | None:
        return sum(total(gains[name]).values()) if gains[name] else None

    tokens = total(gains[semconv.TOKENS.name], semconv.TOKEN_TYPE)
    output = tokens.get((semconv.TOKEN_TYPE_OUTPUT,))
    pages = amount(semconv.PAGES.name)
    return {
        "window_s": window_s,
        "input_tokens": tokens.get((semconv.TOKEN_TYPE_INPUT,)),
        "output_tokens": output,
        "output_tokens_per_s": None if output is None or window_s <= 0 else output / window_s,
        "pages": pages,
        "pages_per_min": None if pages is None or window_s <= 0 else pages / window_s * 60,
        "images": amount(semconv.IMAGES.name),
        "cost_usd": amount(semconv.COST_TOTAL.name),
    }


def _breakdown(gains: dict[str, list[Increase]]) -> list[Breakdown]:
    parts = total(gains[semconv.TTFT_STAGE_TIME.name], semconv.REQUEST_MODEL, semconv.STAGE)
    firsts = merged(gains[semconv.TTFT.name], semconv.REQUEST_MODEL)
    rows: list[Breakdown] = []
    for model in sorted({model for model, _ in parts}):
        seconds = {stage: value for (of, stage), value in parts.items() if of == model}
        whole = sum(seconds.values())
        if whole <= 0:
            continue
        first = firsts.get((model,))
        total_s = first.sum if first else 0.0
        rows.append(
            {
                "model": model,
                "count": round(first.count) if first else 0,
                "total_s": total_s,
                "parts": [
                    {"stage": stage, "seconds": value, "share": value / whole}
                    for stage, value in sorted(seconds.items(), key=lambda item: -item[1])
                ],
                "difference_s": whole - total_s,
                "adds_up": abs(whole - total_s) <= _ADDS_UP_WITHIN * total_s,
            }
        )
    return rows


def _wasted(found: list[Increase]) -> Wasted:
    tokens = total(found, semconv.OUTCOME, semconv.TOKEN_TYPE)
    everything = sum(tokens.values())
    outcomes = sorted({outcome for (outcome, _), value in tokens.items() if outcome != _COMPLETED and value})
    rows: list[WastedBy] = [
        {
            "outcome": outcome,
            "input": tokens.get((outcome, semconv.TOKEN_TYPE_INPUT), 0.0),
            "output": tokens.get((outcome, semconv.TOKEN_TYPE_OUTPUT), 0.0),
        }
        for outcome in outcomes
    ]
    wasted = sum(row["input"] + row["output"] for row in rows)
    return {"tokens": wasted, "share": wasted / everything if everything else 0.0, "by_outcome": rows}


def _critical_fields(gains: dict[str, list[Increase]]) -> list[Field]:
    errors = total(gains[semconv.CRITICAL_FIELD_ERRORS.name], semconv.FIELD)
    checks = total(gains[semconv.CRITICAL_FIELD_CHECKS.name], semconv.FIELD)
    rows: list[Field] = []
    for key in sorted({*errors, *checks}):
        wrong, checked = errors.get(key, 0.0), checks.get(key, 0.0)
        rows.append(
            {"field": key[0], "errors": wrong, "checks": checked, "share": wrong / checked if checked >= 1 else None}
        )
    return rows


def _slow(reader: duckdb.DuckDBPyConnection, inference: Inference) -> Slow:
    bars, more = waterfall(inferences.trace(reader, inference["trace_id"]), inference["span_id"])
    return {"inference": inference, "bars": bars, "more": more}
