"""docker-compose.otel.yml by itself: valid, complete, pinned, and no more open than it has to be."""

from __future__ import annotations

import copy
import json
import re
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator  # type: ignore[import-untyped]

from collector.tools.stack.servers import TOOLS
from tests.compose.composition import (
    COMPOSE_FILE,
    ROOT,
    VARIABLE,
    Unset,
    composition,
    dependencies,
    mounts,
    published,
    read,
)

SPECIFICATION = Draft7Validator(json.loads((Path(__file__).parent / "compose-spec.json").read_text()))
IMAGES = {
    "otel/opentelemetry-collector-contrib": "collector",
    "jaegertracing/jaeger": "jaeger",
    "prom/prometheus": "prometheus",
    "grafana/loki": "loki",
    "prom/alertmanager": "alertmanager",
}


def faults(document: dict[str, Any]) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in SPECIFICATION.iter_errors(document)]


def test_it_follows_the_compose_specification(whole):
    assert faults(whole) == []


@pytest.mark.parametrize(
    ("service", "key", "value"),
    [
        ("collector", "depend_on", {}),
        ("collector", "ports", "4317:4317"),
        ("jaeger", "healthcheck", {"tests": []}),
        ("grafana", "depends_on", {"loki": {"condition": "healthy"}}),
        ("loki", "read_only", {"yes": True}),
    ],
)
def test_the_specification_would_find_a_mistake(whole, service, key, value):
    broken = copy.deepcopy(whole)
    broken["services"][service][key] = value
    assert faults(broken) != []


# --- variables --------------------------------------------------------------------------------------------------------


def variables() -> dict[str, tuple[str, str]]:
    """Each variable's kind and text; comments are none of Compose's business."""
    code = "\n".join(line.split(" #")[0] for line in COMPOSE_FILE.read_text().splitlines() if line.strip()[:1] != "#")
    return {found["name"]: (found["kind"], found["text"]) for found in VARIABLE.finditer(code) if found["name"]}


def test_a_password_is_all_that_has_to_be_given():
    assert [name for name, (kind, _) in variables().items() if kind == "?"] == ["GRAFANA_PASSWORD"]
    with pytest.raises(Unset, match="give Grafana's user admin a password"):
        composition()
    with pytest.raises(Unset, match="GRAFANA_PASSWORD"):
        composition(GRAFANA_PASSWORD="")


