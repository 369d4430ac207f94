"""What the components of the Collector take: their names, signals and keys, as of the contrib distribution 0.152.

The components' own code decides what a key is: every place was tried with a key that doesn't exist, see
`collector/tools/schema`. A place that is not known takes everything, so that what is called unknown is.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, TypeAlias

from .component import Component, Gone
from .components_json import read

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .key import Fate, Key

__all__ = [
    "Component",
    "Gone",
    "Path",
    "close_key",
    "close_names",
    "closest",
    "component",
    "gone",
    "ignored_keys",
    "known_types",
    "renamed",
    "unknown_keys",
]

Path: TypeAlias = "tuple[str | int, ...]"
"""Leads from a component's configuration to a key in it: names, and places in lists from 0."""


def component(kind: str, type_: str) -> Component | None:
    """Return the one of this name, or with it as an alias; None where the distribution has none.

    `kind` is receiver, processor, exporter, connector or extension; `("service", "service")` is the section.
    """
    return read().present.get((kind, type_))


def renamed(kind: str, type_: str) -> str | None:
    """Return the present name of a type that has an old one; None where it has the present one, or there is none.

    Where `component` knows the old name it is an alias, which the Collector takes with a warning. Else the Collector
    refuses it, and the new name is of what does its work now.
    """
    if known := component(kind, type_):
        return known.type if known.type != type_ else None
    past = gone(kind, type_)
    return past.new[1] if past and past.new and past.new[0] == kind else None


def gone(kind: str, type_: str) -> Gone | None:
    """Return what became of a type that was removed; None where it is there, or never was."""
    return read().gone.get((kind, type_))


def known_types(kind: str) -> frozenset[str]:
    """All types of the contrib distribution and their aliases, also those whose keys are not known."""
    return frozenset(type_ for of, type_ in read().present if of == kind)


def close_names(kind: str, type_: str) -> list[str]:
    """Types that may have been meant, by their present names, the closest first."""
    found = get_close_matches(type_, sorted(known_types(kind)), 3, 0.7)
    return list(dict.fromkeys(renamed(kind, name) or name for name in found))


def closest(text: str, choices: Iterable[str]) -> str | None:
    """Return the choice that may have been meant, None where none is close."""
    return next(iter(get_close_matches(text, sorted(choices), 1)), None)


def unknown_keys(component: Component, config: object) -> list[Path]:
    """Paths of the keys that the Collector refuses to start with; what is within them is not looked at."""
    return [path for path, fate in _fates(component.keys, config, ()) if fate == "refused"]


def ignored_keys(component: Component, config: object) -> list[Path]:
    """Paths of the keys that the Collector passes over in silence, since nothing reads them."""
    return [path for path, fate in _fates(component.keys, config, ()) if fate == "ignored"]


def close_key(component: Component, path: Path, config: object = None) -> str | None:
    """Return the name that may have been meant by the last one of a path; `config` is the component's."""
    at = component.at(path[:-1], config)
    return closest(str(path[-1]), at.keys) if at and at.keys else None


def _fates(key: Key | None, config: object, path: Path) -> Iterator[tuple[Path, Fate]]:
    form = key.form(config) if key else None
    if form is None:
        return
    if isinstance(config, list):
        for place, item in enumerate(config):
            yield from _fates(form.items, item, (*path, place))
    elif isinstance(config, dict):
        for name, value in config.items():
            yield from _fate(form, str(name), value, (*path, name))


def _fate(key: Key, name: str, value: object, path: Path) -> Iterator[tuple[Path, Fate]]:
    # The Collector reads `a::b: 1` as `a: {b: 1}`.
    name, _, rest = name.partition("::")
    fate = key.fate(name)
    if fate in {"refused", "ignored"}:
        yield path, fate
        return
    inner = key.child(name)
    if rest:
        inner = inner.form({rest: value}) if inner else None
        if inner:
            yield from _fate(inner, rest, value, path)
    else:
        yield from _fates(inner, value, path)
