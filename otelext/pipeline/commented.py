"""YAML that keeps its comments while it is changed: each stands with the key, or the item of a list, below it.

ruamel.yaml keeps a comment with whatever stands before it, so that it would stay where its subject goes, and go where its
subject stays. Loading hands each on to what stands after it; writing an unchanged tree gives the same text.
"""

from __future__ import annotations

import io
import textwrap
from typing import TYPE_CHECKING, Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import CommentMark
from ruamel.yaml.tokens import CommentToken

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

WIDTH: Final = 120

_Node = CommentedMap | CommentedSeq
# Places in ruamel.yaml's list of a key's comments; of a list's item the first is its end of line.
_ABOVE: Final = 1
_BESIDE: Final = 2
_BELOW: Final = 3


def load(text: str) -> CommentedMap:
    """The tree of a document that is a mapping.

    Raises:
        ValueError: A comment stands behind everything, where nothing could carry it.
        ruamel.yaml.error.YAMLError: The text is no YAML.
    """
    root: CommentedMap = _yaml().load(text)
    left = _hand_on(root, set())
    if left.strip():
        raise ValueError(f"the comment {left.strip()!r} has nothing below it")
    return root


def dump(root: CommentedMap) -> str:
    """The text of a tree."""
    stream = io.StringIO()
    _yaml().dump(root, stream)
    return stream.getvalue()


def above(node: _Node, key: str | int) -> list[str]:
    """The lines above a key or an item, as `# text`, or empty."""
    return [token.value.strip() for token in (node.ca.items.get(key) or [None] * 4)[_ABOVE] or ()]


def said(node: _Node, key: str | int) -> str:
    """The words of the comment above a key, in one line."""
    return " ".join(" ".join(line.removeprefix("#") for line in above(node, key)).split())


def put_above(node: _Node, key: str | int, text: str) -> None:
    """Replace them by a text, which is broken into lines; an empty line in it begins another paragraph."""
    _put_lines(node, key, _filled(text, WIDTH - _column(node, key)))


def reword(node: _Node, key: str | int, old: str, new: str) -> None:
    """Replace words in the comment above a key, wherever its lines are broken, and fill the lines of that paragraph anew.

    An empty line in `new` begins another paragraph.

    Raises:
        ValueError: The comment hasn't these words.
    """
    found = False
    lines: list[str] = []
    for paragraph in _paragraphs(above(node, key)):
        text = " ".join(line.removeprefix("#").strip() for line in paragraph)
        if old not in text:
            lines += paragraph
            continue
        found = True
        lines += _filled(text.replace(old, new), WIDTH - _column(node, key))
    if not found:
        raise ValueError(f"the comment of {key} doesn't say {old!r}")
    _put_lines(node, key, lines)


def reword_beside(node: CommentedMap, key: str, new: str) -> None:
    """Replace the comment that ends the line of a key.

    Raises:
        ValueError: There is none.
    """
    token = _slots(node, key)[_BESIDE]
    if token is None:
        raise ValueError(f"{key} has no comment beside it")
    token.value = f"# {new}\n"


def remove(node: CommentedMap, key: str) -> None:
    """Take a key away, and its comments with it."""
    del node[key]
    node.ca.items.pop(key, None)


def put(target: CommentedMap, key: str, source: CommentedMap, *, name: str = "", at: int | None = None) -> None:
    """Put what `source` has under a key into `target`, with its comments.

    Args:
        target: Where it goes.
        key: Of the source.
        source: It shares the value from now on.
        name: The key there, if another.
        at: The place among the keys; of one that is there already without this, and else the end.
    """
    name = name or key
    keys = list(target)
    if name in target:
        place = keys.index(name)
        remove(target, name)
    else:
        place = len(keys)
    target.insert(place if at is None else at, name, source[key])
    if key in source.ca.items:
        target.ca.items[name] = source.ca.items[key]


def replace(target: CommentedMap, old: str, source: CommentedMap, new: str) -> None:
    """Put what `source` has under a key into `target`, in the place of another key of its."""
    place = list(target).index(old)
    remove(target, old)
    put(target, new, source, at=place)


