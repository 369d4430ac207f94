"""Log records carry the request's id and the service's own baggage, whoever emits them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import baggage
from opentelemetry._logs import LogRecord
from opentelemetry.context import Context, attach, detach, get_current, set_value
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor

from otelext import semconv
from otelext.capture.baggage import from_outside
from otelext.capture.context import REQUEST_KEY
from otelext.capture.request import Request
from otelext.distro.request_log import put_first

if TYPE_CHECKING:
    from collections.abc import Callable

TENANT, REQUEST = semconv.TENANT_ID, semconv.REQUEST_ID


@pytest.fixture
def emit() -> Callable[..., dict[str, Any]]:
    exporter = InMemoryLogRecordExporter()
    provider = LoggerProvider(shutdown_on_exit=False)
    provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
    assert put_first(provider)
    assert put_first(provider)

    def emitted(context: Context, *, given: Context | None = None, **attributes: Any) -> dict[str, Any]:
        token = attach(context)
        provider.get_logger("a-library").emit(LogRecord(body="a line", context=given, attributes=attributes))
        detach(token)
        (found,) = exporter.get_finished_logs()
        return dict(found.log_record.attributes or {})

    return emitted


def of_clinic(context: Context | None = None) -> Context:
    context = baggage.set_baggage(TENANT, "clinic-a", get_current() if context is None else context)
    return baggage.set_baggage("diagnosis", "secret", context)


def test_a_record_carries_the_named_entries(emit: Any) -> None:
    assert emit(of_clinic()) == {TENANT: "clinic-a"}


def test_a_record_keeps_its_own_attribute(emit: Any) -> None:
    assert emit(of_clinic(), **{TENANT: "its-own"}) == {TENANT: "its-own"}


def test_the_records_own_context_is_the_one_read(emit: Any) -> None:
    assert emit(Context(), given=of_clinic()) == {TENANT: "clinic-a"}


def test_the_requests_id_goes_before_that_of_baggage(emit: Any) -> None:
    context = baggage.set_baggage(REQUEST, "of-baggage", get_current())
    assert emit(set_value(REQUEST_KEY, Request(0, "of-the-middleware"), context)) == {REQUEST: "of-the-middleware"}


def test_baggage_from_outside_is_ignored(emit: Any) -> None:
    assert emit(from_outside(of_clinic())) == {}
