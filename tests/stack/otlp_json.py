"""OTLP written by hand, as JSON, for what no SDK sends: https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OK, ERROR = 1, 2


def post(url: str, signal: str, message: Mapping[str, Any], **more: Any) -> httpx.Response:
    """Send to a receiver at `url`; the answer may be any. `more` goes to httpx."""
    with httpx.Client(trust_env=False, timeout=30, **more) as client:
        return client.post(f"{url}/v1/{signal}", json=message)


def attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case dict():
            return {"kvlistValue": {"values": attributes(value)}}
        case list():
            return {"arrayValue": {"values": [_value(item) for item in value]}}
        case _:
            return {"stringValue": value}


def trace_id() -> str:
    return secrets.token_hex(16)


def span(
    trace: str, name: str, values: Mapping[str, Any] | None = None, *, parent: str = "", status: int = 0, **more: Any
) -> dict[str, Any]:
    """A span of 10 ms that ends now."""
    now = time.time_ns()
    return {
        "traceId": trace,
        "spanId": secrets.token_hex(8),
        "parentSpanId": parent,
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(now - 10_000_000),
        "endTimeUnixNano": str(now),
        "attributes": attributes(values or {}),
        "status": {"code": status},
        **more,
    }


def traces(spans: Iterable[Mapping[str, Any]], resource: Mapping[str, Any]) -> dict[str, Any]:
    scope_spans = [{"scope": {"name": "by hand"}, "spans": list(spans)}]
    return {"resourceSpans": [{"resource": {"attributes": attributes(resource)}, "scopeSpans": scope_spans}]}


def metrics(found: Iterable[Mapping[str, Any]], resource: Mapping[str, Any]) -> dict[str, Any]:
    scope_metrics = [{"scope": {"name": "by hand"}, "metrics": list(found)}]
    return {"resourceMetrics": [{"resource": {"attributes": attributes(resource)}, "scopeMetrics": scope_metrics}]}


def logs(records: Iterable[Mapping[str, Any]], resource: Mapping[str, Any]) -> dict[str, Any]:
    scope_logs = [{"scope": {"name": "by hand"}, "logRecords": list(records)}]
    return {"resourceLogs": [{"resource": {"attributes": attributes(resource)}, "scopeLogs": scope_logs}]}