def rename(node: CommentedMap, old: str, new: str) -> None:
    """Give a key another name, in its place and with its comments."""
    place, value, comments = list(node).index(old), node[old], node.ca.items.get(old)
    remove(node, old)
    node.insert(place, new, value)
    if comments is not None:
        node.ca.items[new] = comments


def _yaml() -> YAML:
    yaml = YAML()
    yaml.width = 10**6  # lines stay as long as they are
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _hand_on(node: _Node, seen: set[int]) -> str:
    """Give each comment inside a collection to what stands below it.

    Returns the text that is left, which belongs to what stands after the collection.
    """
    seen.add(id(node))
    carried = _taken_first(node)
    for key, value in _own(node):
        slots = _slots(node, key)
        lines = carried + _text(slots[_ABOVE] or ())
        slots[_ABOVE] = _tokens(lines) or None
        carried = ""
        beside = _BESIDE if isinstance(node, CommentedMap) else 0
        token = slots[beside]
        if _is_block(value) and id(value) not in seen:
            # The comment of the first key inside, which is there, too.
            slots[_BELOW] = None
            carried = _hand_on(value, seen)
        if token is not None:
            text, _, after = token.value.partition("\n")
            carried = after + carried
            token.value = f"{text}\n"
            if not text:
                slots[beside] = None
    carried += _text(node.ca.end or ())
    node.ca.end = []
    return carried


def _taken_first(node: _Node) -> str:
    """What stands above the first key or item, which the collection itself holds."""
    beside, first = (node.ca.comment or [None, None])[:2]
    node.ca.comment = [beside, None] if beside is not None else None
    return _text(first or ())


def _own(node: _Node) -> Iterator[tuple[Any, Any]]:
    """Keys and values, without those that `<<` brings."""
    if isinstance(node, CommentedMap):
        yield from list(node.non_merged_items())
    else:
        yield from list(enumerate(node))


def _is_block(value: object) -> bool:
    return isinstance(value, (CommentedMap, CommentedSeq)) and not value.fa.flow_style()


def _slots(node: _Node, key: str | int) -> list[Any]:
    slots = node.ca.items.setdefault(key, [None, None, None, None])
    slots += [None] * (4 - len(slots))
    return slots  # type: ignore[no-any-return]  # ruamel.yaml's own list, untyped


def _text(tokens: Iterable[CommentToken]) -> str:
    return "".join((" " * token.column if token.value.strip() else "") + token.value for token in tokens)


def _tokens(text: str) -> list[CommentToken]:
    return [_token(line.strip(), len(line) - len(line.lstrip())) for line in text.splitlines()]


def _token(line: str, column: int) -> CommentToken:
    return CommentToken(f"{line}\n", CommentMark(column), None)


def _put_lines(node: _Node, key: str | int, lines: Iterable[str]) -> None:
    column = _column(node, key)
    _slots(node, key)[_ABOVE] = [_token(line, column) for line in lines] or None


def _column(node: _Node, key: str | int) -> int:
    """How far the comment above a key is indented: as it is, or as far as any key beside it."""
    for token in _slots(node, key)[_ABOVE] or ():
        if token.value.strip():
            return int(token.column)
    return int(next(iter(node.lc.data.values()))[1])


def _filled(text: str, width: int) -> list[str]:
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        filled = textwrap.wrap(paragraph, width - len("# "), break_long_words=False, break_on_hyphens=False)
        lines += ["#"] * bool(lines) + [f"# {line}" for line in filled]
    return lines


def _paragraphs(lines: Iterable[str]) -> Iterator[list[str]]:
    """Runs of lines that are filled together; a line that begins a list or is indented stands by itself."""
    paragraph: list[str] = []
    for line in lines:
        text = line.removeprefix("#")
        if paragraph and text.strip() and not text.startswith(("  ", " - ")):
            paragraph.append(line)
            continue
        if paragraph:
            yield paragraph
        paragraph = [line]
        if not text.strip():
            yield paragraph
            paragraph = []
    if paragraph:
        yield paragraph
