"""What the files of the pipeline say of each other: hosts, ports, paths, names of series, data sources."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.compose.composition import ROOT, composition, mounts, published, read

if TYPE_CHECKING:
    from collections.abc import Mapping

BACKENDS = ROOT / "collector/backends"
GRAFANA = BACKENDS / "grafana"
# host:port, with the default of a variable before it or not; no part of a path, a version or a time.
ADDRESS = re.compile(r"(?<![\w./@-])([a-z][a-z_-]*):(\d{2,5})(?![\w.])")


def listening(services: Mapping[str, dict[str, Any]], name: str) -> set[int]:
    """The ports that a service's arguments and variables tell it to open."""
    service = services[name]
    said = [*service.get("command", ()), *map(str, service.get("environment", {}).values())]
    if name == "collector":
        file = (ROOT / "collector/single.yaml").read_text()
        return {int(port) for port in re.findall(r"OTELEXT_COLLECTOR_\w*_PORT:-(\d+)", file)}
    return {int(port) for text in said for port in re.findall(r"(?:^|0\.0\.0\.0:|127\.0\.0\.1:|-port=)(\d+)$", text)}


def addresses(text: str) -> set[tuple[str, int]]:
    """Every host and port in the code of a file, loopback left out."""
    code = "\n".join(line for line in text.splitlines() if not line.strip().startswith("#"))
    found = {(host, int(port)) for host, port in ADDRESS.findall(code.replace("://", " ").replace(":-", " "))}
    return {(host, port) for host, port in found if host != "localhost"}


def test_the_way_addresses_are_found():
    text = "a: http://loki:3100/otlp\n- jaeger:4317\nendpoint: ${env:X:-prometheus:9090}\n# not:1234\nb: localhost:80\n"
    assert addresses(text) == {("loki", 3100), ("jaeger", 4317), ("prometheus", 9090)}


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("collector/single.yaml", {"jaeger", "prometheus", "loki"}),
        ("collector/backends/prometheus/prometheus.yml", {"alertmanager", "jaeger", "loki"}),
        ("collector/backends/jaeger/jaeger.yaml", {"prometheus"}),
        ("collector/backends/grafana/provisioning/datasources/otelext.yaml", {"prometheus", "jaeger", "loki"}),
    ],
)
def test_every_address_in_a_file_is_a_service_that_listens_there(services, file, expected):
    found = addresses((ROOT / file).read_text())
    assert {host for host, _ in found} == expected
    for host, port in found:
        assert port in listening(services, host), f"{host}:{port}"


def test_every_address_in_the_compose_file_is_a_service_that_listens_there(services):
    found = {
        address
        for service in services.values()
        for value in service.get("environment", {}).values()
        for address in addresses(str(value))
    }
    assert found == {("prometheus", 9090), ("collector", 4318)}
    for host, port in found:
        assert port in listening(services, host), f"{host}:{port}"


def test_what_is_published_listens_beyond_the_container(services):
    for name, service in services.items():
        for _, _, inside in published(service):
            assert inside in listening(services, name), f"{name}: {inside}"
            said = json.dumps([service.get("command", ()), service.get("environment", {})])
            assert f"127.0.0.1:{inside}" not in said, f"{name}: {inside}"


def test_health_checks_ask_a_port_that_is_open(services):
    for name, service in services.items():
        if "healthcheck" in service:
            (port,) = re.findall(r"http://127\.0\.0\.1:(\d+)", " ".join(service["healthcheck"]["test"]))
            assert int(port) in listening(services, name), name


def test_arguments_name_files_that_are_mounted(services):
    named = set()
    for name, service in services.items():
        places = {target: ROOT / source for source, target, _ in mounts(service) if source.startswith(".")}
        text = json.dumps([service.get("command", ()), service.get("environment", {})])
        for path in re.findall(r"/etc/[\w./-]+", text):
            named.add(name)
            (target,) = (target for target in places if path == target or path.startswith(f"{target}/"))
            assert (places[target] / path[len(target) :].lstrip("/")).exists(), f"{name}: {path}"
    assert named == {"collector", "jaeger", "prometheus", "loki", "alertmanager", "grafana"}


