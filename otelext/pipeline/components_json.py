"""`components.json`, which `python -m collector.tools.schema` writes from the components' own code."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .component import Component, Gone
from .key import Key

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE: Final = Path(__file__).with_name("components.json")


@dataclass(frozen=True)
class Components:
    """All components, by kind and type."""

    present: Mapping[tuple[str, str], Component]
    """Also by their aliases."""
    gone: Mapping[tuple[str, str], Gone]


@cache
def read() -> Components:
    """Read the file, once."""
    stored = json.loads(FILE.read_bytes())
    keys = _Keys(stored["shared"])
    present: dict[tuple[str, str], Component] = {}
    for line in stored["components"]:
        one = _component(line, keys)
        present.update({(one.kind, name): one for name in (one.type, *one.aliases)})
    gone = {(line["kind"], line["type"]): _gone(line) for line in stored["gone"]}
    return Components(present, gone)


def _component(line: Mapping[str, Any], keys: _Keys) -> Component:
    stability = line.get("signals", {})
    connector = line["kind"] == "connector"
    pairs = (signal.split("_to_") for signal in stability if connector)
    return Component(
        kind=line["kind"],
        type=line.get("type", line["kind"]),
        aliases=tuple(line.get("aliases", ())),
        signals=frozenset() if connector else frozenset(stability),
        pairs=frozenset((taken, made) for taken, made in pairs),
        stability=stability,
        keys=keys.key(line["keys"]) if "keys" in line else None,
        source=line["source"],
    )


def _gone(line: Mapping[str, Any]) -> Gone:
    new = line["new"]
    return Gone(line["kind"], line["type"], (new["kind"], new["type"]) if new else None)


class _Keys:
    """Makes keys of their JSON: a string is the kind of a scalar, or `$name` of what stands in more than one place."""

    def __init__(self, shared: Mapping[str, Any]) -> None:
        self._shared = shared
        self._made: dict[str, Key] = {}

    def key(self, stored: Any) -> Key:
        if not isinstance(stored, str):
            return self._structure(stored)
        if stored not in self._made:
            self._made[stored] = self.key(self._shared[stored[1:]]) if stored.startswith("$") else _scalar(stored)
        return self._made[stored]

    def _structure(self, stored: Mapping[str, Any]) -> Key:
        def one(name: str) -> Key | None:
            return self.key(stored[name]) if name in stored else None

        def several(name: str) -> dict[str, Key]:
            return {of: self.key(value) for of, value in stored.get(name, {}).items()}

        return Key(
            kind=stored.get("kind"),
            default=stored.get("default"),
            keys=several("keys") if "keys" in stored else None,
            unknown=stored.get("unknown", "refused"),
            items=one("items"),
            values=one("values"),
            by=stored.get("by", ""),
            variants=several("variants"),
        )


def _scalar(kind: Any) -> Key:
    return Key(kind=kind)
