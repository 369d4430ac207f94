"""Component types: unknown ones, old names, and what is about to go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelext.pipeline import schema
from otelext.pipeline.configuration import KINDS, SECTIONS
from otelext.pipeline.finding import Finding, Rule

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from otelext.pipeline.configuration import Configuration, Declared

UNKNOWN: Final = Rule(
    "unknown-component",
    "error",
    "A component type that the contrib distribution doesn't have",
    "The Collector does not start with a type that was not built into it.",
)
GONE: Final = Rule(
    "removed-component",
    "error",
    "A component type that was removed",
    "The Collector no longer has it, and does not start.",
)
OLD_NAME: Final = Rule(
    "old-name",
    "note",
    "A component's old name",
    "The Collector still takes it, logs a warning, and will stop to.",
)
RETIRED: Final = Rule(
    "deprecated",
    "note",
    "A component that is being retired",
    "It works today, and its maintainers advise against it.",
)
RULES: Final = (UNKNOWN, GONE, OLD_NAME, RETIRED)

_RETIRED: Final = {
    ("processor", "batch"): (
        "sending_queue.batch of each exporter, which batches after the queue and loses nothing by a kill"
    ),
}


def check(config: Configuration, built_in: Container[tuple[str, str]]) -> Iterator[Finding]:
    """Look at the type of each declared component.

    Args:
        config: Whose.
        built_in: Kinds and types that are there although contrib has them not.
    """
    for one in config.components:
        if (one.kind, one.type) not in built_in or schema.component(one.kind, one.type) is not None:
            yield from _type(one)


def _type(one: Declared) -> Iterator[Finding]:
    known = schema.component(one.kind, one.type)
    past = schema.gone(one.kind, one.type)
    if known is not None:
        if known.type != one.type:
            yield Finding(OLD_NAME, one.place, f"the {one.kind} {known.type} has the old name {one.type}", known.type)
    elif past is not None:
        instead = f"the {past.new[0]} {past.new[1]}" if past.new else "remove it; what it did is no longer needed"
        yield Finding(GONE, one.place, f"the {one.kind} {one.type} was removed", instead)
    else:
        near = schema.close_names(one.kind, one.type)
        instead = f"{' or '.join(near)}, if that is meant" if near else _instead(one)
        yield Finding(UNKNOWN, one.place, f"there is no {one.kind} of type {one.type}", instead)
    retired = _RETIRED.get((one.kind, one.type))
    if retired:
        yield Finding(RETIRED, one.place, f"the {one.kind} {one.type} is being retired", retired)


def _instead(one: Declared) -> str:
    kinds = [kind for kind in KINDS if one.type in schema.known_types(kind)]
    if kinds:
        return f"{one.type} is known as {' and '.join(kinds)}: move it to {SECTIONS[kinds[0]]}"
    return "a type of the distribution that runs; `otelcol components` lists them"
