"""What the components of the Collector take: their names, signals and keys, as of the contrib distribution 0.152.

`components.json` beside this file is written by `python -m collector.tools.schema` from the components' own code, which
decides what a key is: every place was tried with a key that doesn't exist.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path as File
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

Path: TypeAlias = "tuple[str | int, ...]"
"""From a component's configuration to a key in it: names, and places in lists from 0."""

Kind: TypeAlias = Literal["any", "bool", "bytes", "duration", "float", "id", "int", "secret", "string"]

COMPONENTS: Final = File(__file__).with_name("components.json")


@dataclass(frozen=True)
class Key:
    """What may stand at one place. A place may take more than one form, such as a list and a map."""

    kind: Kind | None = None
    """Of a scalar: `id` is a component's, `secret` is never printed, and `any` takes every value."""
    default: str | float | bool | None = None
    """Of `endpoint`, `enabled`, `max_elapsed_time`, `routing_key` and `transport`, where it is not empty, false or 0.
    It holds once the section around it is given; of a section that can be left out and is on by itself, `enabled` is
    true."""
    keys: Mapping[str, Key] | None = None
    """The names that are known here."""
    unknown: Literal["refused", "ignored", "any"] = "refused"
    """What the Collector does about other names: it ends, it passes over them in silence, or it takes them."""
    items: Key | None = None
    """What a list holds."""
    values: Key | None = None
    """What a map holds under names of the user's choice."""
    by: str = ""
    """The name whose value selects one of the variants, as `type` does in the operators of file_log."""
    variants: Mapping[str, Key] = field(default_factory=dict)

    def child(self, config: object, name: str | int) -> Key | None:
        """What stands under a name, or in a list; None where that is not known. `config` is what stands here."""
        if isinstance(name, int):
            return self.items
        if self.by:
            selected = self._selected(config)
            return selected.child(config, name) if selected else None
        if self.keys is not None and name in self.keys:
            return self.keys[name]
        return self.values

    def names(self, config: object = None) -> Mapping[str, Key] | None:
        """The names that are known here, where there are names; `config` is what stands here."""
        selected = self._selected(config) if self.by else self
        return selected.keys if selected else None

    def refuses(self, config: object, name: str) -> str:
        """What becomes of a name: "refused", "ignored", or "" where it is known or can't be told."""
        selected = self._selected(config) if self.by else self
        if selected is None or selected.keys is None or selected.values is not None or name in selected.keys:
            return ""
        return "" if selected.unknown == "any" else selected.unknown

    def _selected(self, config: object) -> Key | None:
        choice = config.get(self.by) if isinstance(config, dict) else None
        return self.variants.get(choice) if isinstance(choice, str) else None


@dataclass(frozen=True)
class Component:
    """A receiver, processor, exporter, connector or extension; or the section `service`, of that kind and type."""

    kind: str
    type: str
    aliases: tuple[str, ...]
    """Old names that version 0.152 still takes, with a warning in its log."""
    signals: frozenset[str]
    """Of a receiver, processor or exporter: traces, metrics, logs, profiles. Empty where they are not known."""
    pairs: frozenset[tuple[str, str]]
    """Of a connector: the signal that it takes, and the one that it makes."""
    stability: Mapping[str, str]
    """By signal, or by pair as in `traces_to_metrics`: from `development` to `stable`."""
    keys: Key | None
    """None where the names are not known: only the component is."""
    source: str
    """The module and version, or publication, that this is from."""

    def has(self, *names: str) -> bool:
        """Whether it is known to have this key, which several names lead to from the outside in."""
        return self.at(names) is not None

    def at(self, path: Sequence[str | int], config: object = None) -> Key | None:
        """The key at the end of a path, None where there is none or it is not known. `config` selects variants."""
        key = self.keys
        for step in path:
            if key is None:
                return None
            key = key.child(config, step)
            config = _inside(config, step)
        return key


@dataclass(frozen=True)
class Gone:
    """A component that version 0.152 no longer has."""

    kind: str
    type: str
    new: tuple[str, str] | None
    """Kind and type of what does its work now, which may be of another kind."""


def component(kind: str, type_: str) -> Component | None:
    """Return the one of this name, or with it as an alias; None where the distribution has none.

    `kind` is receiver, processor, exporter, connector or extension; `("service", "service")` is the section.
    """
    return _read().by_name.get((kind, type_))


def renamed(kind: str, type_: str) -> str | None:
    """Return the present name of a type that has an old one, None where there is none or the name is the present one.

    Where `component` knows the old name it is an alias, which 0.152 takes with a warning. Else the Collector refuses
    it, and the new name is what does its work now.
    """
    known = component(kind, type_)
    if known is not None:
        return known.type if known.type != type_ else None
    past = gone(kind, type_)
    return past.new[1] if past and past.new and past.new[0] == kind else None


def gone(kind: str, type_: str) -> Gone | None:
    """Return what became of a type that was removed, None where it is there or never was."""
    return _read().gone.get((kind, type_))


def known_types(kind: str) -> frozenset[str]:
    """All types of the contrib distribution, with their aliases, also those whose keys are not known."""
    return frozenset(type_ for of, type_ in _read().by_name if of == kind)


