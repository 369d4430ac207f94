"""A Collector's configuration: its components and pipelines, each with the place where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from otelext.pipeline.yaml_tree import Unknown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.pipeline.yaml_tree import Item, Place

KINDS: Final = ("receiver", "processor", "exporter", "connector", "extension")
SECTIONS: Final = {kind: f"{kind}s" for kind in KINDS}
SIGNALS: Final = ("traces", "metrics", "logs", "profiles")


@dataclass(frozen=True)
class Declared:
    """A component as one section declares it."""

    kind: str
    id: str
    """Type, and name if it has one: `otlp_http/loki`."""
    config: Item
    place: Place

    @property
    def type(self) -> str:
        """What it is, as `otlp_http`."""
        return self.id.partition("/")[0]

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


@dataclass(frozen=True)
class Use:
    """A component's id in the list of a pipeline or of the extensions."""

    id: str
    place: Place


@dataclass(frozen=True)
class Pipeline:
    """A pipeline."""

    id: str
    place: Place
    receivers: tuple[Use, ...]
    processors: tuple[Use, ...]
    exporters: tuple[Use, ...]
    unseen: frozenset[str]
    """Kinds of which it may have more: a reference stands there that nobody here can resolve."""

    @property
    def signal(self) -> str:
        """What flows through it, as `traces`."""
        return self.id.partition("/")[0]

    def has(self, component: str) -> bool:
        """Whether one of its processors is of this type."""
        return any(use.id.partition("/")[0] == component for use in self.processors)


class Configuration:
    """What a file, with those laid over it, says.

    Args:
        root: The tree of it.
    """

    def __init__(self, root: Item) -> None:
        self.root = root

    @property
    def file(self) -> str:
        """The first file of it."""
        return self.root.place.file

    @cached_property
    def declared(self) -> dict[str, dict[str, Declared]]:
        """Components by kind, then by id."""
        return {kind: {one.id: one for one in self._of(kind)} for kind in KINDS}

    @cached_property
    def components(self) -> list[Declared]:
        """All of them."""
        return [one for of_kind in self.declared.values() for one in of_kind.values()]

    @cached_property
    def pipelines(self) -> list[Pipeline]:
        """All pipelines."""
        pipelines = self.root.at("service", "pipelines")
        if pipelines is None:
            return []
        return [
            Pipeline(
                _id(name),
                pipelines.place_of(name),
                _uses(config["receivers"]),
                _uses(config["processors"]),
                _uses(config["exporters"]),
                frozenset(kind for kind in KINDS if _has_unknown(config) or _has_unknown(config[SECTIONS[kind]])),
            )
            for name, config in pipelines.items()
        ]

    @cached_property
    def unseen(self) -> frozenset[str]:
        """Kinds of which more may be used than is seen: a reference stands there that nobody here can resolve."""
        service, pipelines = self.root["service"], self.root.at("service", "pipelines")
        if _has_unknown(service):
            return frozenset(KINDS)
        found: set[str] = set()
        if _has_unknown(pipelines):
            found.update(kind for kind in KINDS if kind != "extension")
        found.update(kind for pipeline in self.pipelines for kind in pipeline.unseen)
        if found & {"receiver", "exporter"}:
            found.add("connector")
        if _has_unknown(self.root.at("service", "extensions")):
            found.add("extension")
        return frozenset(found)

    def may_declare(self, kind: str) -> bool:
        """Whether a kind's section is a reference that nobody here can resolve."""
        return _has_unknown(self.root[SECTIONS[kind]])

    @cached_property
    def extensions(self) -> tuple[Use, ...]:
        """Those that the service starts."""
        return _uses(self.root.at("service", "extensions"))

    @cached_property
    def running(self) -> list[Declared]:
        """What is declared and used: the Collector makes nothing of the rest."""
        used: set[tuple[str, str]] = {("extension", use.id) for use in self.extensions}
        for pipeline in self.pipelines:
            for use in pipeline.receivers:
                used |= {("receiver", use.id), ("connector", use.id)}
            for use in pipeline.exporters:
                used |= {("exporter", use.id), ("connector", use.id)}
            used |= {("processor", use.id) for use in pipeline.processors}
        return [one for one in self.components if (one.kind, one.id) in used]

    def used_by(self, kind: str, component: str) -> list[Pipeline]:
        """The pipelines in which a receiver, processor or exporter stands."""
        return [
            pipeline for pipeline in self.pipelines if any(use.id == component for use in getattr(pipeline, f"{kind}s"))
        ]

    def reached_from(self, pipeline: Pipeline) -> list[Pipeline]:
        """The pipelines that what flows through one gets to by connectors, itself the first."""
        found = [pipeline]
        for reached in found:
            for use in reached.exporters:
                if use.id in self.declared["connector"]:
                    found += [onward for onward in self.used_by("receiver", use.id) if onward not in found]
        return found

    def _of(self, kind: str) -> Iterator[Declared]:
        section = self.root[SECTIONS[kind]]
        if section is not None:
            for name, config in section.items():
                yield Declared(kind, _id(name), config, section.place_of(name))


def _uses(item: Item | None) -> tuple[Use, ...]:
    if item is None:
        return ()
    return tuple(
        Use(_id(element.value), element.place)
        for element in item.elements()
        if isinstance(element.value, str) and not _has_unknown(element)
    )


def _id(text: str) -> str:
    """As the Collector reads it: without the spaces around type and name."""
    return "/".join(part.strip() for part in text.split("/", 1))


def _has_unknown(item: Item | None) -> bool:
    if item is None:
        return False
    if isinstance(item.value, str):
        return "${" in item.value
    return isinstance(item.value, Unknown) or any(_has_unknown(element) for element in item.elements())
