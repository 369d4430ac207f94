"""The declarative configuration file."""

from __future__ import annotations

import sys

import pytest

from otelext.doctor.environment import examine
from tests.doctor.environment.looks import PATH, only, text, wrong

GOOD = "file_format: '1.0'\ntracer_provider:\n  processors:\n    - simple: {exporter: {console: {}}}\n"


def test_a_file_that_can_be_used_is_in_order_and_says_where_everything_goes(tmp_path) -> None:
    file = tmp_path / "otel.yaml"
    file.write_text(GOOD)
    found = examine({**PATH, "OTEL_CONFIG_FILE": str(file)})
    assert {one.level for one in found} == {"ok", "skipped"}
    (skipped,) = (one for one in found if one.level == "skipped")
    assert "OTEL_CONFIG_FILE says where everything goes" in skipped.summary


def test_variables_that_the_file_replaces_are_named(tmp_path) -> None:
    file = tmp_path / "otel.yaml"
    file.write_text(GOOD)
    finding = only(
        OTEL_CONFIG_FILE=str(file),
        OTEL_TRACES_EXPORTER="otlp",
        OTEL_TRACES_SAMPLER="always_on",
        OTEL_METRIC_EXPORT_INTERVAL="1000",
        OTEL_EXPORTER_OTLP_HEADERS="a=b",
        OTEL_PYTHON_DISTRO="otelext",
    )
    assert finding.check == "environment.unused"
    assert finding.summary == (
        "OTEL_METRIC_EXPORT_INTERVAL, OTEL_TRACES_EXPORTER, OTEL_TRACES_SAMPLER are not read, as OTEL_CONFIG_FILE is set"
    )


def test_a_file_that_is_not_there_is_an_error() -> None:
    finding = only(OTEL_CONFIG_FILE="/no/such/otel.yaml")
    assert (finding.check, finding.level) == ("environment.file", "error")
    assert "there is no such file" in finding.summary


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "Configuration file is empty"),
        ("a: [", "line 1, column 5"),
        ("file_format: '9.0'\n", "Unsupported file_format '9.0'"),
        ("file_format: '1.0'\ntracer_provider: hunter2hunter2\n", "what stands at tracer_provider"),
        (
            "file_format: '1.0'\ntracer_provider:\n  processors:\n    - batch: {exporter: {otlp_http: {headers: hunter2hunter2}}}\n",
            "what stands at tracer_provider -> processors -> 0",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_an_error_that_shows_the_place_and_no_value(
    tmp_path, caplog, content, said
) -> None:
    file = tmp_path / "otel.yaml"
    file.write_text(content)
    found = wrong(OTEL_CONFIG_FILE=str(file))
    assert [(one.check, one.level) for one in found] == [("environment.file", "error")]
    assert said in found[0].summary
    assert "hunter2" not in text(found)
    assert not caplog.records


@pytest.mark.usefixtures("nothing_installed")
def test_a_file_without_its_reader_is_an_error(tmp_path) -> None:
    assert "site-packages" not in "".join(sys.path)
    found = [one for one in examine({**PATH, "OTEL_CONFIG_FILE": "otel.yaml"}) if one.check == "environment.file"]
    assert [one.next_step for one in found] == ["python -m pip install opentelemetry-configuration"]
