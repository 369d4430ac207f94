"""What several configurations do together: one tier sends to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelext.pipeline.address import sockets, targets
from otelext.pipeline.finding import Finding, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otelext.pipeline.configuration import Configuration, Declared

NOT_SHARDED: Final = Rule(
    "not-sharded-by-trace",
    "warning",
    "tail_sampling behind a tier that does not send all spans of a trace to one Collector",
    "With more than one Collector behind it each decides on a part of the trace, and traces are kept in part.",
)
RULES: Final = (NOT_SHARDED,)

_BY_TRACE: Final = "exporters: {loadbalancing: {routing_key: traceID, ...}}"
_PARTITIONED: Final = "partition_traces_by_id: true"


def check(configs: Sequence[Configuration]) -> Iterator[Finding]:
    """Look at the exporters of traces of every file, where another or the same file samples by trace."""
    samplers = [config for config in configs if any(pipeline.has("tail_sampling") for pipeline in config.pipelines)]
    for config in configs:
        for sampler in samplers:
            if sampler is not config:
                yield from _between(config, sampler)


def _between(config: Configuration, sampler: Configuration) -> Iterator[Finding]:
    doors = [socket for socket in sockets(sampler) if socket.protocol]
    by_kafka = any(one.kind == "receiver" and one.type == "kafka" for one in sampler.running)
    # Names tell nothing across files, but where the sampler sends to itself is no door of its own: it is a backend.
    backends = {(target.address.host, target.address.port) for target in targets(sampler)}
    reached = {
        target.exporter.id
        for target in targets(config)
        for door in doors
        if target.address.port == door.address.port and (target.address.host, target.address.port) not in backends
    }
    senders = [
        one
        for one in config.running
        if one.kind == "exporter" and any(p.signal == "traces" for p in config.used_by("exporter", one.id))
    ]
    # Where one sends by trace, another at a like port is taken to send elsewhere.
    if any(one.type == "loadbalancing" for one in senders):
        reached = set()
    for one in senders:
        if one.type == "loadbalancing":
            key = one.config["routing_key"]
            if key is not None and key.value not in {None, "traceID"}:
                yield _finding(one, sampler, f"by {key.value}", "routing_key: traceID")
        elif one.type == "kafka":
            by_id = one.config["partition_traces_by_id"]
            if by_kafka and (by_id is None or by_id.value is not True):
                yield _finding(one, sampler, "to any partition", _PARTITIONED)
        elif one.id in reached:
            yield _finding(one, sampler, "to any of the Collectors behind its address", _BY_TRACE)


def _finding(one: Declared, sampler: Configuration, how: str, instead: str) -> Finding:
    return Finding(NOT_SHARDED, one.place, f"the {one} sends spans {how}, and {sampler.file} samples by trace", instead)
