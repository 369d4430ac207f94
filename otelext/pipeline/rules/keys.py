"""Keys that a component doesn't have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelext.pipeline import schema
from otelext.pipeline.configuration import SECTIONS
from otelext.pipeline.finding import Finding, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otelext.pipeline.configuration import Configuration
    from otelext.pipeline.yaml_tree import Item, Place

UNKNOWN: Final = Rule(
    "unknown-key",
    "error",
    "A key that the component doesn't have",
    "The Collector does not start.",
)
IGNORED: Final = Rule(
    "ignored-key",
    "warning",
    "A key that nothing reads",
    "The Collector passes over it without a word, and what was meant by it doesn't happen.",
)
ADDRESS: Final = Rule(
    "telemetry-address",
    "error",
    "service::telemetry::metrics::address",
    "It was replaced by readers in 0.123: the Collector does not start with it, or serves its metrics elsewhere.",
)
SECTION: Final = Rule(
    "unknown-section",
    "error",
    "A section that a configuration doesn't have",
    "The Collector knows receivers, processors, exporters, connectors, extensions and service, and does not start with others.",
)
RULES: Final = (UNKNOWN, IGNORED, ADDRESS, SECTION)

_SECTIONS: Final = (*SECTIONS.values(), "service")
_ADDRESS: Final = ("telemetry", "metrics", "address")
_READERS: Final = "readers: [{pull: {exporter: {prometheus: {host: 127.0.0.1, port: 8888}}}}]"


def check(config: Configuration) -> Iterator[Finding]:
    """Look at the keys of each component, and of the service."""
    for key, place in config.root.keys.items():
        if key not in _SECTIONS:
            near = schema.closest(key, _SECTIONS)
            yield Finding(SECTION, place, f"there is no section {key}", near or "remove it")
    for one in config.components:
        component = schema.component(one.kind, one.type)
        if component is not None:
            yield from _keys(component, one.config, str(one))
    service, component = config.root["service"], schema.component("service", "service")
    if service is not None and component is not None:
        yield from _keys(component, service, "service")


def _keys(component: schema.Component, item: Item, owner: str) -> Iterator[Finding]:
    plain = item.plain
    for rule, paths in (
        (UNKNOWN, schema.unknown_keys(component, plain)),
        (IGNORED, schema.ignored_keys(component, plain)),
    ):
        for path in paths:
            place = _place(item, path)
            if owner == "service" and path == _ADDRESS:
                yield Finding(ADDRESS, place, "service::telemetry::metrics::address is gone", _READERS)
                continue
            instead = schema.close_key(component, path, plain) or "remove it, or move it to where it belongs"
            yield Finding(rule, place, f"{owner} has no key {'::'.join(map(str, path))}", instead)


def _place(item: Item, path: Sequence[str | int]) -> Place:
    """Where the last key of a path stands."""
    place = item.place
    for step in path:
        if isinstance(step, int):
            elements = item.elements()
            if step >= len(elements):
                return place
            item = elements[step]
            place = item.place
        else:
            place = item.place_of(step)
            found = item[step]
            if found is None:
                return place
            item = found
    return place
