"""What else traces the service."""

from __future__ import annotations

import os

import pytest

from tests.doctor.environment.looks import fine, only, wrong


@pytest.mark.parametrize(
    ("package", "variable"),
    [
        ("traceloop-sdk", "TRACELOOP_API_KEY"),
        ("langfuse", "LANGFUSE_SECRET_KEY"),
        ("logfire", "LOGFIRE_TOKEN"),
        ("langsmith", "LANGSMITH_TRACING"),
        ("agentops", "AGENTOPS_API_KEY"),
        ("ddtrace", "DD_LLMOBS_ENABLED"),
        ("sentry-sdk", "SENTRY_DSN"),
    ],
)
def test_a_tracer_that_the_environment_is_set_up_for_is_named_without_its_key(install, package, variable) -> None:
    assert not wrong(**{variable: "hunter2hunter2"})
    install(package, "3.1")
    assert f"{package} 3.1 would trace too" in fine("environment.instrumentation")
    finding = only(**{variable: "hunter2hunter2"})
    assert (finding.check, finding.level) == ("environment.double", "warning")
    assert f"{package} 3.1 is installed and {variable} is set" in finding.summary
    assert "hunter2" not in str(finding)


@pytest.mark.parametrize("package", ["openlit", "mlflow", "arize-phoenix-otel"])
def test_a_tracer_that_only_code_starts_is_mentioned_and_no_more(install, package) -> None:
    install(package, "1.2.3")
    assert not wrong()
    assert f"{package} 1.2.3 would trace too" in fine("environment.instrumentation")


def test_a_tracer_that_is_turned_off_is_no_matter(install) -> None:
    install("langsmith")
    assert not wrong(LANGSMITH_TRACING="false", LANGCHAIN_TRACING_V2="0")


# Where the wheels have it, and where the command of each puts it.
@pytest.mark.parametrize(
    ("agent", "folder"),
    [
        ("ddtrace", "ddtrace/bootstrap"),
        ("ddtrace", "ddtrace/profiling/bootstrap"),
        ("newrelic", "newrelic/bootstrap"),
        ("elastic-apm", "elasticapm/instrumentation/wrapper"),
        ("openlit", "openlit/cli/bootstrap"),
    ],
)
def test_an_agent_on_the_path_is_named(tmp_path, agent, folder) -> None:
    place = tmp_path / "site-packages" / folder
    place.mkdir(parents=True)
    (place / "sitecustomize.py").write_text("raise RuntimeError\n")
    finding = only(PYTHONPATH=os.pathsep.join([str(place), "/srv/app"]))
    assert (finding.check, finding.level) == ("environment.double", "warning")
    assert f"the agent of {agent}" in finding.summary
    assert str(place) in finding.summary


def opentelemetrys(tmp_path) -> str:
    place = tmp_path / "opentelemetry" / "instrumentation" / "auto_instrumentation"
    place.mkdir(parents=True)
    (place / "sitecustomize.py").write_text("")
    return str(place)


def test_the_start_of_opentelemetry_instrument_is_no_matter(tmp_path) -> None:
    assert not wrong(PYTHONPATH=opentelemetrys(tmp_path))


def test_another_start_before_it_is_named(tmp_path) -> None:
    (tmp_path / "sitecustomize.py").write_text("")
    finding = only(PYTHONPATH=os.pathsep.join([str(tmp_path), opentelemetrys(tmp_path)]))
    assert finding.check == "environment.sitecustomize"
    assert str(tmp_path / "sitecustomize.py") in finding.summary


def test_another_start_behind_it_is_no_matter(tmp_path) -> None:
    (tmp_path / "sitecustomize.py").write_text("")
    assert not wrong(PYTHONPATH=os.pathsep.join([opentelemetrys(tmp_path), str(tmp_path)]))
