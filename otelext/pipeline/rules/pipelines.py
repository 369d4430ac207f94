"""Pipelines: what they name, what they leave out, and whether each component takes their signal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelext.pipeline import schema
from otelext.pipeline.configuration import SECTIONS, SIGNALS
from otelext.pipeline.finding import Finding, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otelext.pipeline.configuration import Configuration, Pipeline, Use
    from otelext.pipeline.yaml_tree import Item, Place

UNDECLARED: Final = Rule(
    "undeclared",
    "error",
    "A component that is used and not declared",
    "The Collector does not start.",
)
UNUSED: Final = Rule(
    "unused",
    "warning",
    "A component that is declared and not used",
    "It does nothing: the Collector doesn't even make it, whatever its configuration says.",
)
SIGNAL: Final = Rule(
    "unsupported-signal",
    "error",
    "A component in a pipeline of a signal that it doesn't know",
    "The Collector does not start.",
)
CONNECTOR: Final = Rule(
    "connector-ends",
    "error",
    "A connector of which one end is missing",
    "A connector is an exporter in one pipeline and a receiver in another; the Collector does not start otherwise.",
)
EMPTY: Final = Rule(
    "incomplete-pipeline",
    "error",
    "A pipeline without receivers or exporters, or none at all",
    "The Collector does not start.",
)
TWICE: Final = Rule(
    "used-twice",
    "error",
    "A component twice in one list",
    "The Collector does not start.",
)
RULES: Final = (UNDECLARED, UNUSED, SIGNAL, CONNECTOR, EMPTY, TWICE)


def check(config: Configuration) -> Iterator[Finding]:
    """Look at each pipeline, then at what none uses."""
    if not config.pipelines and not config.unseen:
        place = config.root.place_of("service")
        yield Finding(
            EMPTY, place, "there are no pipelines", "service::pipelines with receivers and exporters for each signal"
        )
    for pipeline in config.pipelines:
        yield from _pipeline(config, pipeline)
    for use in config.extensions:
        if use.id not in config.declared["extension"] and not config.may_declare("extension"):
            yield _undeclared(config, "extension", use, "service::extensions")
    yield from _referred(config)
    yield from _connectors(config)
    running = {(one.kind, one.id) for one in config.running}
    for one in config.components:
        if (one.kind, one.id) not in running and one.kind not in config.unseen:
            where = "service::extensions" if one.kind == "extension" else "a pipeline"
            yield Finding(UNUSED, one.place, f"the {one} is used nowhere", f"name it in {where}, or remove it")


def _pipeline(config: Configuration, pipeline: Pipeline) -> Iterator[Finding]:
    if pipeline.signal not in SIGNALS:
        near = schema.closest(pipeline.signal, SIGNALS) or ", ".join(SIGNALS)
        yield Finding(SIGNAL, pipeline.place, f"the pipeline {pipeline.id} is of no signal", near)
        return
    for kind in ("receiver", "exporter"):
        if not getattr(pipeline, f"{kind}s") and kind not in pipeline.unseen:
            yield Finding(EMPTY, pipeline.place, f"the pipeline {pipeline.id} has no {kind}s", f"{kind}s: [...]")
    for kind in ("receiver", "processor", "exporter"):
        seen: set[str] = set()
        for use in getattr(pipeline, f"{kind}s"):
            if use.id in seen:
                yield Finding(TWICE, use.place, f"{use.id} is twice in the {kind}s of {pipeline.id}", "name it once")
            seen.add(use.id)
            if use.id in config.declared[kind]:
                yield from _supports(kind, use, pipeline)
            elif not _may_be_declared(config, kind, use):
                yield _undeclared(config, kind, use, f"the pipeline {pipeline.id}")


def _may_be_declared(config: Configuration, kind: str, use: Use) -> bool:
    if config.may_declare(kind):
        return True
    return kind != "processor" and (use.id in config.declared["connector"] or config.may_declare("connector"))


def _supports(kind: str, use: Use, pipeline: Pipeline) -> Iterator[Finding]:
    component = schema.component(kind, use.id.partition("/")[0])
    if component is not None and component.signals and pipeline.signal not in component.signals:
        yield Finding(
            SIGNAL,
            use.place,
            f"the {kind} {use.id} takes no {pipeline.signal}",
            f"move it to a pipeline of {' or '.join(sorted(component.signals))}",
        )


def _undeclared(config: Configuration, kind: str, use: Use, where: str) -> Finding:
    known = list(config.declared[kind]) + (
        list(config.declared["connector"]) if kind in {"receiver", "exporter"} else []
    )
    near = schema.closest(use.id, known)
    past = schema.gone(kind, use.id.partition("/")[0])
    if near:
        instead = f"{near}, if that is meant"
    elif past is not None and past.new is not None:
        instead = f"declare the {past.new[0]} {past.new[1]}, which does its work now"
    else:
        instead = f"declare it under {SECTIONS[kind]}"
    return Finding(UNDECLARED, use.place, f"{where} names the {kind} {use.id}, which is not declared", instead)


def _referred(config: Configuration) -> Iterator[Finding]:
    """Extensions that other components name: authenticators and storages."""
    if "extension" in config.unseen:
        return
    started = {use.id for use in config.extensions}
    for one in config.running:
        component = schema.component(one.kind, one.type)
        for path, value, place in _references(one.config, ()):
            known = component.at(path, one.config.plain) if component is not None else None
            if known is not None and known.kind not in {None, "id"}:
                continue  # a label or header of that name
            if value not in started:
                declared = value in config.declared["extension"]
                yield Finding(
                    UNDECLARED,
                    place,
                    f"the {one} names the extension {value} as its {path[-1]}, which the service does not start",
                    f"add {value} to service::extensions"
                    if declared
                    else f"declare {value} under extensions, and start it",
                )


def _references(item: Item, path: schema.Path) -> Iterator[tuple[schema.Path, str, Place]]:
    for key, child in item.items():
        if key in {"authenticator", "storage"} and isinstance(child.value, str) and "$" not in child.value:
            yield (*path, key), child.value, child.place
        elif isinstance(child.value, dict):
            yield from _references(child, (*path, key))
        for number, element in enumerate(child.elements()):
            yield from _references(element, (*path, key, number))


def _connectors(config: Configuration) -> Iterator[Finding]:
    for one in config.declared["connector"].values():
        sources = config.used_by("exporter", one.id)
        sinks = config.used_by("receiver", one.id)
        if bool(sources) != bool(sinks) and "connector" not in config.unseen:
            missing = "receiver" if sources else "exporter"
            yield Finding(
                CONNECTOR,
                one.place,
                f"no pipeline has the connector {one.id} as its {missing}",
                f"add it to the {missing}s of one",
            )
        component = schema.component("connector", one.type)
        if component is None or not component.pairs:
            continue
        taken, made = {source.signal for source in sources}, {sink.signal for sink in sinks}
        instead = f"from a pipeline of {', or from '.join(f'{a} to {b}' for a, b in sorted(component.pairs))}"
        for signal in sorted(taken) if made else ():
            if not any((signal, to) in component.pairs for to in made):
                message = f"the connector {one.id} makes no {' or '.join(sorted(made))} of {signal}"
                yield Finding(SIGNAL, one.place, message, instead)
        for signal in sorted(made) if taken else ():
            if not any((of, signal) in component.pairs for of in taken):
                message = f"the connector {one.id} makes no {signal} of {' or '.join(sorted(taken))}"
                yield Finding(SIGNAL, one.place, message, instead)
