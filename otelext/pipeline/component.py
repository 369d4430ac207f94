"""A component of the Collector, as version 0.152 has it, or had it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .key import Key


@dataclass(frozen=True)
class Component:
    """A receiver, processor, exporter, connector or extension; or the section `service`, of that kind and type."""

    kind: str
    type: str
    aliases: tuple[str, ...]
    """Old names that are still taken, with a warning in the Collector's log."""
    signals: frozenset[str]
    """Of a receiver, processor or exporter: traces, metrics, logs, profiles. Empty where they are not known."""
    pairs: frozenset[tuple[str, str]]
    """Of a connector: the signal that it takes, and the one that it makes."""
    stability: Mapping[str, str]
    """By signal, or by pair as in `traces_to_metrics`: from `development` to `stable`."""
    keys: Key | None
    """None where only the component is known, and not what it takes."""
    source: str
    """The module and version, or the publication, that this is from."""

    def has(self, *names: str) -> bool:
        """Whether it is known to have this key, which names lead to from the outside in."""
        return self.at(names) is not None

    def at(self, path: Sequence[str | int], config: object = None) -> Key | None:
        """Return the key that a path leads to, None where none is known. `config` is what selects variants."""
        key = self.keys.form(config) if self.keys else None
        for step in path:
            config = inside(config, step)
            key = key.child(step) if key else None
            key = key.form(config) if key else None
        return key


@dataclass(frozen=True)
class Gone:
    """A component that is there no more."""

    kind: str
    type: str
    new: tuple[str, str] | None
    """Kind and type of what does its work now, which may be of another kind; None where nothing needs to."""


def inside(config: object, step: str | int) -> object:
    """What a configuration holds under a name, or at a place in a list; None where there is nothing."""
    if isinstance(config, dict):
        return config.get(step)
    if isinstance(config, list) and isinstance(step, int) and step < len(config):
        return config[step]
    return None
