"""Where traces, metrics and logs go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from otelext.pipeline.commented import load, put, put_above, rename, replace, reword, reword_beside
from otelext.pipeline.templates import read
from otelext.pipeline.wiring import at, exporting_to, swap

if TYPE_CHECKING:
    from ruamel.yaml.comments import CommentedMap

    from otelext.pipeline.options import Options


@dataclass(frozen=True)
class _Otlp:
    """A backend that takes OTLP, as the one in its place does."""

    exporter: str
    address: str
    """The default; of a backend that has no usual name, what the Collector then says as it refuses to start."""
    comment: str = ""


_LARGEST: Final = (
    "A batch has at most what the receiver takes at once and the minimum below, and usually little more than 1 MB. gRPC"
    " servers take 4 MiB unless they are told otherwise, and what they refuse as too large is lost: "
)
_TRACES: Final = {
    "tempo": _Otlp(
        "otlp_grpc/tempo",
        "tempo:4317",
        _LARGEST + "Tempo's distributor.receivers.otlp.protocols.grpc.max_recv_msg_size_mib should be 32.",
    ),
    "otlp": _Otlp(
        "otlp_grpc/backend",
        "OTELEXT_COLLECTOR_TRACES_ENDPOINT is not set",
        _LARGEST + "the backend's limit should be 32 MiB.",
    ),
}
_METRICS: Final = {
    "mimir": _Otlp(
        "otlp_http/mimir",
        "http://mimir:9009/otlp/v1/metrics",
        "A Mimir of several tenants asks for one: OTELEXT_COLLECTOR_METRICS_HEADERS='{X-Scope-OrgID: clinic}'. Of its"
        " limits, out_of_order_time_window should be 12h, since queues bring samples late, max_global_exemplars_per_user"
        " more than 0, otel_metric_suffixes_enabled true, and promote_otel_resource_attributes"
        " service.name,service.namespace,service.instance.id,deployment.environment.name,host.name.",
    ),
    "otlp": _Otlp("otlp_http/metrics_backend", "http://OTELEXT_COLLECTOR_METRICS_ENDPOINT is not set"),
}
_LOGS: Final = {
    "otlp": _Otlp("otlp_http/logs_backend", "http://OTELEXT_COLLECTOR_LOGS_ENDPOINT is not set"),
}
# What a store of any kind takes, said of backends that have no limit worth naming.
_UNSTORABLE: Final = "Prometheus refuses the whole request for a point that it can't store, and"
_OLD: Final = "Prometheus takes what is up to 12 h old, and some of that may pass in the queue."
_IN_MEMORY: Final = (
    "Prometheus has every label of every series in memory, and one long text would take it over its limit."
)


def apply(root: CommentedMap, options: Options) -> None:
    """Send each signal where it goes."""
    if options.sampling == "tail" and not (options.metrics or "").startswith("prometheus"):
        policies = at(root, "processors", "tail_sampling", "policies")
        reword(policies, 0, "every exemplar in Prometheus leads", "every exemplar leads")
    if traces := _TRACES.get(options.traces or ""):
        _traces(root, traces)
    if options.metrics == "prometheus-scrape":
        _scraped(root)
    elif metrics := _METRICS.get(options.metrics or ""):
        _metrics(root, metrics, options)
    if options.logs == "elasticsearch":
        fragment = load(read("alternatives/elasticsearch.yaml"))
        replace(root["exporters"], "otlp_http/loki", fragment["exporters"], "elasticsearch")
        swap(root, "exporters", "otlp_http/loki", "elasticsearch")
    elif logs := _LOGS.get(options.logs or ""):
        _readdress(root, "otlp_http/loki", "logs_endpoint", logs)


def _traces(root: CommentedMap, backend: _Otlp) -> None:
    _readdress(root, "otlp_grpc/jaeger", "endpoint", backend)
    reword(
        at(root, "processors", "filter/unstorable"),
        "trace_conditions",
        "Jaeger's store takes no span over some 9 MB, either.",
        "No store takes a span of any size, either.",
    )
    reword(
        root["processors"],
        "transform/length",
        "Jaeger's store takes no key over 65,000 bytes, of which each span has several, and would have the batch sent again"
        " for ever.",
        "Stores refuse texts of any length, or drown in them.",
    )
    reword_beside(
        at(root, "connectors", "span_metrics", "histogram"),
        "unit",
        "part of the metric's name, the same for every backend",
    )


def _metrics(root: CommentedMap, backend: _Otlp, options: Options) -> None:
    _readdress(root, "otlp_http/prometheus", "metrics_endpoint", backend)
    if options.metrics == "mimir":
        unstorable = "Mimir answers a request with a point that it can't store as wrong, which is not sent again, and"
        reword(root["processors"], "filter/unstorable", _UNSTORABLE, unstorable)
        _reword_old(root, "Mimir should take what is up to 12 h old, and some of that may pass in the queue.")
        reword(root["processors"], "transform/series_length", _IN_MEMORY, "Mimir takes no label over 2,048 bytes.")
        return
    # What any other backend takes, delta temporality for one, nobody knows here.
    reword(root["processors"], "filter/unstorable", _UNSTORABLE, "What has no name or type is no metric, and")
    for group in at(root, "processors", "filter/unstorable", "metric_conditions"):
        conditions = group["conditions"]
        for place in reversed(range(len(conditions))):
            if any(
                word in conditions[place] for word in ("aggregation_temporality", "datapoint.scale", "datapoint.time")
            ):
                del conditions[place]
    reword(
        root["processors"],
        "transform/series_length",
        _IN_MEMORY,
        "Stores keep the labels with every series, and one long text is many then.",
    )


def _scraped(root: CommentedMap) -> None:
    fragment = load(read("alternatives/prometheus_scrape.yaml"))
    place = list(root["processors"]).index("transform/merge") + 1
    put(root["processors"], "transform/labels", fragment["processors"], at=place)
    replace(root["exporters"], "otlp_http/prometheus", fragment["exporters"], "prometheus")
    swap(root, "exporters", "otlp_http/prometheus", "prometheus")
    for pipeline in exporting_to(root, "prometheus"):
        pipeline["processors"].append("transform/labels")
    reword(
        root["processors"], "filter/unstorable", _UNSTORABLE, "What Prometheus couldn't store is not shown to it, and"
    )
    _reword_old(root, "What is scraped has no time of its own: a point of yesterday would pass for one of now.")


def _readdress(root: CommentedMap, exporter: str, key: str, backend: _Otlp) -> None:
    """Give an exporter another name, and its address another default."""
    variable, _, _ = at(root, "exporters", exporter, key).removeprefix("${env:").partition(":-")
    root["exporters"][exporter][key] = f"${{env:{variable}:-{backend.address}}}"
    rename(root["exporters"], exporter, backend.exporter)
    if backend.comment:
        put_above(root["exporters"], backend.exporter, backend.comment)
    swap(root, "exporters", exporter, backend.exporter)


def _reword_old(root: CommentedMap, new: str) -> None:
    conditions = at(root, "processors", "filter/unstorable", "metric_conditions", 1, "conditions")
    (place,) = (place for place, condition in enumerate(conditions) if condition.startswith("datapoint.time <"))
    reword(conditions, place, _OLD, new)
