"""The report in the terminal: tables and bars that fit 80 columns, and say the same when they are piped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.text import Text

from otelext import semconv
from otelext.viewer.formats import amount, counted, plain, seconds, share
from otelext.viewer.report import FROM_METRICS
from otelext.viewer.terminal_gpu import draw_gpus
from otelext.viewer.terminal_parts import BAR, bar, heading, new_table, room_for_bars, sentence
from otelext.viewer.terminal_waterfall import draw_waterfall

if TYPE_CHECKING:
    from rich.console import Console

    from otelext.viewer.figures import Breakdown, Latency, Report

_MEASURES: Final = {
    "ttft": "first token",
    "tpot": "a further token",
    "duration": "end to end",
    "consumer_wait": "consumer wait",
}
_OUTCOME_STYLES: Final = {
    semconv.Outcome.COMPLETED.value: "green",
    semconv.Outcome.ERROR.value: "red",
    semconv.Outcome.TIMEOUT.value: "red",
}


def print_report(report: Report, console: Console) -> None:
    """Print every part of a report that has something in it."""
    _requests(report, console)
    _latency(report, console)
    _throughput(report, console)
    for breakdown in report["breakdown"]:
        _breakdown(breakdown, console)
    _wasted(report, console)
    _critical_fields(report, console)
    draw_gpus(report["gpus"], console)
    _slowest(report, console)


def _requests(report: Report, console: Console) -> None:
    requests = report["requests"]
    names = requests["services"] or report["received"]["services"]
    services = ", ".join(map(plain, names)) or "no service"
    whole = requests["total"]
    source = "from metrics" if requests["source"] == FROM_METRICS else "from traces, no metrics yet"
    heading(console, f"Requests: {whole}", f"{services}; {source}, {requests['traced']} with a trace")
    if not whole:
        sentence(console, "No inference has ended in this time. `--since all` looks at everything there is.")
        return
    cells = [
        (plain(row["model"] or "(none)"), plain(row["outcome"]), str(row["count"]), share(row["count"] / whole))
        for row in requests["by_outcome"]
    ]
    room = room_for_bars(console, ("model", "outcome", "count", "share"), cells)
    table = new_table("model", "outcome", "", "count", "share", right=2)
    for row, (model, outcome, *figures) in zip(requests["by_outcome"], cells, strict=True):
        style = _OUTCOME_STYLES.get(row["outcome"], "yellow")
        drawn = bar(row["count"] / whole, room, console)
        table.add_row(Text(model), Text(outcome, style), Text(drawn, style), *figures)
    console.print(table)
    if requests["source"] == FROM_METRICS and requests["traced"] > whole:
        behind = requests["traced"] - whole
        sentence(
            console,
            f"Metrics are behind by {counted(behind, 'inference')} that traces show: "
            "what is missing comes later, or went with a process.",
        )


def _latency(report: Report, console: Console) -> None:
    models = sorted({row["model"] for row in report["latency"]})
    for model in models:
        heading(console, f"Latency: {plain(model or '(no model)')}", "completed requests; consumer wait of all")
        table = new_table("", "p50", "p90", "p95", "p99", "mean", "from", right=6)
        for row in (row for row in report["latency"] if row["model"] == model):
            figures = [_quantile(row, name) for name in ("p50", "p90", "p95", "p99")]
            table.add_row(_MEASURES.get(row["measure"], row["measure"]), *figures, seconds(row["mean"]), _source(row))
        console.print(table)
        sentence(console, Text(_sources([row for row in report["latency"] if row["model"] == model]), "dim"))


def _sources(rows: list[Latency]) -> str:
    """Where the percentiles of a table come from, in a sentence."""
    sources = {row["source"] for row in rows}
    if sources == {FROM_METRICS}:
        return "Percentiles are from histograms, interpolated within a bucket: not all requests have a trace."
    if FROM_METRICS in sources:
        return "Percentiles are exact where from sampled traces, interpolated within a bucket where from a histogram."
    return "Percentiles are exact, from sampled traces."


def _quantile(row: Latency, name: str) -> str:
    value = row["quantiles"].get(name)
    if value is None:
        return "-"
    return f"> {seconds(value)}" if name in row["beyond"] else seconds(value)


def _source(row: Latency) -> str:
    if row["source"] == FROM_METRICS:
        return "histogram"
    return counted(row["count"], "trace")


def _throughput(report: Report, console: Console) -> None:
    rates = report["throughput"]
    rows = (
        ("output tokens", rates["output_tokens"], _rate(rates["output_tokens_per_s"], "tokens/s")),
        ("input tokens", rates["input_tokens"], ""),
        ("document pages", rates["pages"], _rate(rates["pages_per_min"], "pages/min")),
    )
    told = [(label, amount(value), rate) for label, value, rate in rows if value is not None]
    if rates["cost_usd"] is not None:
        told.append(("cost", f"{rates['cost_usd']:.4f} USD", ""))
    if rates["window_s"] <= 0 or not told:
        return
    heading(console, "Throughput", f"over {seconds(rates['window_s'])}, first request's start to last one's end")
    table = new_table("", "total", "rate", right=2)
    for row in told:
        table.add_row(*row)
    console.print(table)


def _rate(value: float | None, unit: str) -> str:
    return "" if value is None else f"{value:.1f} {unit}"


def _breakdown(breakdown: Breakdown, console: Console) -> None:
    count = breakdown["count"]
    heading(
        console,
        f"Time to first token: {plain(breakdown['model'] or '(no model)')}",
        f"where it went, {counted(count, 'completed request')}",
    )
    table = new_table("stage", "", "share", "a request", "total", right=3)
    for part in breakdown["parts"]:
        unattributed = part["stage"] == semconv.UNATTRIBUTED_STAGE
        table.add_row(
            Text(plain(part["stage"]), "dim" if unattributed else ""),
            Text(bar(part["share"], BAR, console), "dim" if unattributed else "cyan"),
            share(part["share"]),
            seconds(part["seconds"] / count) if count else "-",
            seconds(part["seconds"]),
        )
    console.print(table)
    whole = sum(part["seconds"] for part in breakdown["parts"])
    if breakdown["adds_up"]:
        text = f"Adds up: the parts are {whole:.3f} s, the histogram's sum is {breakdown['total_s']:.3f} s."
    else:
        text = (
            f"Does not add up: the parts are {whole:.3f} s, the histogram's sum is {breakdown['total_s']:.3f} s, "
            f"a difference of {breakdown['difference_s']:+.3f} s."
        )
    sentence(console, Text(text, "green" if breakdown["adds_up"] else "red"))


def _wasted(report: Report, console: Console) -> None:
    wasted = report["wasted"]
    rates = report["throughput"]
    if rates["input_tokens"] is None and rates["output_tokens"] is None:
        return
    note = f"{share(wasted['share'])} of all, of requests that did not complete"
    heading(console, f"Wasted tokens: {amount(wasted['tokens'])}", note)
    if not wasted["by_outcome"]:
        return
    table = new_table("outcome", "input", "output", right=2)
    for row in wasted["by_outcome"]:
        table.add_row(plain(row["outcome"]), amount(row["input"]), amount(row["output"]))
    console.print(table)


def _critical_fields(report: Report, console: Console) -> None:
    rows = report["critical_fields"]
    if not rows:
        return
    errors, checks = sum(row["errors"] for row in rows), sum(row["checks"] for row in rows)
    heading(console, f"Critical-field errors: {amount(errors)}", f"in {counted(checks, 'check')}")
    table = new_table("field", "", "errors", "checks", "share", right=3)
    for row in rows:
        part = row["share"]
        table.add_row(
            plain(row["field"]),
            Text(bar(part or 0.0, BAR, console), "red"),
            amount(row["errors"]),
            amount(row["checks"]),
            "-" if part is None else share(part),
        )
    console.print(table)


def _slowest(report: Report, console: Console) -> None:
    if not report["slowest"]:
        return
    heading(console, "Slowest requests", "* marks the first token; 0 is the inference's start")
    for slow in report["slowest"]:
        console.print()
        for line in draw_waterfall(slow, console):
            sentence(console, line)


def nothing_received(report: Report) -> str:
    """What to do next when nothing was received yet."""
    otlp = report["received"]["otlp"]
    send = "opentelemetry-instrument python app.py"
    if otlp is None:
        return (
            "The store holds nothing yet. Run `otelext view --store FILE`, and send it something: "
            f"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 {send}"
        )
    return f"The viewer has received nothing yet. Send it something: OTEL_EXPORTER_OTLP_ENDPOINT={otlp} {send}"
