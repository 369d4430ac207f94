"""What the file says at its head: what comes in, where it goes, what is lost when it is killed, who may send."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelext.pipeline.commented import reword

if TYPE_CHECKING:
    from ruamel.yaml.comments import CommentedMap

    from otelext.pipeline.options import Options

# The first key, above which the head stands.
_FIRST: Final = "extensions"
_TRACES: Final = {"jaeger": "to Jaeger", "tempo": "to Tempo", "otlp": "over OTLP"}
_METRICS: Final = {
    "prometheus": "to Prometheus",
    "prometheus-scrape": "for Prometheus to scrape",
    "mimir": "to Mimir",
    "otlp": "over OTLP",
}
_LOGS: Final = {"loki": "to Loki", "elasticsearch": "to Elasticsearch", "otlp": "over OTLP"}
_IN_README: Final = "is in README.md beside this file."
_GUARD: Final = "tokens and certificates are added by the files in access/."
_LOST: Final = "What is only in memory, and gone with a {what} that is killed: "
_UNDECIDED: Final = (
    "the spans of the last OTELEXT_COLLECTOR_DECISION_WAIT, on which there is no decision yet, and what span_metrics"
    " counted since its last export."
)
_ENDING: Final = " One that ends in order decides on what it has, and loses the latter all the same."


def apply(root: CommentedMap, options: Options) -> None:
    """Make the head true."""
    if options.is_default:
        return
    if options.tier == "agent":
        _agent(root, options)
        return
    reword(root, _FIRST, _what("jaeger", "prometheus", "loki", tail=options.tier == "gateway"), _chosen(options))
    reword(root, _FIRST, _IN_README, "stands in this file; what it means is in collector/README.md of otelext.")
    reword(root, _FIRST, _GUARD, _guard(options))
    if options.tier == "single":
        _single(root, options)
    else:
        _gateway(root, options)
    if options.metrics == "prometheus-scrape":
        reword(
            root,
            _FIRST,
            "unless OTELEXT_COLLECTOR_HOST says so",
            "unless OTELEXT_COLLECTOR_HOST or OTELEXT_COLLECTOR_METRICS_LISTEN says so",
        )


def _what(traces: str, metrics: str, logs: str, *, tail: bool) -> str:
    kept = "traces, of which some are kept," if tail else "traces"
    return f"{kept} {_TRACES[traces]}, metrics {_METRICS[metrics]}, logs {_LOGS[logs]}."


def _chosen(options: Options) -> str:
    assert options.traces
    assert options.metrics
    assert options.logs
    return _what(options.traces, options.metrics, options.logs, tail=options.sampling == "tail")


def _guard(options: Options) -> str:
    if options.kafka == "consumer":
        return "who may write to the topics is Kafka's matter."
    if not options.auth:
        return "--auth adds tokens and certificates."
    shown = {"bearer": "a token", "mtls": "a certificate"}
    return f"senders show {' and '.join(shown[name] for name in sorted(options.auth, reverse=True))}."


def _single(root: CommentedMap, options: Options) -> None:
    if options.kafka == "consumer":
        reword(root, _FIRST, "on one node: OTLP in;", "on one node: from Kafka comes what agents wrote there;")
    if options.sampling == "tail":
        head = _chosen(options)
        sharded = " All spans of a trace have to come to this one Collector."
        if options.kafka == "consumer":
            sharded = " All spans of a trace have to come to this one Collector: it is alone in its consumer group."
        reword(root, _FIRST, head, head + sharded)
        reword(root, _FIRST, "Every OTELEXT_COLLECTOR_", _lost(options, "Collector") + "\n\nEvery OTELEXT_COLLECTOR_")


def _gateway(root: CommentedMap, options: Options) -> None:
    if options.kafka == "consumer":
        reword(root, _FIRST, "OTLP from agents in;", "from Kafka comes what agents wrote there;")
        reword(
            root,
            _FIRST,
            "may stand side by side: the agents send all spans of a trace to the same one.",
            "may stand side by side in one consumer group: all spans of a trace are in one partition, and go to one of them.",
        )
    default = _LOST.format(what="gateway") + _UNDECIDED + " All else is in the queues." + _ENDING
    reword(root, _FIRST, default, _lost(options, "gateway"))


def _lost(options: Options, what: str) -> str:
    """What a kill costs."""
    rest = (
        " All else but metrics is in the queues."
        if options.metrics == "prometheus-scrape"
        else " All else is in the queues."
    )
    if options.sampling == "tail":
        return _LOST.format(what=what) + _UNDECIDED + rest + _ENDING
    return _LOST.format(what=what) + "what span_metrics counted since its last export." + rest


def _agent(root: CommentedMap, options: Options) -> None:
    if options.kafka == "producer":
        reword(
            root,
            _FIRST,
            "everything to the gateways, which redact and sample.",
            "everything to Kafka, from where gateways read, redact and sample.",
        )
        reword(root, _FIRST, "more while the gateways refuse", "more while a queue is full")
