"""Headers of exports: judged by the SDK's own parser."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.util.re import parse_env_headers

from otelext.doctor.environment.headers import examine
from tests.doctor.environment.looks import only, text, wrong
from tests.doctor.environment.test_exporters import made

HEADERS = "OTEL_EXPORTER_OTLP_HEADERS"
SECRET = "hunter2hunter2"


@pytest.mark.parametrize(
    "value",
    [
        "authorization=Bearer%20hunter2",
        "Authorization=Bearer hunter2",
        "authorization=Basic%20aHVudGVyMg==",
        "api-key=hunter2,x-scope-orgid=team",
        "authorization=Bearer%20hunter2,",
        "Authorization = ApiKey hunter2",
    ],
)
def test_headers_that_arrive_as_they_are_meant_are_in_order(value) -> None:
    assert not wrong(**{HEADERS: value})


@pytest.mark.parametrize(
    "value",
    [
        f"authorization: Bearer {SECRET}",
        f"authorization=Bearer%20x,{SECRET}",
        f'authorization=Bearer%20x,x-key=a"{SECRET}"b',
        f"authorization=Bearer%20x,x-key={SECRET};a",
        f"authorization=Bearer%20x,x-key={SECRET}é",
    ],
)
def test_a_header_that_the_sdk_drops_is_an_error_and_not_shown(value) -> None:
    found = [one for one in wrong(**{HEADERS: value}) if "is not sent" in one.summary]
    assert [(one.check, one.level) for one in found] == [("environment.headers", "error")]
    assert SECRET not in text(wrong(**{HEADERS: value}))


def test_a_space_keeps_a_value_from_being_decoded() -> None:
    finding = only(**{HEADERS: "authorization=Bearer hun%20ter"})
    assert parse_env_headers("authorization=Bearer hun%20ter", liberal=True)["authorization"] == "Bearer hun%20ter"
    assert (finding.check, finding.level) == ("environment.headers", "warning")
    assert "write %20 for each space" in (finding.next_step or "")


@pytest.mark.parametrize("value", ["authorization=Bearer%20", "authorization=Bearer ", "authorization="])
def test_a_token_that_is_empty_is_an_error(value) -> None:
    finding = only(**{HEADERS: value})
    assert (finding.check, finding.level) == ("environment.headers", "error")
    assert "without a token" in finding.summary


def test_a_token_without_bearer_is_named_and_not_shown() -> None:
    finding = only(**{HEADERS: f"authorization={SECRET}"})
    assert "without a scheme such as Bearer" in finding.summary
    assert SECRET not in str(finding)


def test_no_token_where_the_collector_asks_for_one_is_named() -> None:
    finding = only(OTELEXT_COLLECTOR_TOKEN_FILE="/run/secrets/token")
    assert "asks for one (OTELEXT_COLLECTOR_TOKEN_FILE is set)" in finding.summary
    assert not wrong(OTELEXT_COLLECTOR_TOKEN_FILE="/run/secrets/token", **{HEADERS: "authorization=Bearer%20x"})


def test_the_headers_of_one_signal_are_looked_at() -> None:
    finding = only(OTEL_EXPORTER_OTLP_LOGS_HEADERS="authorization=Bearer%20", **{HEADERS: "a=b"})
    assert "OTEL_EXPORTER_OTLP_LOGS_HEADERS" in finding.summary


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40))
def test_as_many_parts_are_named_as_the_sdk_drops(value) -> None:
    found = examine(made({HEADERS: value})["traces"])
    parts = [part.strip() for part in value.strip().split(",") if part.strip()]
    dropped = sum(not parse_env_headers(part, liberal=True) for part in parts)
    assert sum("is not sent" in one.summary for one in found) == dropped