def test_every_folder_of_data_is_a_volume(services):
    for name, service in services.items():
        text = json.dumps([service.get("command", ()), service.get("environment", {})])
        writable = [target for _, target, can in mounts(service) if can] + service.get("tmpfs", [])
        # Grafana's folder is its image's default, the Collector's its file's.
        for path in re.findall(r"(?<=[= \":])/(?:prometheus|alertmanager|loki|var/lib)[\w./-]*", text):
            assert any(path == target or path.startswith(f"{target}/") for target in writable), f"{name}: {path}"
    assert "OTELEXT_COLLECTOR_STORAGE:-/var/lib/otelcol}" in (ROOT / "collector/single.yaml").read_text()
    assert "/var/lib/otelcol" in [target for _, target, _ in mounts(services["collector"])]


def test_everything_is_kept_for_thirty_days_or_as_long_as_one_variable_says():
    def kept(**variables: str) -> list[str]:
        services = composition(GRAFANA_PASSWORD="-", **variables)["services"]
        flags = "\n".join([*services["prometheus"]["command"], *services["loki"]["command"]])
        (metrics,) = re.findall(r"^--storage\.tsdb\.retention\.time=(.*)$", flags, re.MULTILINE)
        (logs,) = re.findall(r"^-store\.retention=(.*)$", flags, re.MULTILINE)
        return [metrics, logs, services["jaeger"]["environment"]["OTELEXT_JAEGER_RETENTION"]]

    assert kept() == ["720h"] * 3
    assert kept(TELEMETRY_RETENTION="48h") == ["48h"] * 3
    assert read(BACKENDS / "loki/loki.yaml")["compactor"]["retention_enabled"] is True


@pytest.mark.parametrize("store", ["badger", "memory"])
def test_both_stores_of_jaeger_have_the_name_that_its_pipeline_asks_for(store):
    services = composition(GRAFANA_PASSWORD="-", JAEGER_STORE=store)["services"]
    assert services["jaeger"]["command"][1] == f"--config=/etc/jaeger/{store}.yaml"
    jaeger, chosen = read(BACKENDS / "jaeger/jaeger.yaml"), read(BACKENDS / f"jaeger/{store}.yaml")
    ((name, backend),) = chosen["extensions"]["jaeger_storage"]["backends"].items()
    assert list(backend) == [store]
    assert jaeger["exporters"]["jaeger_storage_exporter"]["trace_storage"] == name
    assert jaeger["extensions"]["jaeger_query"]["storage"]["traces"] == name
    assert (
        jaeger["extensions"]["jaeger_query"]["storage"]["metrics"]
        in (jaeger["extensions"]["jaeger_storage"]["metric_backends"])
    )


def test_the_compose_file_sets_variables_that_jaeger_reads(services):
    files = "".join(path.read_text() for path in (BACKENDS / "jaeger").glob("*.yaml"))
    read_there = set(re.findall(r"\$\{env:(\w+):-", files))
    set_here = {name for name in services["jaeger"]["environment"] if name.startswith("OTELEXT_")}
    assert set_here <= read_there
    told = (BACKENDS / "README.md").read_text()
    assert all(f"`{name}`" in told for name in read_there)
    # These have no use in the compose file: the number of traces in memory, and a port that nothing there asks.
    assert read_there - set_here == {"OTELEXT_JAEGER_MAX_TRACES", "OTELEXT_JAEGER_QUERY_GRPC_ENDPOINT"}


def test_the_secret_is_where_alertmanager_looks(services):
    (receiver,) = read(BACKENDS / "alertmanager/alertmanager.yml")["receivers"]
    (secret,) = services["alertmanager"]["secrets"]
    assert [webhook["url_file"] for webhook in receiver["webhook_configs"]] == [f"/run/secrets/{secret}"]


# --- Grafana ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sources() -> dict[str, dict[str, Any]]:
    listed = read(GRAFANA / "provisioning/datasources/otelext.yaml")["datasources"]
    return {source["uid"]: source for source in listed}


def test_the_data_sources_have_fixed_ids(sources):
    kinds = {uid: source["type"] for uid, source in sources.items()}
    assert kinds == {"otelext-prometheus": "prometheus", "otelext-jaeger": "jaeger", "otelext-loki": "loki"}
    assert [uid for uid, source in sources.items() if source.get("isDefault")] == ["otelext-prometheus"]


