"""Log records as they leave: records of the OpenTelemetry logs API through a real processor."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import LoggerProvider, ReadableLogRecord
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
from opentelemetry.sdk.resources import Resource

from otelext.constant import Constant
from otelext.processors.redaction.exporters import RedactingLogRecordExporter
from otelext.processors.redaction.logs import redact
from otelext.processors.redaction.rules import Rules

SECRET = f"k1m-{uuid4().hex}"  # in no literal


def emitted(
    rules: Rules | None = None, logger: str = __name__, resource: Resource | None = None, **record: Any
) -> ReadableLogRecord:
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(resource=resource or Resource({"service.name": "s"}))
    provider.add_log_record_processor(SimpleLogRecordProcessor(RedactingLogRecordExporter(exporter, rules or Rules())))
    provider.get_logger(logger).emit(LogRecord(severity_number=SeverityNumber.INFO, **record))
    (found,) = exporter.get_finished_logs()
    return found


def everywhere(rules: Rules | None = None) -> ReadableLogRecord:
    return emitted(
        rules,
        logger=SECRET,
        resource=Resource({"owner": SECRET}),
        body=SECRET,
        event_name=SECRET,
        severity_text=SECRET,
        attributes={"note": {"deep": [SECRET]}, SECRET: 1, "http.route": "/"},
        exception=ValueError(SECRET),
    )


def test_nothing_of_it_leaves() -> None:
    found = everywhere()
    assert SECRET not in found.to_json()
    assert found.instrumentation_scope is not None
    assert found.instrumentation_scope.name == "[redacted]"
    assert found.log_record.body == "[redacted]"
    assert found.log_record.exception is None
    assert dict(found.log_record.attributes or {}) == {"http.route": "/", "exception.type": "ValueError"}


@pytest.mark.parametrize(
    ("capture", "opened"),
    [
        ("log_messages", {"body"}),
        ("log_attributes", {"attributes"}),
        ("exception_messages", {"message"}),
        ("resource_attributes", {"resource"}),
    ],
)
def test_each_opt_out_opens_what_it_names_and_nothing_else(capture: str, opened: set[str]) -> None:
    found = everywhere(Rules(capture=frozenset({capture})))
    attributes = dict(found.log_record.attributes or {})
    places = {
        "body": found.log_record.body,
        "attributes": attributes.get("note"),
        "message": attributes.get("exception.message"),
        "resource": dict(found.resource.attributes),
        "scope": found.instrumentation_scope,
        "event": found.log_record.event_name,
        "severity": found.log_record.severity_text,
    }
    assert {place for place, value in places.items() if SECRET in str(value)} == opened


def test_a_body_that_was_redacted_already_stays() -> None:
    assert emitted(body=Constant(SECRET)).log_record.body == SECRET


@pytest.mark.parametrize("body", [{"prompt": SECRET}, [SECRET], SECRET.encode(), 9001012345678])
def test_a_body_of_another_type_is_replaced(body: Any) -> None:
    assert emitted(body=body).log_record.body == "[redacted]"


def test_a_record_that_may_leave_is_passed_on_as_it_is() -> None:
    found = emitted(body=Constant("x"), severity_text="INFO", attributes={"http.route": "/"})
    assert redact(found, Rules()) is found


@pytest.mark.parametrize("name", ["root", "uvicorn.error", "json", "json.decoder.JSONDecoder", __name__])
def test_the_name_of_a_module_a_class_or_a_literal_stays(name: str) -> None:
    import uvicorn.config  # noqa: F401  # whose source has that name

    found = emitted(logger=name, body=None)
    assert found.instrumentation_scope is not None
    assert found.instrumentation_scope.name == name
