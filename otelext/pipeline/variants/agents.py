"""Agents that send to a single node, by Kafka: `single.yaml` believes nobody, and takes from `gateway.yaml` how to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otelext.pipeline.commented import load, put, reword
from otelext.pipeline.templates import read
from otelext.pipeline.wiring import pipelines

if TYPE_CHECKING:
    from ruamel.yaml.comments import CommentedMap

    from otelext.pipeline.options import Options


def apply(root: CommentedMap, options: Options) -> None:
    """Take what comes by Kafka for the agents' word: they know what they made, read and saw of their machines."""
    if (options.tier, options.kafka) != ("single", "consumer"):
        return
    gateway = load(read("gateway.yaml"))
    processors = root["processors"]
    place = list(processors).index("resourcedetection") + 1
    put(processors, "resourcedetection", gateway["processors"], name="resourcedetection/agents", at=place)
    reword(
        processors,
        "resourcedetection/agents",
        "the gateway would only name its own",
        "this node would only name its own",
    )
    put(processors, "transform/body", gateway["processors"])
    for name in ("filter/not_made_by_collectors", "filter/made_by_collectors"):
        put(processors, name, gateway["processors"])
    named = pipelines(root)
    for name in ("traces", "traces/all", "traces/kept", "metrics", "logs"):
        if name in named:
            _replace_in(named[name]["processors"], "resourcedetection", "resourcedetection/agents")
    metrics = named["metrics"]["processors"]
    metrics.insert(metrics.index("memory_limiter") + 1, "filter/made_by_collectors")
    put(named, "metrics/made_by_collectors", pipelines(gateway), at=list(named).index("metrics/made_here"))
    made_by_agents = named["metrics/made_by_collectors"]
    made_by_agents["receivers"].remove("otlp/collector")
    _replace_in(made_by_agents["processors"], "resourcedetection", "resourcedetection/agents")
    logs = named["logs"]["processors"]
    logs.remove("transform/sent_logs")


def _replace_in(names: list[str], old: str, new: str) -> None:
    names[names.index(old)] = new
