"""What holds for each of the Collector's configurations, whatever it is for."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
from ruamel.yaml import YAML

from collector.tools.stack.cache import NotBuilt, binaries
from collector.tools.stack.toolchain import NoGo
from otelext.pipeline.variables import MEANINGS

from .configurations import (
    ALTERNATIVES,
    CONFIGURATIONS,
    FOLDER,
    KINDS,
    NOT_BUILT,
    OVERLAYS,
    file_of,
    path_of,
    pipelines,
    read,
    used,
    variables,
    with_defaults,
)

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator
    from typing import Any

MIB = 2**20


@pytest.fixture(params=CONFIGURATIONS)
def configuration(request: pytest.FixtureRequest) -> dict[str, Any]:
    loaded: dict[str, Any] = with_defaults(read(request.param))
    return loaded


@pytest.fixture(scope="session")
def otelcol() -> str:
    try:
        return str(binaries()["otelcol"])
    except (NotBuilt, NoGo) as error:
        pytest.skip(str(error))


COMBINATIONS = [
    (name, overlay)
    for name in CONFIGURATIONS
    for overlay in ("", *OVERLAYS)
    if name == "agent" or not overlay.endswith("to_gateways")
] + [("single", "prometheus_scrape"), ("agent", "kafka_producer")]


@pytest.mark.parametrize(("name", "overlay"), COMBINATIONS)
def test_the_collector_takes_it(name: str, overlay: str, otelcol: str, tmp_path: pathlib.Path) -> None:
    env = {
        "OTELEXT_COLLECTOR_ALLOWED_ATTRIBUTES": str(FOLDER / "allowed_attributes.yaml"),
        "OTELEXT_COLLECTOR_STORAGE": str(tmp_path),
    }
    files = [f"--config={path_of(part)}" for part in (name, overlay) if part]
    done = subprocess.run([otelcol, "validate", *files], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_memory_limiter_stands_first_in_every_pipeline(configuration: dict[str, Any]) -> None:
    for name, pipeline in pipelines(configuration).items():
        assert pipeline["processors"][0] == "memory_limiter", name


def test_nothing_is_declared_and_unused_or_used_and_undeclared(configuration: dict[str, Any]) -> None:
    for kind in KINDS:
        assert set(configuration.get(kind, {})) == used(configuration, kind), kind


def test_every_exporter_retries_without_end_from_a_queue_on_disk(configuration: dict[str, Any]) -> None:
    for name, exporter in configuration["exporters"].items():
        queue = exporter["sending_queue"]
        assert queue["storage"] == "file_storage", name
        assert queue["sizer"] == "bytes", name
        assert queue["batch"]["max_size"] == 0, name  # what is above a limit would be dropped
        assert exporter["retry_on_failure"]["enabled"], name
        assert exporter["retry_on_failure"]["max_elapsed_time"] == "0s", name
    assert configuration["extensions"]["file_storage"]["fsync"] is True


def test_whoever_receives_takes_the_largest_batch() -> None:
    def received(name: str) -> int:
        protocols = read(name)["receivers"]["otlp"]["protocols"]
        grpc: int = protocols["grpc"]["max_recv_msg_size_mib"] * MIB
        assert grpc >= protocols["http"]["max_request_body_size"]
        return grpc

    def sent(name: str) -> int:
        exporters = with_defaults(read(name))["exporters"].values()
        least: int = max(exporter["sending_queue"]["batch"]["min_size"] for exporter in exporters)
        return received(name) + least

    backends = FOLDER / "backends"
    yaml = YAML(typ="safe")
    jaeger = yaml.load(backends / "jaeger/jaeger.yaml")["receivers"]["otlp"]["protocols"]["grpc"]
    loki = yaml.load(backends / "loki/loki.yaml")["server"]
    taken = [jaeger["max_recv_msg_size_mib"] * MIB, loki["grpc_server_max_recv_msg_size"]]
    assert sent("agent") < received("gateway")
    assert max(sent("single"), sent("gateway")) < min(taken)


def test_samples_leave_in_their_order(configuration: dict[str, Any]) -> None:
    for name, pipeline in pipelines(configuration).items():
        for exporter in pipeline["exporters"] if name.startswith("metrics") else ():
            assert configuration["exporters"][exporter]["sending_queue"]["num_consumers"] == 1


def test_it_listens_on_loopback_unless_told_otherwise(configuration: dict[str, Any]) -> None:
    listening = [endpoint for kind in ("receivers", "extensions") for endpoint in endpoints(configuration[kind])]
    assert len(listening) == 4  # gRPC, HTTP, the Collector's own telemetry, health
    assert {endpoint.rpartition(":")[0] for endpoint in listening} == {"127.0.0.1"}


def endpoints(section: Any) -> Iterator[str]:
    if isinstance(section, dict):
        for key, value in section.items():
            if key == "endpoint":
                yield value
            yield from endpoints(value)


def test_its_own_telemetry_comes_in_on_loopback_whatever_the_host() -> None:
    for name in CONFIGURATIONS:
        own = read(name)["receivers"]["otlp/collector"]["protocols"]["grpc"]["endpoint"]
        assert own.startswith("127.0.0.1:"), name
        assert read(name)["service"]["telemetry"]["metrics"]["readers"][0]["periodic"]["exporter"]["otlp"][
            "endpoint"
        ] == (f"http://{own}"), name


def test_it_uses_no_component_on_its_way_out(configuration: dict[str, Any]) -> None:
    types = {name.partition("/")[0] for kind in KINDS for name in configuration.get(kind, {})}
    assert not types & {"batch", "logging", "loki", "otlp_exporter", "otlphttp", "spanmetrics", "filelog"}


def test_no_credential_has_a_default() -> None:
    for name in (*CONFIGURATIONS, *OVERLAYS, *ALTERNATIVES):
        for variable, default in variables(name).items():
            if re.search("TOKEN|TLS|AUTH$|PASSWORD|SECRET|KEY", variable):
                assert not default, variable


def test_the_readme_names_every_variable_its_files_and_its_default() -> None:
    named = {
        row[0]: (row[1], row[2])
        for row in re.findall(r"^\| `(OTELEXT_COLLECTOR_\w+)` \| (.+?) \| (.*?) ?\| .+ \|$", readme(), re.MULTILINE)
    }
    real: dict[str, tuple[list[str], str | None]] = {}
    of_tiers = {variable for name in CONFIGURATIONS for variable in variables(name)}
    for name in (*CONFIGURATIONS, *OVERLAYS, *ALTERNATIVES):
        for variable, default in variables(name).items():
            if name in ALTERNATIVES and variable in of_tiers:
                continue  # what replaces a tier's backend takes its variables, and has an address of its own
            files = real.setdefault(variable, ([], default))[0]
            files.append(name if name in CONFIGURATIONS else f"`{file_of(name)}`")
            assert real[variable][1] == default, f"{variable} has two defaults"
    assert named == {
        variable: (
            "all" if files == [*CONFIGURATIONS] else ", ".join(files),
            "none" if default is None else f"`{default}`" if default else "",
        )
        for variable, (files, default) in real.items()
    }


def test_the_readme_and_what_render_prints_say_the_same_of_a_variable() -> None:
    rows = re.findall(r"^\| `(OTELEXT_COLLECTOR_\w+)` \|.*\| (.+) \|$", readme(), re.MULTILINE)
    assert dict(rows) == MEANINGS
    assert [name for name, _ in rows] == list(MEANINGS)


def readme() -> str:
    return (FOLDER / "README.md").read_text()


def test_the_readme_names_every_file() -> None:
    files = [path.relative_to(FOLDER) for path in (*FOLDER.glob("*.yaml"), *FOLDER.glob("a*/*.yaml"))]
    assert {str(path) for path in files} >= {file_of(name) for name in (*OVERLAYS, *ALTERNATIVES)}
    assert [str(path) for path in files if f"`{path}`" not in readme()] == []


def test_the_collector_is_built_of_what_is_used() -> None:
    modules = YAML(typ="safe").load(FOLDER / "builder.yaml")
    files = [with_defaults(read(name)) for name in (*CONFIGURATIONS, *OVERLAYS, *ALTERNATIVES)]
    more = {"exporters": {"debug"}}  # for looking at what passes
    for kind in KINDS:
        suffix = kind.removesuffix("s")
        built = {
            entry["gomod"].split()[0].rpartition("/")[2].removesuffix(suffix).removesuffix("storage")
            for entry in modules[kind]
        }
        named = {name for content in files for name in content.get(kind, {}) if (kind, name) not in NOT_BUILT}
        assert built == {plain(name) for name in named} | more.get(kind, set()), kind
        assert not built & {plain(name) for of, name in NOT_BUILT if of == kind}


def plain(name: str) -> str:
    """A component's type as its module is called."""
    changed = {"otlp_grpc": "otlp", "file_storage": "file"}
    kind = name.partition("/")[0]
    return changed.get(kind, kind).replace("_", "")
