"""Keys that a component doesn't have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelext.pipeline import schema
from otelext.pipeline.finding import Finding, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from otelext.pipeline.configuration import Configuration
    from otelext.pipeline.yaml_tree import Item, Place

UNKNOWN: Final = Rule(
    "unknown-key",
    "error",
    "A key that the component doesn't have",
    "What stands under it has no effect: the Collector does not start, or ignores it without a word.",
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
RULES: Final = (UNKNOWN, ADDRESS, SECTION)

_SECTIONS: Final = ("receivers", "processors", "exporters", "connectors", "extensions", "service")
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
        if component is None:
            continue
        for unknown in schema.unknown_keys(component, one.config.plain):
            instead = schema.close_key(component, unknown) or "remove it, or move it to where it belongs"
            yield Finding(
                UNKNOWN, _place(one.config, unknown), f"{one} has no key {'::'.join(map(str, unknown))}", instead
            )
    service = config.root["service"]
    component = schema.component("service", "service")
    if service is None or component is None:
        return
    for unknown in schema.unknown_keys(component, service.plain):
        place = _place(service, unknown)
        if tuple(unknown) == _ADDRESS:
            yield Finding(ADDRESS, place, "service::telemetry::metrics::address is gone", _READERS)
        else:
            instead = schema.close_key(component, unknown) or "remove it, or move it to where it belongs"
            yield Finding(UNKNOWN, place, f"service has no key {'::'.join(map(str, unknown))}", instead)


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