def test_an_exemplar_leads_to_its_trace_a_trace_to_its_lines_and_a_line_to_its_trace(sources):
    (exemplar,) = sources["otelext-prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert (exemplar["name"], exemplar["datasourceUid"]) == ("trace_id", "otelext-jaeger")
    to_logs = sources["otelext-jaeger"]["jsonData"]["tracesToLogsV2"]
    assert to_logs["datasourceUid"] == "otelext-loki"
    assert 'trace_id="$${__trace.traceId}"' in to_logs["query"]
    assert to_logs["customQuery"] is True
    (field,) = sources["otelext-loki"]["jsonData"]["derivedFields"]
    assert (field["matcherType"], field["matcherRegex"]) == ("label", "trace_id")
    assert (field["url"], field["datasourceUid"]) == ("$${__value.raw}", "otelext-jaeger")


def test_no_dollar_of_a_query_is_taken_for_a_variable_of_grafanas_environment():
    for path in (GRAFANA / "provisioning").rglob("*.yaml"):
        code = "\n".join(line for line in path.read_text().splitlines() if not line.strip().startswith("#"))
        assert code.replace("$$", "").count("$") == 0, path


def test_jaeger_and_grafana_ask_for_span_metrics_as_prometheus_names_them(sources):
    settings = read(BACKENDS / "prometheus/prometheus.yml")["otlp"]
    assert settings["translation_strategy"] == "UnderscoreEscapingWithSuffixes"
    # Not read as YAML, which the file is only once the Collector has put its variables in.
    for file in ("single.yaml", "gateway.yaml"):
        assert re.search(
            r"\n  span_metrics:\n    histogram:\n      unit: ms\b", (ROOT / "collector" / file).read_text()
        )
    (backend,) = read(BACKENDS / "jaeger/jaeger.yaml")["extensions"]["jaeger_storage"]["metric_backends"].values()
    jaeger = backend["prometheus"]
    assert (jaeger["latency_unit"], jaeger["normalize_calls"], jaeger["normalize_duration"]) == ("ms", True, True)
    names = {f"{jaeger['metric_namespace']}_{name}" for name in ("calls_total", "duration_milliseconds_bucket")}
    to_metrics = sources["otelext-jaeger"]["jsonData"]["tracesToMetrics"]
    assert to_metrics["datasourceUid"] == "otelext-prometheus"
    asked = " ".join(query["query"] for query in to_metrics["queries"])
    assert set(re.findall(r"traces_\w+", asked)) == names


def test_dashboards_come_from_a_folder_that_is_mounted(services):
    ((source, target),) = ((source, target) for source, target, can in mounts(services["grafana"]) if not can)
    assert services["grafana"]["environment"]["GF_PATHS_PROVISIONING"] == f"{target}/provisioning"
    (provider,) = read(GRAFANA / "provisioning/dashboards/otelext.yaml")["providers"]
    assert provider["options"]["path"] == f"{target}/dashboards"
    assert (ROOT / source / "dashboards").is_dir()


def test_the_servers_as_processes_get_the_same_flags_variables_and_ports(services):
    script = (ROOT / "collector/processes.sh").read_text()
    for name in ("jaeger", "prometheus", "loki", "alertmanager", "collector"):
        (command,) = re.findall(rf"^start {name} (?:.*\\\n)*.*", script, re.MULTILINE)
        for argument in services[name]["command"]:
            assert argument.partition("=")[0] in command, argument
        for variable, value in services[name].get("environment", {}).items():
            given = value if variable == "GOMEMLIMIT" else ""
            # Jaeger's own metrics are on loopback by default.
            assert f"{variable}={given}" in command or variable == "OTELEXT_JAEGER_METRICS_HOST", variable
    example = (ROOT / ".env.example").read_text()
    for port, default in re.findall(r"^#(\w+_PORT)=(\d+)", example, re.MULTILINE):
        assert f" {port}={default}" in script or port in {"GRAFANA_PORT", "EXAMPLE_PORT"}
