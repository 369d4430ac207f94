"""Values that were meant for a shell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelext.doctor.environment.quoting import examine, meant
from tests.doctor.environment.looks import only, text, wrong


@pytest.mark.parametrize("value", ['"http://collector:4318"', "'http://collector:4318'", 'http://collector:4318"'])
def test_quotes_that_are_part_of_a_value_are_named_and_nothing_else_is(value) -> None:
    finding = only(OTEL_EXPORTER_OTLP_ENDPOINT=value)
    assert (finding.check, finding.level) == ("environment.quotes", "error")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 in the file" in (finding.next_step or "")


def test_quoted_values_of_ours_are_named() -> None:
    assert only(OTELEXT_QUEUE_SIZE='"10"').check == "environment.quotes"


def test_the_fault_inside_the_quotes_is_found_too() -> None:
    found = wrong(OTEL_EXPORTER_OTLP_ENDPOINT='"http://collector:4317"')
    assert [one.check for one in found] == ["environment.quotes", "environment.port"]


@pytest.mark.parametrize("reference", ["${TOKEN}", "$(TOKEN)", "$TOKEN", "${TOKEN:-none}"])
def test_a_reference_that_nobody_replaced_is_named(reference) -> None:
    finding = only(OTEL_EXPORTER_OTLP_HEADERS=f"authorization=Bearer%20{reference}")
    assert (finding.check, finding.level) == ("environment.reference", "error")
    assert "a reference to TOKEN as it stands" in finding.summary


def test_a_default_beside_a_reference_and_a_password_with_a_dollar_are_not_shown() -> None:
    assert "hunter2" not in str(only(OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20${TOKEN:-hunter2}"))
    assert not wrong(OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20x$HUNTER2")


@pytest.mark.parametrize("value", ["price=5$", "a=b$c", "x=$1"])
def test_a_dollar_alone_is_no_reference(value) -> None:
    assert not wrong(OTEL_RESOURCE_ATTRIBUTES=value)


@pytest.mark.parametrize("value", ["http://localhost:4318\n", "http://localhost:4318\r", " http://localhost:4318"])
def test_white_space_around_an_address_is_named(value) -> None:
    finding = only(OTEL_EXPORTER_OTLP_ENDPOINT=value)
    assert (finding.check, finding.level) == ("environment.space", "error")
    assert finding.next_step == "export OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:4318"


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_TRACES_EXPORTER", "otlp "), ("OTELEXT_QUEUE_SIZE", " 10 "), ("EDITOR", '"vi"')]
)
def test_white_space_that_is_stripped_and_variables_of_others_are_no_matter(name, value) -> None:
    assert not wrong(**{name: value})


def test_a_quoted_secret_is_not_shown() -> None:
    found = wrong(OTEL_EXPORTER_OTLP_HEADERS='"authorization=Bearer%20hunter2"')
    assert [one.check for one in found] == ["environment.quotes"]
    assert "hunter2" not in text(found)


NAMES = frozenset({"OTEL_SERVICE_NAME", "OTELEXT_MODELS", "OTEL_CONFIG_FILE"})
PLAIN = st.text(st.characters(exclude_characters="$'\"\0", exclude_categories=["Z", "C"]), min_size=1)


@given(st.sampled_from(sorted(NAMES)), PLAIN, st.sampled_from("'\""))
def test_a_value_is_looked_at_as_it_was_meant(name, value, quote) -> None:
    for typed in (f"{quote}{value}{quote}", f"{quote}{value}", f"{value}{quote}\n"):
        assert meant({name: typed, "EDITOR": typed}) == {name: value, "EDITOR": typed}
        assert [one.check for one in examine({name: typed, "EDITOR": typed}, NAMES)] == ["environment.quotes"]
    assert meant({name: value}) == {name: value}
    assert not list(examine({name: value}, NAMES))


def test_the_value_of_a_name_that_nobody_knows_is_not_shown() -> None:
    found = wrong(OTEL_EXPORTER_OTLP_HAEDERS='"authorization=hunter2"')
    assert {one.check for one in found} == {"environment.quotes", "environment.typo"}
    assert "hunter2" not in text(found)
