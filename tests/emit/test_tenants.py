"""Tenants on metrics: only once the operator named the attribute, and by name only those that were declared."""

from __future__ import annotations

import pytest
from opentelemetry import baggage, trace
from opentelemetry.context import attach, detach, get_current

import otelext
from otelext import _attach, semconv
from otelext.capture.binding import current_binding
from otelext.processors.baggage import BaggageSpanProcessor
from otelext.testing import capture

TENANT = semconv.TENANT_ID


def infer(tenant: str | None) -> None:
    context = get_current()
    token = attach(context if tenant is None else baggage.set_baggage(TENANT, tenant, context))
    try:
        with otelext.inference("chat", model="m") as inference, otelext.stage("prefill"):
            inference.first_token()
            inference.add_tokens(3)
    finally:
        detach(token)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = _attach.limits
    monkeypatch.setattr(limits, "asked", frozenset({TENANT}))
    monkeypatch.setattr(limits, "_declared", {key: list(values) for key, values in limits._declared.items()})
    limits.declare(TENANT, ("clinic-a", "clinic-b"))


def test_baggage_is_on_no_metric_unless_named() -> None:
    with capture() as captured:
        infer("clinic-a")
        found = captured.metrics()
    assert found
    assert not any(TENANT in point.attributes for of_metric in found.values() for point in of_metric)


@pytest.mark.usefixtures("asked")
def test_declared_tenants_by_name_and_all_else_other() -> None:
    with capture() as captured:
        for tenant in ("clinic-a", "clinic-a", "clinic-b", *(f"forged-{i}" for i in range(100)), None):
            infer(tenant)
        found = captured.metrics()
    assert {p.attributes[TENANT]: p.value for p in found[semconv.INFERENCES.name]} == {
        "clinic-a": 2,
        "clinic-b": 1,
        semconv.OTHER: 101,
    }
    for metric in (
        semconv.REQUEST_DURATION,
        semconv.TTFT,
        semconv.TPOT,
        semconv.STAGE_DURATION,
        semconv.TTFT_STAGE_TIME,
    ):
        tenants = {point.attributes[TENANT] for point in found[metric.name]}
        assert tenants == {"clinic-a", "clinic-b", semconv.OTHER}, metric.name
        assert {key for point in found[metric.name] for key in point.attributes} <= set(metric.attribute_keys)


@pytest.mark.usefixtures("asked")
def test_a_span_of_another_library_counts_for_its_tenant() -> None:
    with capture(span_processors=[BaggageSpanProcessor()]) as captured:
        current_binding()
        token = attach(baggage.set_baggage(TENANT, "clinic-b", get_current()))
        with trace.get_tracer("a-library").start_as_current_span(
            "chat m", attributes={semconv.OPERATION: "chat", semconv.REQUEST_MODEL: "m", semconv.OUTPUT_TOKENS: 5}
        ):
            pass
        detach(token)
        (point,) = captured.metrics()[semconv.INFERENCES.name]
    assert point.attributes[TENANT] == "clinic-b"
