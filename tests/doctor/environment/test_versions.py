"""Versions that clash."""

from __future__ import annotations

import pytest

from otelext.doctor.environment import examine
from tests.doctor.environment.looks import PATH, fine, only, wrong


def test_what_is_installed_for_the_tests_fits() -> None:
    assert fine("environment.versions").startswith("otelext ")


def unmet() -> list[str]:
    return [one.summary for one in wrong() if one.check == "environment.requirement"]


def test_an_sdk_that_needs_another_api_is_an_error(install) -> None:
    install("opentelemetry-api", "1.44.0")
    said = unmet()
    assert any("opentelemetry-sdk 1.45" in one and "opentelemetry-api 1.44.0 is installed" in one for one in said)
    assert {one.level for one in wrong() if one.check == "environment.requirement"} == {"error"}


def test_a_package_that_a_requirement_says_enough_of_is_named_once(install) -> None:
    install("opentelemetry-exporter-prometheus", "0.60b0", requires=["opentelemetry-api~=1.12"])
    (said,) = unmet()
    assert said.startswith("otelext ")
    assert "needs opentelemetry-exporter-prometheus<1,>=0.66b0" in said
    assert said.endswith("opentelemetry-exporter-prometheus 0.60b0 is installed")
    assert "environment.release" not in {one.check for one in wrong()}


def test_a_stray_release_is_named_where_no_requirement_says_so(install) -> None:
    install("opentelemetry-instrumentation-requests", "0.50b0", requires=["opentelemetry-api~=1.12"])
    finding = only()
    assert (finding.check, finding.level) == ("environment.release", "warning")
    assert "opentelemetry-instrumentation-requests 0.50b0" in finding.summary
    assert "0.66b" in finding.summary


def test_packages_that_are_released_apart_are_no_matter(install) -> None:
    install("opentelemetry-instrumentation-openai", "0.62.4", requires=["opentelemetry-api<2,>=1.38.0"])
    install("opentelemetry-instrumentation-mistralai", "0.62.4", requires=["opentelemetry-api<2,>=1.38.0"])
    assert not [one for one in wrong() if one.check in {"environment.release", "environment.requirement"}]


def test_a_library_out_of_the_range_of_an_extra_is_named(install) -> None:
    install("structlog", "23.1.0")
    finding = only()
    assert finding.check == "environment.requirement"
    assert "needs structlog>=24.1, and structlog 23.1.0 is installed" in finding.summary
    assert finding.next_step == 'python -m pip install "structlog>=24.1"'


@pytest.mark.usefixtures("nothing_installed")
def test_extras_that_are_not_installed_are_no_matter_and_what_is_needed_is(install) -> None:
    install(
        "otelext",
        "0.1.0",
        requires=["opentelemetry-sdk>=1.45", "nvidia-ml-py>=12.560 ; extra == 'gpu'"],
    )
    found = [one for one in examine(PATH) if one.check == "environment.requirement"]
    assert [one.summary for one in found] == ["otelext 0.1.0 needs opentelemetry-sdk>=1.45, and it is not installed"]


def test_an_old_protobuf_is_named(install) -> None:
    install("protobuf", "4.25.0")
    assert any("opentelemetry-proto" in one and "protobuf 4.25.0 is installed" in one for one in unmet())


def test_grpc_older_than_the_generated_stubs_is_an_error(install) -> None:
    install("grpcio", "1.60.0")
    found = {one.check: one for one in wrong()}
    assert found["environment.grpc"].level == "error"
    assert "grpcio 1.60.0 is older than the 1." in found["environment.grpc"].summary


def test_one_package_in_two_folders_is_named_with_both(install) -> None:
    place = install("opentelemetry-util-http", "0.66b1")
    finding = only()
    assert (finding.check, finding.level) == ("environment.twice", "warning")
    assert str(place) in finding.summary
    assert "site-packages" in finding.summary


@pytest.mark.parametrize(("version", "level"), [("11.5.3", "error"), ("13.0.1", "warning")])
def test_the_deprecated_pynvml_is_named(install, version, level) -> None:
    install("pynvml", version)
    finding = only()
    assert (finding.check, finding.level) == ("environment.pynvml", level)
    assert finding.next_step is not None
    assert finding.next_step.startswith("python -m pip uninstall --yes pynvml")


def test_a_requirement_or_version_that_is_none_takes_nothing_with_it(install) -> None:
    install("opentelemetry-odd", "one", requires=["not a requirement at all !!"])
    install("opentelemetry-util-http", "also-none")
    assert "environment.twice" in {one.check for one in wrong()}
