"""Which components stand in which pipelines of a configuration, and what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otelext.pipeline.commented import remove

if TYPE_CHECKING:
    from ruamel.yaml.comments import CommentedMap

KINDS: Final = ("extensions", "receivers", "processors", "exporters", "connectors")


def at(root: CommentedMap, *path: str | int) -> Any:
    """What stands at a path."""
    node: Any = root
    for key in path:
        node = node[key]
    return node


def pipelines(root: CommentedMap) -> CommentedMap:
    """All pipelines by their names."""
    return at(root, "service", "pipelines")  # type: ignore[no-any-return]


def swap(root: CommentedMap, part: str, old: str, new: str) -> None:
    """Put a component into the place of another in every pipeline.

    Args:
        root: The configuration.
        part: `receivers`, `processors` or `exporters`.
        old: What goes.
        new: What comes.
    """
    for pipeline in pipelines(root).values():
        names = pipeline[part]
        for place, name in enumerate(names):
            if name == old:
                names[place] = new


def exporting_to(root: CommentedMap, exporter: str) -> list[CommentedMap]:
    """The pipelines that end there."""
    return [pipeline for pipeline in pipelines(root).values() if exporter in pipeline["exporters"]]


def used(root: CommentedMap, kind: str) -> set[str]:
    """The components of a kind that run."""
    if kind == "extensions":
        return set(at(root, "service", "extensions"))
    ends = ("receivers", "exporters") if kind == "connectors" else (kind,)
    named = {name for pipeline in pipelines(root).values() for end in ends for name in pipeline.get(end, ())}
    connectors = set(root.get("connectors", ()))
    return named & connectors if kind == "connectors" else named - connectors


def prune(root: CommentedMap) -> None:
    """Remove what is declared and runs nowhere, and a section that is empty then."""
    for kind in KINDS:
        running = used(root, kind)
        for name in [name for name in root.get(kind, ()) if name not in running]:
            remove(root[kind], name)
        if kind in root and not root[kind]:
            remove(root, kind)
