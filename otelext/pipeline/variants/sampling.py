"""Sampling: `single.yaml` keeps every trace, `gateway.yaml` decides; either takes what the other has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelext.pipeline.commented import load, put, remove, replace, reword
from otelext.pipeline.templates import read
from otelext.pipeline.wiring import at, pipelines

if TYPE_CHECKING:
    from ruamel.yaml.comments import CommentedMap

    from otelext.pipeline.options import Options

_DECIDING: Final = ("filter/counted", "transform/counted", "tail_sampling")


def apply(root: CommentedMap, options: Options) -> None:
    """Keep all traces, or decide on each."""
    if (options.tier, options.sampling) == ("single", "tail"):
        _decide(root)
    elif (options.tier, options.sampling) == ("gateway", "none"):
        _keep_all(root)


def _decide(root: CommentedMap) -> None:
    gateway = load(read("gateway.yaml"))
    for name in _DECIDING:
        put(root["processors"], name, gateway["processors"])
    # What counts before the decision, and queues that fit it.
    put(root, "connectors", gateway)
    put(root, "exporters", gateway)
    named = pipelines(root)
    place = list(named).index("traces")
    replace(named, "traces", pipelines(gateway), "traces/all")
    put(named, "traces/kept", pipelines(gateway), at=place + 1)
    reword(
        at(root, "processors", "tail_sampling"),
        "block_on_overflow",
        "agents wait, and keep their spans on disk meanwhile;",
        "senders wait;",
    )
    queue = at(root, "exporters", "otlp_grpc/jaeger", "sending_queue")
    reword(queue, "block_on_overflow", "told the agent long ago", "told the sender long ago")
    reword(
        queue,
        "block_on_overflow",
        "takes no more meanwhile, and the agents' queues fill.",
        "and takes no more meanwhile.",
    )


def _keep_all(root: CommentedMap) -> None:
    single = load(read("single.yaml"))
    put(root, "connectors", single)
    put(root, "exporters", single)
    named = pipelines(root)
    replace(named, "traces/all", pipelines(single), "traces")
    remove(named, "traces/kept")
