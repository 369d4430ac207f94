"""Whether what was accepted survives a kill and a backend that is down."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from otelext.pipeline import schema
from otelext.pipeline.finding import Finding, Rule
from otelext.pipeline.yaml_tree import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.pipeline.configuration import Configuration, Declared
    from otelext.pipeline.yaml_tree import Item

QUEUE: Final = Rule(
    "queue-in-memory",
    "warning",
    "An exporter without a persistent queue",
    "What the Collector has accepted is gone when it is killed or started anew before the backend has it.",
)
RETRY: Final = Rule(
    "retry-ends",
    "warning",
    "A retry that ends",
    "What a backend doesn't take within that time is dropped, as in an outage longer than 5 minutes by default.",
)
RULES: Final = (QUEUE, RETRY)

# Prometheus asks the last for what it has.
_SENDS_NOTHING: Final = {"debug", "nop", "file", "prometheus"}
_ZERO: Final = re.compile(r"0+(\.0*)?(ns|us|µs|ms|s|m|h)?")
_QUEUE_INSTEAD: Final = "sending_queue: {storage: file_storage}, with the extension file_storage started"
_RETRY_INSTEAD: Final = "retry_on_failure: {enabled: true, max_elapsed_time: 0s}"


def check(config: Configuration) -> Iterator[Finding]:
    """Look at each exporter that sends to a network."""
    for one in config.running:
        component = schema.component("exporter", one.type) if one.kind == "exporter" else None
        if component is None or one.type in _SENDS_NOTHING:
            continue
        if component.has("sending_queue"):
            yield from _queue(one)
        if component.has("retry_on_failure"):
            yield from _retry(one)


def _queue(one: Declared) -> Iterator[Finding]:
    queue = one.config["sending_queue"]
    if queue is not None and isinstance(queue.value, Unknown):
        return
    place = one.place if queue is None else one.config.place_of("sending_queue")
    if _is_off(queue):
        yield Finding(QUEUE, place, f"the {one} has no queue", _QUEUE_INSTEAD)
    elif queue is None or queue["storage"] is None or queue.at("storage").value is None:  # type: ignore[union-attr]  # just looked at
        yield Finding(QUEUE, place, f"the queue of the {one} is in memory", _QUEUE_INSTEAD)


def _retry(one: Declared) -> Iterator[Finding]:
    retry = one.config["retry_on_failure"]
    inner = one.config.at("protocol", "otlp", "retry_on_failure")  # of each exporter that loadbalancing makes
    if _goes_on(retry) or _goes_on(inner):
        return
    place = one.place if retry is None else one.config.place_of("retry_on_failure")
    if _is_off(retry):
        yield Finding(RETRY, place, f"the {one} does not try again", _RETRY_INSTEAD)
        return
    longest = retry["max_elapsed_time"] if retry is not None else None
    if longest is None or longest.value is None:
        yield Finding(RETRY, place, f"the {one} gives up after 5 minutes, the default", _RETRY_INSTEAD)
    else:
        yield Finding(RETRY, longest.place, f"the {one} gives up after {longest.value}", _RETRY_INSTEAD)


def _goes_on(retry: Item | None) -> bool:
    """Whether it never ends, as far as is known."""
    if retry is None or _is_off(retry):
        return False
    if isinstance(retry.value, Unknown):
        return True
    longest = retry["max_elapsed_time"]
    if longest is None:
        return False
    return isinstance(longest.value, Unknown) or _ZERO.fullmatch(str(longest.value)) is not None


def _is_off(section: Item | None) -> bool:
    enabled = section["enabled"] if section is not None else None
    return enabled is not None and enabled.value is False
