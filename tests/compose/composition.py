"""`docker-compose.otel.yml` as Compose reads it: variables filled in, merges and anchors resolved."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).parents[2]
COMPOSE_FILE: Final = ROOT / "docker-compose.otel.yml"
# https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md, of which the file uses ${NAME:-default} and
# ${NAME:?message}. Everything else that begins with a dollar must be `$$`.
VARIABLE: Final = re.compile(r"\$(?:\{(?P<name>[A-Z][A-Z0-9_]*):(?P<kind>[-?])(?P<text>[^}]*)\}|(?P<other>.?))")


class Unset(Exception):
    """A variable that has to be set; the message is the file's own."""


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """Raises Unset, or AssertionError for a form of variable that has neither a default nor a message."""

    def value(found: re.Match[str]) -> str:
        if found["name"] is None:
            assert found["other"] == "$", f"a variable without a default: {text[found.start() :][:40]!r}"
            return "$"
        if given := variables.get(found["name"]):
            return given
        if found["kind"] == "?":
            raise Unset(f"{found['name']}: {found['text']}")
        return found["text"]

    return VARIABLE.sub(value, text)


def read(path: Path) -> Any:
    """A YAML file."""
    return YAML(typ="safe", pure=True).load(path)


def composition(**variables: str) -> dict[str, Any]:
    """The whole file. Values are interpolated, comments are not."""

    def resolved(node: Any) -> Any:
        if isinstance(node, str):
            return interpolated(node, variables)
        if isinstance(node, dict):
            return {key: resolved(child) for key, child in node.items()}
        return [resolved(child) for child in node] if isinstance(node, list) else node

    document: dict[str, Any] = resolved(read(COMPOSE_FILE))
    return document


def mounts(service: Mapping[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Source, target, and whether it can be written."""
    for volume in service.get("volumes", ()):
        source, target, *mode = volume.split(":")
        yield source, target, mode != ["ro"]


def published(service: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    """Address and port of the machine, port in the container."""
    for port in service.get("ports", ()):
        address, outside, inside = port.rsplit(":", 2)
        yield address, int(outside), int(inside)


def dependencies(service: Mapping[str, Any]) -> dict[str, str]:
    """On which services it waits, and for what."""
    return {name: awaited["condition"] for name, awaited in service.get("depends_on", {}).items()}
