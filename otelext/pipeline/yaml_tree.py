"""YAML as a tree in which every value knows the file and the line that it stands in.

References such as `${env:NAME:-default}` are replaced as the Collector does it:
https://opentelemetry.io/docs/collector/configuration/#environment-variables.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_REFERENCE: Final = re.compile(r"\$\$|\$\{((?:[^${}]|\$(?!\{))*)\}")
_MOST_ITEMS: Final = 200_000
_MOST_ROUNDS: Final = 10
_MOST_STEPS: Final = 100
_MERGE: Final = "tag:yaml.org,2002:merge"
_TAB_AT_END: Final = re.compile(r"(?<![ \t])[ \t]+(?=(?:#.*)?$)", re.MULTILINE)
_SECOND: Final = "but found another document"


class UnreadableError(Exception):
    """A file that is no configuration: missing, no YAML, or no mapping. The message names the file and the line."""


@dataclass(frozen=True)
class Place:
    """Where something stands."""

    file: str
    line: int
    """From 1 on."""


@dataclass(frozen=True)
class Unknown:
    """A value that only the place where the Collector runs knows, as `${env:NAME}` without a default."""

    text: str


@dataclass(frozen=True)
class Item:
    """A value with its place: a mapping or a list of further items, a scalar, or `Unknown`."""

    value: Any
    place: Place
    raw: str = ""
    """Of a scalar: the text before references were replaced."""
    keys: Mapping[str, Place] = field(default_factory=dict)
    """Of a mapping: where each key stands."""

    def __getitem__(self, key: str) -> Item | None:
        """The item under a key of a mapping, None if there is none or this is no mapping."""
        return self.value.get(key) if isinstance(self.value, dict) else None

    def at(self, *path: str) -> Item | None:
        """The item under a path of keys."""
        found: Item | None = self
        for key in path:
            if found is None:
                return None
            found = found[key]
        return found

    def items(self) -> Iterator[tuple[str, Item]]:
        """Keys and items of a mapping, none of anything else."""
        if isinstance(self.value, dict):
            yield from self.value.items()

    def elements(self) -> list[Item]:
        """The items of a list, none of anything else."""
        return self.value if isinstance(self.value, list) else []

    def place_of(self, key: str) -> Place:
        """Where a key stands."""
        return self.keys.get(key, self.place)

    @property
    def plain(self) -> Any:
        """The value without places; what is unknown stays `Unknown`."""
        if isinstance(self.value, dict):
            return {key: item.plain for key, item in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain for item in self.value]
        return self.value


def read(path: str, environ: Mapping[str, str]) -> Item:
    """Read one file.

    Args:
        path: Of the file; `-` is standard input.
        environ: Variables that references take; for others their default holds.

    Raises:
        UnreadableError: It is missing, no YAML or no mapping.
    """
    try:
        text = (sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()).decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UnreadableError(f"{path}: cannot be read: {reason}") from error
    try:
        root = _Reader(path, environ).item(text, 0)
    except RecursionError as error:
        raise UnreadableError(f"{path}: an alias or a variable holds itself, or it is nested too deeply") from error
    if not isinstance(root.value, dict):
        raise UnreadableError(f"{path}:1: a configuration is a mapping with receivers, exporters and service")
    return root


def without_environment(raw: str) -> str:
    """What a file says by itself: references replaced by their defaults, those without one left as they are."""
    return _Reader("", {}).replaced(raw)


def overlaid(base: Item, over: Item) -> Item:
    """`over` laid on `base` as the Collector merges several `--config`: mappings key by key, all else replaced."""
    if not isinstance(base.value, dict) or not isinstance(over.value, dict):
        return over
    merged = dict(base.value)
    for key, item in over.value.items():
        merged[key] = overlaid(merged[key], item) if key in merged else item
    return Item(merged, base.place, keys={**base.keys, **over.keys})


def _nested(item: Item) -> Item:
    """With `a::b: 1` written out as `a: {b: 1}`, which is what the Collector reads."""
    if not any("::" in key for key in item.value):
        return item
    found = Item({}, item.place)
    for key, value in item.items():
        place = item.place_of(key)
        first, *inner = key.split("::")
        if len(inner) > _MOST_STEPS:
            raise RecursionError
        for step in reversed(inner):
            value = Item({step: value}, place, keys={step: place})  # noqa: PLW2901  # from the inside out
        found = overlaid(found, Item({first: value}, item.place, keys={first: place}))
    return found


class _Reader:
    def __init__(self, file: str, environ: Mapping[str, str]) -> None:
        self._file = file
        self._environ = environ
        self._yaml = YAML(typ="safe", pure=True)
        self._items = 0

    def item(self, text: str, line: int) -> Item:
        """The tree of a text that begins at `line`."""
        try:
            # What the Collector reads YAML with takes a tab at the end of a line, before a comment too.
            node = self._yaml.compose(_TAB_AT_END.sub(lambda tabs: " " * len(tabs[0]), text))
            return Item(None, Place(self._file, line + 1)) if node is None else self._of(node, line)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            where = f"{self._file}:{line + mark.line + 1}" if mark else self._file
            if error.problem == _SECOND:
                raise UnreadableError(
                    f"{where}: a second document, of which the Collector would read nothing"
                ) from error
            raise UnreadableError(f"{where}: no YAML: {error.problem or error.context}") from error
        except YAMLError as error:
            raise UnreadableError(f"{self._file}: no YAML: {error}") from error

    def _of(self, node: Any, line: int) -> Item:
        place = Place(self._file, line + node.start_mark.line + 1)
        self._items += 1
        if self._items > _MOST_ITEMS:
            raise UnreadableError(
                f"{self._file}:{place.line}: with its aliases replaced it has over {_MOST_ITEMS} values"
            )
        if isinstance(node, MappingNode):
            return self._mapping(node, line, place)
        if isinstance(node, SequenceNode):
            return Item([self._of(element, line) for element in node.value], place)
        assert isinstance(node, ScalarNode)
        if node.tag == "tag:yaml.org,2002:str":
            return self._string(node.value, place)
        try:
            value = self._yaml.constructor.construct_object(node)
        except (ValueError, KeyError, OverflowError, YAMLError):  # no day of the calendar, a tag that nobody knows
            value = node.value
        return Item(value, place, raw=node.value)

    def _mapping(self, node: Any, line: int, place: Place) -> Item:
        own: dict[str, Item] = {}
        merged: dict[str, Item] = {}
        keys: dict[str, Place] = {}
        inherited: dict[str, Place] = {}
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                sources = value_node.value if isinstance(value_node, SequenceNode) else [value_node]
                for source in sources:
                    item = self._of(source, line)
                    for key, value in item.items():
                        merged.setdefault(key, value)
                        inherited.setdefault(key, item.place_of(key))
                continue
            own_place = Place(self._file, line + key_node.start_mark.line + 1)
            if not isinstance(key_node, ScalarNode):
                raise UnreadableError(f"{self._file}:{own_place.line}: a key that is a list or a mapping")
            key = str(key_node.value)
            if key in own:
                raise UnreadableError(f"{self._file}:{own_place.line}: the key {key} is there twice")
            own[key] = self._of(value_node, line)
            keys[key] = own_place
        return _nested(Item({**merged, **own}, place, keys={**inherited, **keys}))

    def _string(self, raw: str, place: Place) -> Item:
        whole = _REFERENCE.fullmatch(raw)
        if whole is not None and whole[1] is not None:
            value = self._resolved(whole[1])
            if value is None:
                return Item(Unknown(raw), place, raw)
            # The Collector reads what a reference stands for as YAML, where it is the whole value.
            found = self.item(value, place.line - 1)
            return Item(found.value, place, raw, found.keys)
        value = self.replaced(raw)
        if _REFERENCE.fullmatch(value):  # as ${file:${env:NAME:-/etc/list.yaml}}
            return Item(Unknown(raw), place, raw)
        return Item(value, place, raw)

    def replaced(self, raw: str) -> str:
        """With every reference that is known replaced, the innermost first; an unknown one stays as it is."""
        for _ in range(_MOST_ROUNDS):
            changed = _REFERENCE.sub(self._replacement, raw)
            if changed == raw or "${" not in changed:
                return changed.replace(_ESCAPED, "$")
            raw = changed
        raise RecursionError

    def _replacement(self, match: re.Match[str]) -> str:
        if match[1] is None:
            return _ESCAPED
        value = self._resolved(match[1])
        return match[0] if value is None else value

    def _resolved(self, reference: str) -> str | None:
        scheme, colon, rest = reference.partition(":")
        if scheme == "yaml" and colon:
            return rest
        if scheme == "env" and colon:
            reference = rest
        elif colon and not rest.startswith("-"):  # file:, http:, https: and those of other distributions
            return None
        name, default_given, default = reference.partition(":-")
        if name in self._environ:
            return self._environ[name]
        return default if default_given else None


_ESCAPED: Final = "\0"
"""Stands for `$$` while references are replaced."""
