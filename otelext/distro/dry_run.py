"""What would leave under given rules: real spans, log records and measurements, put through what stands at the exporters.

Nothing is sent anywhere, and no provider of the process is touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanContext, Status, StatusCode

from otelext import semconv
from otelext.logs import failure
from otelext.logs.message import body_of
from otelext.processors import allowed
from otelext.processors.redaction.exporters import RedactingSpanExporter, redact_reader

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from otelext.processors.redaction.rules import Rules

TYPED: Final = "typed by a patient 17"
"""Stands for whatever comes with a request."""

_EXAMPLES: Final[dict[str, Any]] = {
    semconv.REQUEST_ID: "0123456789abcdef0123456789abcdef",
    semconv.TENANT_ID: "ward-7",
    semconv.USER_ID: "kim",
    semconv.ERROR_TYPE: "ValueError",
    semconv.EXCEPTION_TYPE: "ValueError",
    "http.request.method": "POST",
    "http.method": "POST",
    "db.operation": "SELECT",
    "db.operation.name": "SELECT",
}


_EXCEPTION: Final = {
    semconv.EXCEPTION_TYPE: "ValueError",
    semconv.EXCEPTION_MESSAGE: TYPED,
    semconv.EXCEPTION_STACKTRACE: "Traceback ...",
}


@dataclass(frozen=True)
class Row:
    """One thing that was put in.

    Attributes:
        signal: `traces`, `metrics` or `logs`.
        place: Where.
        given: What was put there.
        leaves: What would leave, None for nothing.
    """

    signal: str
    place: str
    given: str
    leaves: str | None


def dry_run(rules: Rules, tenants: tuple[str, ...] = ()) -> list[Row]:
    """Put something into every place, and see what comes out.

    Args:
        rules: The rules.
        tenants: Values of `tenant.id` to show besides an undeclared one.
    """
    return [*_traces(rules, tenants), *_metrics(rules), *_logs(rules)]


def _traces(rules: Rules, tenants: tuple[str, ...]) -> Iterator[Row]:
    listed = {name: _EXAMPLES.get(name, "example") for name in sorted(allowed.names() | rules.allow)}
    unlisted = {"prompt": TYPED, "url.full": f"http://service/?q={TYPED}", "db.query.text": f"SELECT '{TYPED}'"}
    before = {**listed, **unlisted}
    span = _span(rules, before)
    name = f"read for {TYPED}"
    yield Row("traces", "span name, made at run time", name, span.name)
    yield from _attributes("traces", "span attribute", before, span.attributes)
    for tenant in tenants:
        yield Row("traces", "span attribute tenant.id", tenant, _text(rules.value(semconv.TENANT_ID, tenant)))
    event, exception = span.events
    yield Row("traces", "event name, made at run time", TYPED, event.name)
    yield from _attributes("traces", "event attribute", {"prompt": TYPED}, event.attributes)
    yield from _attributes("traces", "event attribute", _EXCEPTION, exception.attributes)
    yield Row("traces", "status description", TYPED, span.status.description)
    yield from _attributes("traces", "link attribute", {"prompt": TYPED}, span.links[0].attributes)
    resource = {"service.name": "service", "owner": TYPED}
    yield from _attributes("traces", "resource attribute", resource, span.resource.attributes)


def _span(rules: Rules, attributes: Mapping[str, Any]) -> ReadableSpan:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(
        resource=Resource({"service.name": "service", "owner": TYPED}),
        shutdown_on_exit=False,
        span_limits=SpanLimits(max_span_attributes=SpanLimits.UNSET),
    )
    provider.add_span_processor(SimpleSpanProcessor(RedactingSpanExporter(exporter, rules)))
    tracer = provider.get_tracer(semconv.SCOPE_NAME)
    link = Link(SpanContext(1, 1, is_remote=False), {"prompt": TYPED})
    span = tracer.start_span(f"read for {TYPED}", links=[link], attributes=attributes)
    span.add_event(TYPED, {"prompt": TYPED})
    try:
        raise ValueError(TYPED)
    except ValueError as error:
        span.record_exception(error)
    span.set_status(Status(StatusCode.ERROR, TYPED))
    span.end()
    (found,) = exporter.get_finished_spans()
    return found


def _metrics(rules: Rules) -> Iterator[Row]:
    own = [metric for metric in semconv.METRICS.values() if metric.producer is not semconv.Producer.FOREIGN]
    keys = sorted({key for metric in own for key in metric.attribute_keys})
    given = {key: _EXAMPLES.get(key, "example") for key in keys}
    yield from _attributes("metrics", "attribute of ours", given, _point(rules, "any", given))
    given = {"http.route": "/receipts/{id}", "patient": TYPED}
    yield from _attributes("metrics", "attribute of another library's", given, _point(rules, "any", given))


def _point(rules: Rules, name: str, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    reader = InMemoryMetricReader()
    redact_reader(reader, rules)
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    provider.get_meter(semconv.SCOPE_NAME).create_counter(name).add(1, dict(attributes))
    data: MetricsData | None = reader.get_metrics_data()
    provider.shutdown()
    for resource in () if data is None else data.resource_metrics:
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    return point.attributes or {}
    return {}


def _logs(rules: Rules) -> Iterator[Row]:
    def body(message: str, *args: object) -> str:
        return body_of(message, args, __file__, rules, lambda: None)

    yield Row("logs", "message, a literal", "receipt read", body("receipt read"))
    yield Row("logs", "message with an argument", f"receipt of {TYPED} read", body("receipt of %s read", TYPED))
    made = f"receipt of {TYPED} read"
    yield Row("logs", "message, made at run time", made, body(made))
    given = {semconv.REQUEST_MODEL: "example", "prompt": TYPED}
    leaves = rules.attributes(given, semconv.REDACTED_LOG_ATTRIBUTE)
    yield from _attributes("logs", "field", given, leaves)
    try:
        raise ValueError(TYPED)
    except ValueError as error:
        described = failure.describe(error, rules)
    yield from _attributes("logs", "field", _EXCEPTION, described)


def _attributes(signal: str, place: str, given: Mapping[str, Any], leaves: Mapping[str, Any] | None) -> Iterator[Row]:
    for key, value in given.items():
        yield Row(signal, f"{place} {key}", str(value), _text((leaves or {}).get(key)))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