def test_the_example_environment_names_every_variable_with_its_default():
    lines = re.findall(r"^#?([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    named = {name: default for name, default in lines if name != "ALERT_WEBHOOK_URL_FILE"}
    expected = {name: text if kind == "-" else "" for name, (kind, text) in variables().items()}
    assert expected.pop("ALERT_WEBHOOK_URL_FILE") == "/dev/null"
    assert named == expected


def test_no_secret_has_a_default(services):
    for name, service in services.items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|TOKEN|SECRET|API_?KEY|HEADERS", variable):
                assert value == "not a default", f"{name}: {variable}"
    assert not re.search(r"(?i)(password|token|secret)\w*:-", COMPOSE_FILE.read_text())


# --- files and volumes ------------------------------------------------------------------------------------------------


def test_every_mounted_file_is_in_the_checkout_and_can_not_be_written(services):
    from_checkout = 0
    for name, service in services.items():
        for source, target, writable in mounts(service):
            if source.startswith("."):
                from_checkout += 1
                assert (ROOT / source).exists(), f"{name}: {source}"
                assert not writable, f"{name}: {target}"
    assert from_checkout >= len(IMAGES) + 1


def test_every_volume_and_secret_is_declared_and_used(whole, services):
    used = {source for service in services.values() for source, _, _ in mounts(service) if source[0] not in "./"}
    assert used == set(whole["volumes"])
    assert {secret for service in services.values() for secret in service.get("secrets", ())} == set(whole["secrets"])


def test_new_volumes_belong_to_their_service(services):
    """Docker gives a new volume the owner of the image's folder, else root; `storage` changes that."""
    of_the_image = {"/prometheus", "/alertmanager", "/loki", "/var/lib/grafana", "/var/lib/document_vlm"}
    owner, *changed = services["storage"]["command"]
    targets = {source: target for source, target, _ in mounts(services["storage"])}
    assert sorted(changed) == sorted(targets.values())
    for name, service in services.items():
        for source, target, _ in mounts(service):
            if source in targets and name != "storage":
                assert (target, service["user"]) == (targets[source], owner)
                assert dependencies(service)["storage"] == "service_completed_successfully"
            elif not source.startswith(".") and name != "storage":
                assert target in of_the_image


def test_the_example_is_built_from_files_that_exist(services):
    build = services["example"]["build"]
    dockerfile = (ROOT / build["context"] / build["dockerfile"]).read_text()
    ignored = (ROOT / f"{build['dockerfile']}.dockerignore").read_text().splitlines()
    copied = [source for line in re.findall(r"^COPY (.+) \S+$", dockerfile, re.MULTILINE) for source in line.split()]
    assert sorted(f"!{source.rstrip('/')}" for source in copied) == sorted(line for line in ignored if line[0] == "!")
    assert all((ROOT / source).exists() for source in copied)
    assert f"USER {services['example']['user']}" in dockerfile


# --- images -----------------------------------------------------------------------------------------------------------


def test_every_image_is_pinned_to_a_release(services):
    for name, service in services.items():
        if "build" not in service:
            assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d+\.\d+", service["image"]), name
    base = (ROOT / services["example"]["build"]["dockerfile"]).read_text()
    assert re.search(r"^FROM python:\d+\.\d+\.\d+-slim-\w+$", base, re.MULTILINE)


def test_images_are_the_versions_that_the_stack_tests_build(services):
    built = {tool.name: tool.version for tool in TOOLS}
    pinned = dict(service["image"].split(":") for service in services.values() if "image" in service)
    assert set(pinned) == {*IMAGES, "grafana/grafana"}
    assert {image: tag.removeprefix("v") for image, tag in pinned.items() if image in IMAGES} == {
        image: built[tool] for image, tool in IMAGES.items()
    }


@pytest.mark.parametrize(
    ("tool", "module", "release"),
    [
        # Prometheus 3.Y.Z is module v0.(300 + Y).Z; Jaeger tags the same commit v2.Y.Z and v1.(63 + Y).Z.
        ("prometheus", "github.com/prometheus/prometheus", lambda y, z: f"v0.{300 + y}.{z}"),
        ("jaeger", "github.com/jaegertracing/jaeger", lambda y, z: f"v1.{63 + y}.{z}"),
        ("loki", "github.com/grafana/loki/v3", lambda y, z: f"v3.{y}.{z}"),
        ("alertmanager", "github.com/prometheus/alertmanager", lambda y, z: f"v0.{y}.{z}"),
    ],
)
def test_what_is_built_is_that_release(tool, module, release):
    (version,) = (tool_.version for tool_ in TOOLS if tool_.name == tool)
    _, y, z = map(int, version.split("."))
    required = (ROOT / f"collector/tools/{tool}/go.mod").read_text()
    assert re.search(
        rf"^(?:require)?\s+{re.escape(module)} {re.escape(release(y, z))}(?: //.*)?$", required, re.MULTILINE
    )


def test_the_collector_is_built_of_that_release():
    (version,) = (tool.version for tool in TOOLS if tool.name == "collector")
    builder = read(ROOT / "collector/builder.yaml")
    parts = [entry["gomod"].split() for kind in ("receivers", "processors", "exporters") for entry in builder[kind]]
    assert {found for _, found in parts} == {f"v{version}"}


# --- what is open -----------------------------------------------------------------------------------------------------


def test_every_port_is_published_on_loopback_alone(services):
    taken = [port for name in services for port in published(services[name]) if name != "example-nvidia"]
    assert taken
    assert {address for address, _, _ in taken} == {"127.0.0.1"}
    assert len({outside for _, outside, _ in taken}) == len(taken)


def test_no_container_may_write_its_image_gain_privileges_or_run_as_root(services):
    lines = COMPOSE_FILE.read_text()
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service.keys() & {"privileged", "devices", "pid", "ipc"}, name
        if service["user"].startswith("0:"):
            assert re.search(rf'^    user: "{service["user"]}" # \w', lines, re.MULTILINE), (
                f"{name}: no reason is given"
            )
    assert [name for name, service in services.items() if service["user"].startswith("0:")] == ["storage"]
    assert [name for name, service in services.items() if "cap_add" in service] == ["storage"]


def test_memory_and_logs_are_bounded(services):
    for name, service in services.items():
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name
        assert service["logging"]["options"]["max-size"], name


def test_the_collectors_own_limit_is_below_its_containers(services):
    defaults = (ROOT / "collector/single.yaml").read_text()
    limit = int(re.findall(r"OTELEXT_COLLECTOR_MEMORY_LIMIT_MIB:-(\d+)", defaults)[0])
    collector = services["collector"]
    assert limit < int(collector["environment"]["GOMEMLIMIT"].removesuffix("MiB"))
    assert int(collector["environment"]["GOMEMLIMIT"].removesuffix("MiB")) < int(
        collector["mem_limit"].removesuffix("m")
    )


# --- start ------------------------------------------------------------------------------------------------------------


def test_the_order_of_the_start_has_no_circle(services):
    order = list(TopologicalSorter({name: dependencies(service) for name, service in services.items()}).static_order())
    assert set(order) == set(services)
    assert order.index("storage") < order.index("jaeger") < order.index("collector") < order.index("example")


def test_waiting_is_for_something_that_can_happen(services):
    for name, service in services.items():
        for other, condition in dependencies(service).items():
            if condition == "service_healthy":
                assert "healthcheck" in services[other], f"{name} waits for {other}"
            if condition == "service_completed_successfully":
                assert services[other]["restart"] == "no", f"{name} waits for {other}"
    assert [name for name, service in services.items() if "healthcheck" not in service] == ["storage", "collector"]


def test_a_service_without_a_profile_needs_none_that_has_one(services):
    for name, service in services.items():
        for other in dependencies(service):
            assert "profiles" not in services[other], f"{name} needs {other}"
    assert {name: service["profiles"] for name, service in services.items() if "profiles" in service} == {
        "example": ["example"],
        "example-nvidia": ["nvidia"],
    }


def test_the_nvidia_profile_asks_for_every_gpu(services):
    (devices,) = services["example-nvidia"]["deploy"]["resources"]["reservations"]["devices"]
    assert devices == {"driver": "nvidia", "count": "all", "capabilities": ["gpu", "compute", "utility"]}
    unlike = {"profiles", "deploy"}
    assert {key: value for key, value in services["example-nvidia"].items() if key not in unlike} == {
        key: value for key, value in services["example"].items() if key not in unlike
    }
