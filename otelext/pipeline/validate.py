"""Applies all rules to configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otelext.pipeline.configuration import Configuration
from otelext.pipeline.rules import components, delivery, exposure, keys, order, pipelines, sockets, tiers
from otelext.pipeline.yaml_tree import overlaid, read

if TYPE_CHECKING:
    from collections.abc import Container, Mapping, Sequence

    from otelext.pipeline.finding import Finding, Rule

_OF_ONE: Final = (keys, pipelines, order, delivery, exposure, sockets)

RULES: Final[tuple[Rule, ...]] = tuple(rule for subject in (components, *_OF_ONE, tiers) for rule in subject.RULES)


def load(path: str, overlays: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> Configuration:
    """Read a configuration.

    Args:
        path: Of the file.
        overlays: Further files laid over it, as the Collector does with several `--config`.
        environ: Variables for `${env:NAME}`; none by default, so that the answer is the same everywhere.

    Raises:
        UnreadableError: A file is missing, no YAML or no mapping.
    """
    root = read(path, environ or {})
    for overlay in overlays:
        root = overlaid(root, read(overlay, environ or {}))
    return Configuration(root)


def validate(
    configurations: Sequence[Configuration], built_in: Container[tuple[str, str]] = frozenset()
) -> list[Finding]:
    """All findings, by file and line.

    Args:
        configurations: One, or the tiers of one pipeline, which are looked at together too.
        built_in: Kinds and types that the Collector that will run has, where contrib has them not.
    """
    found = [finding for config in configurations for subject in _OF_ONE for finding in subject.check(config)]
    found += (finding for config in configurations for finding in components.check(config, built_in))
    found += tiers.check(configurations)
    return sorted(set(found), key=lambda one: (one.place.file, one.place.line, one.rule.id, one.message))
