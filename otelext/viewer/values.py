"""OTLP values as the store keeps them: attributes as JSON text, ids as hex, times as signed integers."""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Final

from otelext import semconv

if TYPE_CHECKING:
    from collections.abc import Iterable

    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
    from opentelemetry.proto.resource.v1.resource_pb2 import Resource

    Value = str | bool | int | float | list["Value"] | dict[str, "Value"] | None

_LATEST: Final = 2**63 - 1


def value_of(value: AnyValue) -> Value:
    """An OTLP value as JSON can hold it: bytes as base64, NaN and infinities by name, as OTLP/JSON has them."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return value.string_value
    if kind == "int_value":
        return value.int_value
    if kind == "double_value":
        number = value.double_value
        return number if math.isfinite(number) else _name(number)
    if kind == "bool_value":
        return value.bool_value
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return attributes_of(value.kvlist_value.values)
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return None


def attributes_of(pairs: Iterable[KeyValue]) -> dict[str, Value]:
    """Attributes by key."""
    return {pair.key: value_of(pair.value) for pair in pairs}


def text_of(value: object) -> str:
    """JSON text with sorted keys, so that equal attributes are equal text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def time_of(unix_nano: int) -> int:
    """A time as the store's signed column can hold it; OTLP's is unsigned."""
    return min(unix_nano, _LATEST)


def origin_of(resource: Resource) -> tuple[str, str, str]:
    """Service name, service instance id and all attributes as JSON text."""
    attributes = attributes_of(resource.attributes)
    service = attributes.get(semconv.SERVICE_NAME, "")
    instance = attributes.get(semconv.SERVICE_INSTANCE_ID, "")
    return str(service), str(instance), text_of(attributes)


def _name(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"
