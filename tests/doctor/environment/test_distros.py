"""Whose distro and configurator `opentelemetry-instrument` takes: judged by what it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points

import pytest
from opentelemetry.instrumentation.auto_instrumentation import _load
from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined]  # its module is not typed

from otelext.distro import OtelextDistro
from otelext.doctor.environment import examine
from otelext.doctor.environment.installed import installed
from otelext.doctor.environment.start import choice
from tests.doctor.environment.looks import PATH, fine, only, wrong

# As the wheels of version 0.66b1 have it, and those of vendors.
OPENTELEMETRY = """
[opentelemetry_distro]
distro = opentelemetry.distro:OpenTelemetryDistro

[opentelemetry_configurator]
configurator = opentelemetry.distro:OpenTelemetryConfigurator
"""
VENDOR = """
[opentelemetry_distro]
vendor_distro = vendor_otel:Distro

[opentelemetry_configurator]
vendor_configurator = vendor_otel:Configurator
"""
TAKE_OURS = "export OTEL_PYTHON_DISTRO=otelext OTEL_PYTHON_CONFIGURATOR=otelext"


def test_ours_alone_is_in_order() -> None:
    said = fine("environment.distro")
    assert "otelext's distro and configurator" in said
    assert "hooks before and after instrumentation: otelext" in said


@pytest.fixture
def competitor(install) -> None:
    install("opentelemetry-distro", "0.66b1", entry_points=OPENTELEMETRY)


@pytest.mark.usefixtures("competitor")
def test_a_distro_that_is_found_first_is_named_with_what_is_lost() -> None:
    distro, configurator = wrong()
    assert (distro.check, configurator.check) == ("environment.distro", "environment.configurator")
    assert "'distro' of opentelemetry-distro 0.66b1" in distro.summary
    assert "as it is found first" in distro.summary
    assert "otelext's defaults" in (distro.cause or "")
    assert "only otelext.force_flush() is complete" in (configurator.cause or "")
    assert distro.next_step == configurator.next_step == TAKE_OURS


@pytest.mark.usefixtures("competitor")
def test_what_is_told_to_do_helps() -> None:
    assert not wrong(OTEL_PYTHON_DISTRO="otelext", OTEL_PYTHON_CONFIGURATOR="otelext")


@pytest.mark.usefixtures("competitor")
def test_a_distro_that_is_asked_for_is_said_to_be() -> None:
    distro, _ = wrong(OTEL_PYTHON_DISTRO="distro", OTEL_PYTHON_CONFIGURATOR="configurator")
    assert "as OTEL_PYTHON_DISTRO=distro says" in distro.summary


@pytest.mark.usefixtures("competitor")
def test_the_defaults_of_the_distro_that_wins_are_what_is_looked_at() -> None:
    # opentelemetry-distro chooses gRPC, so that 4318 is the wrong port then and the right one with ours.
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}
    assert "environment.port" in {one.check for one in wrong(**environ)}
    ours = {"OTEL_PYTHON_DISTRO": "otelext", "OTEL_PYTHON_CONFIGURATOR": "otelext"}
    assert not wrong(**environ, **ours)


def test_a_distro_that_comes_second_by_luck_is_named(tmp_path, monkeypatch, install) -> None:
    place = install("opentelemetry-distro", "0.66b1", entry_points=OPENTELEMETRY)
    monkeypatch.setattr(sys, "path", [one for one in sys.path if one != str(place)] + [str(place)])
    found = wrong()
    assert [one.check for one in found] == ["environment.distro", "environment.configurator"]
    assert all("takes otelext's" in one.summary and "opentelemetry-distro 0.66b1" in one.summary for one in found)
    assert not wrong(OTEL_PYTHON_DISTRO="otelext", OTEL_PYTHON_CONFIGURATOR="otelext")


@pytest.mark.parametrize("kind", ["distro", "configurator"])
def test_a_name_that_nothing_has_is_an_error(kind) -> None:
    variable = f"OTEL_PYTHON_{kind.upper()}"
    finding = only(**{variable: "otelex"})
    assert (finding.check, finding.level) == (f"environment.{kind}", "error")
    assert finding.next_step == f"export {variable}=otelext"


@pytest.mark.parametrize("kind", ["distro", "configurator"])
def test_an_empty_name_is_one_that_nothing_has(kind) -> None:
    variable = f"OTEL_PYTHON_{kind.upper()}"
    finding = only(**{variable: ""})
    assert (finding.check, finding.level) == (f"environment.{kind}", "error")
    assert finding.next_step == f"unset {variable}"


def test_a_distro_whose_module_is_gone_is_an_error(install) -> None:
    install("vendor-otel", entry_points=VENDOR)
    found = wrong()
    assert [one.level for one in found] == ["error", "error"]
    assert "there is no module vendor_otel" in found[0].summary


def test_a_hook_whose_module_is_gone_is_an_error(install) -> None:
    install("vendor-otel", entry_points="[opentelemetry_pre_instrument]\nvendor = vendor_otel:hook\n")
    finding = only()
    assert (finding.check, finding.level) == ("environment.hooks", "error")


def test_hooks_of_others_are_listed(install) -> None:
    install("vendor-otel", entry_points="[opentelemetry_pre_instrument]\nvendor = vendor:h\n", modules=["vendor"])
    assert "hooks before: vendor, otelext; after: otelext" in fine("environment.distro")


@pytest.mark.usefixtures("nothing_installed")
def test_otelext_without_an_installation_is_an_error() -> None:
    (distro,) = (one for one in examine(PATH) if one.check == "environment.distro")
    assert distro.level == "error"
    assert "otelext is not installed where this Python looks" in distro.summary


@pytest.mark.parametrize("asked", [None, "", "otelext", "distro", "vendor_distro", "nobody"])
@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_the_winner_is_the_one_that_opentelemetry_instrument_loads(install, monkeypatch, asked, order) -> None:
    class Loaded(BaseDistro):  # type: ignore[misc]
        def _configure(self, **kwargs):
            pass

    contents = {"a": ("opentelemetry-distro", OPENTELEMETRY), "b": ("vendor-otel", VENDOR)}
    for folder in order:
        name, points = contents[folder]
        install(name, entry_points=points, folder=folder)
    if asked is None:
        monkeypatch.delenv("OTEL_PYTHON_DISTRO", raising=False)
    else:
        monkeypatch.setenv("OTEL_PYTHON_DISTRO", asked)
    loaded = []

    class Point:
        def __init__(self, point):
            self.name, self.value = point.name, point.value

        def load(self):
            loaded.append(self.value)
            return Loaded

    # What it asks is cached for the process, and its distros would be imported.
    monkeypatch.setattr(_load, "entry_points", lambda group: [Point(one) for one in entry_points(group=group)])
    _load._load_distro()
    environ = {} if asked is None else {"OTEL_PYTHON_DISTRO": asked}
    winner = choice("distro", environ, installed()).winner
    assert loaded == ([] if winner is None else [winner.value])


def test_a_service_started_so_has_the_distro_that_was_told(tmp_path) -> None:
    """The real thing: a process under `opentelemetry-instrument`'s own start."""
    program = (
        "import json, os; from opentelemetry.instrumentation.auto_instrumentation import _load;"
        "print(json.dumps(type(_load._load_distro()).__module__))"
    )
    answer = subprocess.run([sys.executable, "-c", program], env=PATH, capture_output=True, text=True, check=True)
    winner = choice("distro", {}, installed()).winner
    assert winner is not None
    assert json.loads(answer.stdout).startswith(winner.value.partition(":")[0])
    assert OtelextDistro.__module__.startswith("otelext.distro")
