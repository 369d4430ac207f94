"""Telemetry arrives, and says what it is for: an export of nothing would hold no secret either."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING

import pytest

from otelext import semconv
from tests.otlp_receiver import attributes_of

if TYPE_CHECKING:
    from tests.privacy.running import Left

WHOLE_MESSAGES = ("a document came", "a patient was not found", "said in a thread", "said with baggage")
WITHOUT_ARGUMENTS = (
    "patient [redacted] came",
    "환자 [redacted] 님이 접수했습니다",
    "patient number [redacted]",
    "paid [redacted]",
    "document [redacted], page [redacted]",
)


def test_spans_arrive_with_their_names_routes_and_stages(left: Left) -> None:
    names = {span.name for span in left.receiver.spans}
    assert {
        "POST /documents/{document_id}",
        "GET /fails",
        "chat clinic-vl",
        "preprocess",
        "prefill",
        "admit",
        "SELECT",
        "GET",
    } <= names
    routes = {span.attributes.get("http.route") for span in left.receiver.spans}
    assert {"/documents/{document_id}", "/fails", "/places"} <= routes
    (document,) = (span for span in left.receiver.spans if span.name == "POST /documents/{document_id}")
    assert document.attributes["http.response.status_code"] == 200
    (chat, *_) = (span for span in left.receiver.spans if span.message.trace_id == document.message.trace_id)
    assert chat.resource["service.name"] == "service-under-test"
    stages = {span.attributes.get(semconv.STAGE) for span in left.receiver.spans}
    assert {"preprocess", "prefill"} <= stages
    assert {event.name for span in left.receiver.spans for event in span.message.events} >= {"seen", "exception"}


@pytest.mark.parametrize("body", [*WHOLE_MESSAGES, *WITHOUT_ARGUMENTS])
def test_a_log_message_arrives_with_all_that_is_constant(left: Left, body: str) -> None:
    assert body in {record.body for record in left.receiver.logs}
    assert any(body in record.values() for record in left.records), "and as a line of JSON"


def test_an_exception_arrives_with_its_type_and_its_frames(left: Left) -> None:
    logged = next(record for record in left.receiver.logs if record.body == "a patient was not found")
    assert logged.attributes["exception.type"] == "ValueError"
    assert "exception.message" not in logged.attributes
    assert 'privacy/service.py", line ' in logged.attributes["exception.stacktrace"]
    assert "in logged_exception_message" in logged.attributes["exception.stacktrace"]
    events = [
        attributes_of(event.attributes)
        for span in left.receiver.spans
        if span.name == "GET /fails"
        for event in span.message.events
    ]
    assert {event["exception.type"] for event in events} == {"RuntimeError"}
    assert all(", in fails" in event["exception.stacktrace"] for event in events)
    (line,) = (record for record in left.records if "a patient was not found" in record.values())
    assert "logged_exception_message" in str(line)


def test_metrics_arrive_and_add_up_without_the_attributes_that_were_taken_away(left: Left) -> None:
    receiver = left.receiver
    # Three places count a visit with an attribute, two with an id, four with baggage.
    assert receiver.total("clinic.visits") == 9
    assert receiver.total("clinic.wait") == 1
    assert receiver.total("clinic.beds") == 1
    assert receiver.total(semconv.INFERENCES.name) > 5
    assert any(point.message.exemplars for point in receiver.points if point.metric == "clinic.wait")


def test_what_was_taken_away_is_counted_by_kind(left: Left) -> None:
    kinds = {
        p.attributes[semconv.REDACTED_KIND]: p.value for p in left.receiver.last_points(semconv.REDACTED_TOTAL.name)
    }
    assert set(kinds) >= {
        "span_attribute",
        "span_name",
        "event_attribute",
        "link_attribute",
        "status_description",
        "exception_message",
        "exception_stacktrace",
        "resource_attribute",
        "scope",
        "log_message",
        "log_argument",
        "log_attribute",
        "metric_attribute",
        "exemplar_attribute",
    }
    assert all(value > 0 for value in kinds.values())


def test_a_user_arrives_as_a_hash_under_our_key_and_an_undeclared_tenant_as_other(left: Left) -> None:
    key, user = str(left.secrets["hash key"]), str(left.secrets["user id"])
    hashed = hmac.new(key.encode(), user.encode(), hashlib.sha256).hexdigest()
    assert hashed in {span.attributes.get(semconv.USER_ID) for span in left.receiver.spans}
    assert "other" in {span.attributes.get(semconv.TENANT_ID) for span in left.receiver.spans}
    assert any(record.attributes.get(semconv.USER_ID) == hashed for record in left.receiver.logs)
    assert any(record.get(semconv.USER_ID) == hashed for record in left.records)
    assert any(record.get(semconv.TENANT_ID) == "other" for record in left.records)
    assert not any(semconv.USER_ID in point.attributes for point in left.receiver.points)


def test_lines_of_json_carry_the_trace_that_they_belong_to(left: Left) -> None:
    traces = {span.message.trace_id.hex() for span in left.receiver.spans}
    (line,) = (record for record in left.records if "a document came" in record.values())
    assert traces & {value for value in line.values() if isinstance(value, str)}