def close_names(kind: str, type_: str) -> list[str]:
    """Types that may have been meant, the closest first; present names before their aliases."""
    found = get_close_matches(type_, sorted(known_types(kind)), 3, 0.7)
    return list(dict.fromkeys(renamed(kind, name) or name for name in found))


def closest(text: str, choices: Iterable[str]) -> str | None:
    """Return the choice that may have been meant, None where none is close."""
    return next(iter(get_close_matches(text, sorted(choices), 1, 0.6)), None)


def unknown_keys(component: Component, config: object) -> list[Path]:
    """Paths of the keys that the Collector refuses to start with; what is within them is not looked at."""
    return [path for path, fate in _strange(component.keys, config, ()) if fate == "refused"]


def ignored_keys(component: Component, config: object) -> list[Path]:
    """Paths of the keys that the Collector passes over in silence, as nothing reads them."""
    return [path for path, fate in _strange(component.keys, config, ()) if fate == "ignored"]


def close_key(component: Component, path: Path, config: object = None) -> str | None:
    """Return the name that may have been meant by the last one of a path; `config` is the component's."""
    *outer, last = path
    at = component.at(outer, config)
    for step in outer:
        config = _inside(config, step)
    names = at.names(config) if at else None
    return closest(str(last), names) if names else None


def _strange(key: Key | None, config: object, path: Path) -> Iterator[tuple[Path, str]]:
    if key is None or key.kind == "any":
        return
    if isinstance(config, list):
        for place, item in enumerate(config):
            yield from _strange(key.items, item, (*path, place))
    elif isinstance(config, dict):
        for name, value in config.items():
            yield from _entry(key, config, str(name), value, (*path, name))


def _entry(key: Key, config: object, name: str, value: object, path: Path) -> Iterator[tuple[Path, str]]:
    # The Collector reads `a::b: 1` as `a: {b: 1}`.
    name, _, inner = name.partition("::")
    if fate := key.refuses(config, name):
        yield path, fate
        return
    child = key.child(config, name)
    if not inner:
        yield from _strange(child, value, path)
    elif child is not None:
        yield from _entry(child, {inner: value}, inner, value, path)


def _inside(config: object, step: str | int) -> object:
    if isinstance(config, dict):
        return config.get(step)
    return config[step] if isinstance(config, list) and isinstance(step, int) and step < len(config) else None


@dataclass(frozen=True)
class _Schema:
    by_name: Mapping[tuple[str, str], Component]
    gone: Mapping[tuple[str, str], Gone]


@cache
def _read() -> _Schema:
    stored = json.loads(COMPONENTS.read_bytes())
    reader = _Reader(stored["shared"])
    by_name: dict[tuple[str, str], Component] = {}
    for line in stored["components"]:
        one = reader.component(line)
        for name in (one.type, *one.aliases):
            by_name[one.kind, name] = one
    past = (Gone(line["kind"], line["type"], _kind_and_type(line["new"])) for line in stored["gone"])
    return _Schema(by_name, {(one.kind, one.type): one for one in past})


def _kind_and_type(new: Mapping[str, str] | None) -> tuple[str, str] | None:
    return (new["kind"], new["type"]) if new else None


class _Reader:
    """Makes keys of their JSON: a string is a scalar's kind, or `$name` of what stands in more than one place."""

    def __init__(self, shared: Mapping[str, object]) -> None:
        self._shared = shared
        self._made: dict[str, Key] = {}

    def component(self, line: dict[str, object]) -> Component:
        kind = str(line["kind"])
        stability: dict[str, str] = line.get("signals", {})  # type: ignore[assignment]
        pairs = [signal.split("_to_") for signal in stability] if kind == "connector" else []
        return Component(
            kind=kind,
            type=str(line.get("type", kind)),
            aliases=tuple(line.get("aliases", ())),  # type: ignore[arg-type]
            signals=frozenset() if kind == "connector" else frozenset(stability),
            pairs=frozenset((source, target) for source, target in pairs),
            stability=stability,
            keys=self.key(line["keys"]) if "keys" in line else None,
            source=str(line["source"]),
        )

    def key(self, stored: object) -> Key:
        if isinstance(stored, dict):
            return self._structure(stored)
        name = str(stored)
        if not name.startswith("$"):
            return Key(kind=name)  # type: ignore[arg-type]
        if name not in self._made:
            self._made[name] = self.key(self._shared[name[1:]])
        return self._made[name]

    def _structure(self, stored: dict[str, object]) -> Key:
        def several(name: str) -> dict[str, Key] | None:
            found = stored.get(name)
            return {name: self.key(one) for name, one in found.items()} if isinstance(found, dict) else None

        return Key(
            kind=stored.get("kind"),  # type: ignore[arg-type]
            default=stored.get("default"),  # type: ignore[arg-type]
            keys=several("keys"),
            unknown=stored.get("unknown", "refused"),  # type: ignore[arg-type]
            items=self.key(stored["items"]) if "items" in stored else None,
            values=self.key(stored["values"]) if "values" in stored else None,
            by=str(stored.get("by", "")),
            variants=several("variants") or {},
        )
