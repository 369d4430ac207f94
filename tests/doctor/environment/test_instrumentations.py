"""Instrumentations that skip themselves, that are left out, and that come twice."""

from __future__ import annotations

import pytest

from tests.doctor.environment.looks import fine, only, wrong

INSTRUMENTOR = "[opentelemetry_instrumentor]\n{name} = {module}:Instrumentor\n"


def test_sqlalchemy_too_new_for_its_instrumentation_is_named(install) -> None:
    install("SQLAlchemy", "2.1.0")
    found = {one.check: one for one in wrong()}
    skipped = found["environment.instrumentation"]
    assert "opentelemetry-instrumentation-sqlalchemy" in skipped.summary
    assert "skips itself: it takes sqlalchemy<2.1.0,>=1.0.0" in skipped.summary
    assert "sqlalchemy 2.1.0 is installed" in skipped.summary
    assert 'pip install "sqlalchemy<2.1.0,>=1.0.0"' in (skipped.next_step or "")
    assert "sqlalchemy<2.1,>=1.4" in found["environment.requirement"].summary


def test_one_of_several_libraries_that_does_not_fit_is_named(install) -> None:
    install("psycopg2", "2.0.0")
    install(
        "opentelemetry-instrumentation-psycopg2",
        "0.66b1",
        requires=[
            "psycopg2 >= 2.7.3.1 ; extra == 'instruments-any'",
            "psycopg2-binary >= 2.7.3.1 ; extra == 'instruments-any'",
        ],
        entry_points=INSTRUMENTOR.format(name="psycopg2", module="none"),
    )
    finding = only()
    assert "psycopg2 2.0.0 is installed" in finding.summary
    assert "psycopg2>=2.7.3.1 or psycopg2-binary>=2.7.3.1" in finding.summary


def test_a_library_that_is_not_there_is_no_matter(install) -> None:
    install(
        "opentelemetry-instrumentation-flask",
        "0.66b1",
        requires=["nosuchflask >= 1.0 ; extra == 'instruments'"],
        entry_points=INSTRUMENTOR.format(name="flask", module="none"),
    )
    assert not wrong()


# As the wheels have it: openllmetry's, openinference's and OpenTelemetry's own for one library.
OPENLLMETRY = ("opentelemetry-instrumentation-openai", "0.62.4", ["openai ; extra == 'instruments'"])
OPENINFERENCE = ("openinference-instrumentation-openai", "0.1.66", ["openai>=1.0 ; extra == 'instruments'"])


@pytest.mark.parametrize(("name", "version", "requires"), [OPENLLMETRY, OPENINFERENCE])
def test_two_instrumentations_of_one_library_are_named(install, name, version, requires) -> None:
    install(name, version, requires=requires, entry_points=INSTRUMENTOR.format(name="openai", module="none"))
    finding = only()
    assert (finding.check, finding.level) == ("environment.double", "warning")
    assert f"{name} {version}" in finding.summary
    assert "opentelemetry-instrumentation-genai-openai" in finding.summary
    assert "both instrument openai" in finding.summary
    assert "pip uninstall" in (finding.next_step or "")


def test_an_instrumentation_of_another_name_is_left_out_by_it(install) -> None:
    install(
        "vendor-openai",
        requires=["openai ; extra == 'instruments'"],
        entry_points=INSTRUMENTOR.format(name="vendor_openai", module="none"),
    )
    step = only().next_step or ""
    assert step.startswith("export OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=")
    assert not wrong(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS=step.partition("=")[2])


def test_two_that_are_both_left_out_are_no_matter(install) -> None:
    install(OPENLLMETRY[0], requires=OPENLLMETRY[2], entry_points=INSTRUMENTOR.format(name="openai", module="none"))
    assert not wrong(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="openai, threading")


def test_the_two_halves_of_aiohttp_are_no_matter(install) -> None:
    install("aiohttp", "3.12.0")
    for half in ("client", "server"):
        install(
            f"opentelemetry-instrumentation-aiohttp-{half}",
            "0.66b1",
            requires=["aiohttp ~= 3.0 ; extra == 'instruments'"],
            entry_points=INSTRUMENTOR.format(name=f"aiohttp-{half}", module="none"),
        )
    assert not wrong()


def test_a_name_that_leaves_nothing_out_is_named() -> None:
    finding = only(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="fast-api,threading,redis")
    assert "'fast-api'" in finding.summary
    assert "write fastapi in OTEL_PYTHON_DISABLED_INSTRUMENTATIONS" in (finding.next_step or "")


def test_those_that_run_are_listed() -> None:
    assert "fastapi" in fine("environment.instrumentation")
