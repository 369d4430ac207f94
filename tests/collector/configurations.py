"""The Collector's configuration files as data, with the defaults of their variables filled in."""

from __future__ import annotations

import pathlib
import re
from typing import Any

from ruamel.yaml import YAML

FOLDER = pathlib.Path(__file__).parents[2] / "collector"
CONFIGURATIONS = ("single", "agent", "gateway")
OVERLAYS = ("bearer", "mtls", "bearer_to_gateways", "mtls_to_gateways")
ALTERNATIVES = ("prometheus_scrape", "elasticsearch", "kafka_producer", "kafka_consumer")
# Components of the contrib distribution whose modules can't be had at this version; a test says that the rest is built.
NOT_BUILT = {("exporters", "elasticsearch"), ("receivers", "kafka")}
VARIABLE = re.compile(r"\$\{env:(\w+)(?::-([^}]*))?\}")

KINDS = ("receivers", "processors", "exporters", "connectors", "extensions")

Section = dict[str, Any]


def path_of(name: str) -> pathlib.Path:
    return FOLDER / file_of(name)


def file_of(name: str) -> str:
    """Its path below `collector/`."""
    if name in CONFIGURATIONS:
        return f"{name}.yaml"
    return f"{'alternatives' if name in ALTERNATIVES else 'access'}/{name}.yaml"


def read(name: str) -> Section:
    """A file as it stands."""
    content: Section = YAML(typ="safe").load(path_of(name))
    return content


def with_defaults(value: Any) -> Any:
    """The value as the Collector sees it where no variable is set."""
    if isinstance(value, dict):
        return {key: with_defaults(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_defaults(item) for item in value]
    return VARIABLE.sub(lambda found: found[2] or "", value) if isinstance(value, str) else value


def variables(name: str) -> dict[str, str | None]:
    """The variables of a file, with their defaults; a default that says "is not set" is none."""
    found: dict[str, str | None] = {}
    for variable, default in VARIABLE.findall(path_of(name).read_text()):
        assert found.setdefault(variable, default) == default, f"{variable} has two defaults"
    return {key: None if default == f"{key} is not set" else default for key, default in found.items()}


def pipelines(configuration: Section) -> dict[str, Section]:
    found: dict[str, Section] = configuration["service"]["pipelines"]
    return found


def used(configuration: Section, kind: str) -> set[str]:
    """The components of a kind that stand in a pipeline, or among the service's extensions."""
    service = configuration["service"]
    if kind == "extensions":
        return set(service["extensions"])
    connectors = configuration.get("connectors", {})
    ends = {"connectors": ("receivers", "exporters")}.get(kind, (kind,))
    names = {name for pipeline in service["pipelines"].values() for end in ends for name in pipeline[end]}
    return names & set(connectors) if kind == "connectors" else names - set(connectors)
