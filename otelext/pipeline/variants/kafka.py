"""Kafka between the tiers: an agent writes what it would send, and a gateway, or a single node, reads that."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelext.pipeline.commented import load, remove, replace, reword, said
from otelext.pipeline.templates import read
from otelext.pipeline.variants.access import BY_HAND
from otelext.pipeline.wiring import swap

if TYPE_CHECKING:
    from ruamel.yaml.comments import CommentedMap

    from otelext.pipeline.options import Options

_WAITING: Final = (
    "refuses at once, which the sender is told and may try again. Waiting would hold the refused data in memory, and a"
    " sender that gave up waiting couldn't know whether it was stored after all."
)
_LARGEST: Final = ("what the receiver takes at once", "what a message holds")
_QUEUE: Final = (
    (
        _WAITING,
        "refuses at once, and what it refused stays in Kafka and is read again.",
    ),
    # tail_sampling's, in gateway.yaml and as single.yaml has it.
    ("told the agent long ago", "told Kafka long ago"),
    ("told the sender long ago", "told Kafka long ago"),
    ("takes no more meanwhile, and the agents' queues fill.", "and reads no more meanwhile."),
    ("and takes no more meanwhile.", "and reads no more meanwhile."),
)


def apply(root: CommentedMap, options: Options) -> None:
    """Write to Kafka, or read from it."""
    if options.kafka == "producer":
        _produce(root)
    elif options.kafka == "consumer":
        _consume(root, options)


def _produce(root: CommentedMap) -> None:
    fragment = load(read("alternatives/kafka_producer.yaml"))
    replace(root["exporters"], "loadbalancing", fragment["exporters"], "kafka")
    remove(root["exporters"], "otlp_grpc/gateway")
    for exporter in ("loadbalancing", "otlp_grpc/gateway"):
        swap(root, "exporters", exporter, "kafka")


def _consume(root: CommentedMap, options: Options) -> None:
    fragment = load(read("alternatives/kafka_consumer.yaml"))
    replace(root["receivers"], "otlp", fragment["receivers"], "kafka")
    swap(root, "receivers", "otlp", "kafka")
    processors = root["processors"]
    reword(
        root["receivers"],
        "otlp/collector",
        ", and without the credentials that the other receiver may ask for.",
        ".",
    )
    reword(
        processors,
        "memory_limiter",
        "is refused at the door, where the sender sees it and tries again.",
        "is refused at the door, and stays in Kafka until it is read again.",
    )
    reword(
        processors,
        "transform/body",
        BY_HAND,
        "whoever else may write to the topics is believed too.",
    )
    _reword_receiver(root["receivers"], options)
    if options.sampling == "tail":
        waiting = (
            "senders wait;" if options.tier == "single" else "agents wait, and keep their spans on disk meanwhile;"
        )
        reword(processors["tail_sampling"], "block_on_overflow", waiting, "reading waits, and Kafka keeps the rest;")
    exporters = root["exporters"]
    for name, exporter in exporters.items():
        if _LARGEST[0] in said(exporters, name):
            reword(exporters, name, *_LARGEST)
        if "sending_queue" in exporter:
            _reword_queue(exporter["sending_queue"])


def _reword_receiver(receivers: CommentedMap, options: Options) -> None:
    """`kafka_consumer.yaml` is written for gateways that sample."""
    group = said(receivers, "kafka")
    marking = receivers["kafka"]
    if options.tier == "single":
        reword(receivers, "kafka", group, "Alone in its group, it reads all partitions.")
        reword(marking, "message_marking", "when a gateway is killed", "when the Collector is killed")
    elif options.sampling == "none":
        alone = "All gateways are one group, and share the partitions out among themselves."
        reword(receivers, "kafka", group, alone)
    if options.sampling == "none":
        reword(marking, "message_marking", ", or tail_sampling has it in memory", "")


def _reword_queue(queue: CommentedMap) -> None:
    """What an exporter's full queue means where Kafka is the sender."""
    for old, new in _QUEUE:
        if old in said(queue, "block_on_overflow"):
            reword(queue, "block_on_overflow", old, new)
    batch = queue.get("batch")
    if batch is not None and _LARGEST[0] in said(batch, "max_size"):
        reword(batch, "max_size", *_LARGEST)
