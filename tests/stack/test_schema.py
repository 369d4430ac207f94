"""What is known of the Collector's components, against the components and the real Collector."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest
from ruamel.yaml import YAML

from collector.tools.schema import COMPONENTS, printed
from collector.tools.stack.toolchain import find_go
from otelext.pipeline import schema
from otelext.pipeline.components_json import read

if TYPE_CHECKING:
    from pathlib import Path

KINDS: Final = ("receiver", "processor", "exporter", "connector", "extension")
# The least that they start to be validated with.
LEAST: Final[dict[str, dict[str, Any]]] = {
    "exporter/otlp_grpc": {"endpoint": "localhost:4317"},
    "exporter/otlp_http": {"endpoint": "http://localhost:4318"},
    "receiver/file_log": {"include": ["/var/log/a"]},
    "receiver/host_metrics": {"scrapers": {"cpu": {}}},
}


@pytest.mark.timeout(1200)  # from nothing it compiles what the Collector doesn't have
def test_the_committed_file_is_what_the_components_say() -> None:
    assert printed(find_go()) == COMPONENTS.read_bytes(), "python3 -m collector.tools.schema writes it"


@pytest.fixture(scope="module")
def built(programs: dict[str, Path]) -> dict[str, set[str]]:
    """Names of the components that the Collector has, by kind."""
    listed = subprocess.run([programs["otelcol"], "components"], capture_output=True, text=True, check=True).stdout
    sections = YAML(typ="safe").load(listed)
    return {kind: {one["name"] for one in sections[f"{kind}s"]} for kind in KINDS}


def test_every_component_of_the_collector_is_known_with_its_keys(built: dict[str, set[str]]) -> None:
    for kind, names in built.items():
        assert names
        for name in names:
            component = schema.component(kind, name)
            assert component is not None
            assert (component.type, component.keys is None) == (name, False)
            assert component.source.endswith(" v0.152.0")


def test_the_collector_takes_every_alias(built: dict[str, set[str]], programs: dict[str, Path], tmp_path: Path) -> None:
    aliases = {
        (kind, alias, name) for kind in KINDS for name in built[kind] for alias in read().present[kind, name].aliases
    }
    assert {alias for _, alias, _ in aliases} == {"otlp", "otlphttp", "filelog", "hostmetrics", "spanmetrics"}
    for kind, alias, name in aliases:
        said = _validate(programs["otelcol"], tmp_path, kind, alias, LEAST.get(f"{kind}/{name}", {}))
        assert said == "", alias


def test_the_collector_names_the_same_exporter_in_place_of_logging(programs: dict[str, Path], tmp_path: Path) -> None:
    said = _validate(programs["otelcol"], tmp_path, "exporter", "logging", {})
    assert f"use the {schema.renamed('exporter', 'logging')} exporter instead" in said


@pytest.mark.parametrize(
    ("kind", "type_", "config", "refused"),
    [
        ("exporter", "otlp_grpc", {**LEAST["exporter/otlp_grpc"], "tls": {"insecur": True}}, "insecur"),
        ("receiver", "host_metrics", {"scrapers": {"cpu": {}, "dsk": {}}}, "dsk"),
        ("receiver", "host_metrics", {"scrapers": {"cpu": {}}, "colection_interval": "1s"}, ""),
        ("receiver", "file_log", {"include": ["a"], "operators": [{"type": "json_parser", "parse_form": "body"}]}, ""),
    ],
)  # fmt: skip
def test_the_collector_refuses_unknown_keys_and_no_ignored_ones(
    kind: str, type_: str, config: dict[str, Any], refused: str, programs: dict[str, Path], tmp_path: Path
) -> None:
    component = schema.component(kind, type_)
    assert component is not None
    said = _validate(programs["otelcol"], tmp_path, kind, type_, config)
    unknown, ignored = schema.unknown_keys(component, config), schema.ignored_keys(component, config)
    if refused:
        assert re.search(rf"(invalid keys|invalid scraper key): {refused}", said)
        assert [path[-1] for path in unknown] == [refused]
    else:
        assert (said, unknown) == ("", [])
        assert len(ignored) == 1


def _validate(otelcol: Path, folder: Path, kind: str, type_: str, config: dict[str, Any]) -> str:
    """What the Collector says against a configuration with this component in it, nothing where it takes it."""
    whole: dict[str, Any] = {
        "receivers": {"otlp": {"protocols": {"grpc": None}}},
        "exporters": {"debug": None},
        "service": {"pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["debug"]}}},
    }
    whole.setdefault(f"{kind}s", {})[type_] = config
    file = folder / "config.yaml"
    YAML(typ="safe").dump(whole, file)
    ended = subprocess.run([otelcol, "validate", f"--config={file}"], capture_output=True, text=True, check=False)
    return ended.stderr if ended.returncode else ""
