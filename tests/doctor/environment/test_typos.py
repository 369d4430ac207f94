"""Names of variables that are nearly right."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext.distro.variables import variables
from otelext.doctor.environment.installed import installed
from otelext.doctor.environment.names import is_read_by_nothing, known
from otelext.doctor.environment.typos import distance, examine, nearest
from otelext.doctor.settings import VARIABLES
from tests.doctor.environment.looks import only, wrong

HERE = installed()
KNOWN = known(HERE)
READ = frozenset(name for name in KNOWN if not is_read_by_nothing(name))
OURS = sorted(name for name in KNOWN if name.startswith("OTELEXT_") and name not in VARIABLES)
LETTERS = string.ascii_uppercase + string.digits + "_"


@st.composite
def edited(draw: st.DrawFn, names: list[str]) -> tuple[str, str]:
    """A name, and the same with one letter inserted, removed, replaced or swapped with the next."""
    name = draw(st.sampled_from(names))
    at = draw(st.integers(0, len(name) - 1))
    letter = draw(st.sampled_from(LETTERS))
    edits = [
        name[:at] + letter + name[at:],
        name + letter,
        name[:at] + name[at + 1 :],
        name[:at] + letter + name[at + 1 :],
        name[:at] + name[at : at + 2][::-1] + name[at + 2 :],
    ]
    return name, draw(st.sampled_from(edits))


@given(edited(OURS))
def test_any_single_edit_of_a_name_of_ours_is_named_with_the_right_one(edit: tuple[str, str]) -> None:
    name, typed = edit
    found = list(examine({typed: "1"}, KNOWN))
    if typed in KNOWN:
        assert not found
    else:
        (finding,) = found
        assert finding.check == "environment.typo"
        assert typed in finding.summary
        assert f"{name} is probably meant" in finding.summary
        assert f"export {name}=" in (finding.next_step or "")


@given(edited(sorted(READ)))
def test_any_single_edit_of_a_known_name_is_named_with_one_as_near(edit: tuple[str, str]) -> None:
    name, typed = edit
    meant = nearest(typed, READ)
    if typed in KNOWN:
        return
    assert meant == name or (meant is not None and distance(typed, meant, 2) in {0, 1}) or typed[0] in "HM"


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_no_known_name_is_called_a_typo(name: str) -> None:
    assert not list(examine({name: "x"}, KNOWN))


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("OTEL_EXPORTER_OLTP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("OTEL_EXPORTER_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("OTEL_OTLP_EXPORTER_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("OTEL_TRACES_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"),
        ("OTEL_SERVICENAME", "OTEL_SERVICE_NAME"),
        ("OTEL_TRACE_EXPORTER", "OTEL_TRACES_EXPORTER"),
        ("OTEL_METRICS_EXPORT_INTERVAL", "OTEL_METRIC_EXPORT_INTERVAL"),
        ("OTEL_EXPERIMENTAL_CONFIG_FILE", "OTEL_CONFIG_FILE"),
        ("OTEL_EXPORTER_OTLP_SPAN_INSECURE", "OTEL_EXPORTER_OTLP_TRACES_INSECURE"),
        ("OTEL_PYTHON_FASTPI_EXCLUDED_URLS", "OTEL_PYTHON_FASTAPI_EXCLUDED_URLS"),
        ("OTLP_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("otel_service_name", "OTEL_SERVICE_NAME"),
        ("OTELTEXT_MODELS", "OTELEXT_MODELS"),
    ],
)
def test_what_people_write_is_understood(typed: str, meant: str) -> None:
    finding = only(**{typed: "x"})
    assert (finding.check, finding.level) == ("environment.typo", "warning")
    assert f"{meant} is probably meant" in finding.summary


def test_an_unknown_name_of_ours_is_named_with_all_that_there_are() -> None:
    finding = only(OTELEXT_EVERYTHING_ON="true")
    assert all(name in (finding.cause or "") for name in OURS)
    assert not any(name in (finding.cause or "") for name in VARIABLES)


def test_an_unknown_name_of_the_doctor_s_is_named_with_all_that_it_reads() -> None:
    finding = only(OTELEXT_DOCTOR_EVERYTHING_ON="true")
    assert all(name in (finding.cause or "") for name in VARIABLES)


@pytest.mark.parametrize(
    "name",
    [
        "OTELEXT_COLLECTOR_HOST",
        "OTELEXT_COLLECTOR_MEMORY_LIMIT_MIB",
        "OTELEXT_JAEGER_UI",
        "OTEL_JAVAAGENT_ENABLED",
        "OTEL_NODE_RESOURCE_DETECTORS",
        "OTEL_COLLECTOR_SERVICE_HOST",
        "OTEL_GATEWAY_PORT_4317_TCP_ADDR",
        "OTEL_EXPORTER_PORT",
        "OTELEXT_PORT_4318_TCP",
        "OTEL_RESOURCE_ATTRIBUTES_POD_NAME",
        "OTEL_POD_IP",
        "OTEL_PYTHON_MY_FRAMEWORK_EXCLUDED_URLS",
        "OTEL_INSTRUMENTATION_MICROMETER_ENABLED",
        "HOTEL_SERVICE_NAME",
        "HOME",
        "MODELS",
    ],
)
def test_what_others_read_is_no_typo(name: str) -> None:
    assert not wrong(**{name: "x"})


def test_the_names_of_an_installed_package_are_known(install, monkeypatch) -> None:
    place = install(
        "vendor-otel", entry_points="[opentelemetry_environment_variables]\nvendor = vendor_otel_variables\n"
    )
    assert [one.check for one in wrong(OTEL_SERVICE_NAMES="x")] == ["environment.typo"]
    (place / "vendor_otel_variables.py").write_text("OTEL_SERVICE_NAMES = 'OTEL_SERVICE_NAMES'\n")
    assert not wrong(OTEL_SERVICE_NAMES="x")


def test_a_package_whose_names_cannot_be_read_takes_nothing_with_it(install) -> None:
    install(
        "broken-otel",
        entry_points="[opentelemetry_environment_variables]\nbroken = broken_otel_variables\n",
        modules=["broken_otel_variables"],
    )
    assert [one.check for one in wrong(OTELEXT_MODEL="x")] == ["environment.typo"]


def test_the_value_of_a_misspelled_secret_is_not_shown() -> None:
    finding = only(OTEL_EXPORTER_OTLP_HEADER="authorization=Bearer%20hunter2")
    assert "OTEL_EXPORTER_OTLP_HEADERS" in finding.summary
    assert "hunter2" not in str(finding)
    assert (finding.next_step or "").endswith("export OTEL_EXPORTER_OTLP_HEADERS=...")


def test_every_variable_of_otelext_env_is_known() -> None:
    assert {variable.name for variable in variables()} <= KNOWN


@given(st.text(LETTERS, max_size=12), st.text(LETTERS, max_size=12))
def test_the_distance_is_symmetric_and_zero_for_equals_alone(left: str, right: str) -> None:
    there, back = distance(left, right, 30), distance(right, left, 30)
    assert there == back
    assert (there == 0) == (left == right)
    assert there is not None
    assert abs(len(left) - len(right)) <= there <= max(len(left), len(right))
    for most in range(4):
        assert distance(left, right, most) == (there if there <= most else None)
