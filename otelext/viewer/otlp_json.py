"""OTLP/JSON to and from the official protobuf messages.

OTLP's JSON is protobuf's JSON mapping but for ids, which are hexadecimal there and base64 in protobuf's:
https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, Final, TypeVar

from google.protobuf import json_format

if TYPE_CHECKING:
    from google.protobuf.message import Message

    M = TypeVar("M", bound=Message)

_IDS: Final = frozenset({"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"})


class MalformedError(ValueError):
    """A body is not what its content type says; the message names what is wrong."""


def decode(body: bytes, message: M) -> M:
    """Fill a message from OTLP/JSON; unknown fields are ignored, as the specification asks.

    Args:
        body: The JSON text in UTF-8.
        message: An empty message of the type that is expected; it is filled and returned.

    Raises:
        MalformedError: The body is no JSON, or not of this message's shape.
    """
    try:
        document = json.loads(body)
        if not isinstance(document, dict):
            raise MalformedError(f"the body is a JSON {type(document).__name__}, must be an object")
        json_format.ParseDict(_with_base64_ids(document), message, ignore_unknown_fields=True)
    except MalformedError:
        raise
    except RecursionError as error:
        raise MalformedError("the JSON is nested too deeply") from error
    except (ValueError, TypeError, AttributeError, json_format.Error) as error:
        raise MalformedError(f"the body is not OTLP/JSON: {error}") from error
    return message


def encode(message: Message) -> bytes:
    """A response or status as JSON; neither holds ids."""
    return json_format.MessageToJson(message, indent=None).encode()


def _with_base64_ids(value: Any) -> Any:
    # Attribute names never stand as JSON keys in OTLP (they are values of "key"), so a key tells an id.
    if isinstance(value, dict):
        return {key: _base64(key, item) if key in _IDS else _with_base64_ids(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_base64_ids(item) for item in value]
    return value


def _base64(key: str, value: object) -> object:
    if value is None:
        return None
    if not isinstance(value, str):
        raise MalformedError(f"{key} is {value!r}, must be a string of hexadecimal digits")
    try:
        return base64.b64encode(binascii.unhexlify(value)).decode()
    except ValueError as error:
        raise MalformedError(f"{key} is {value[:64]!r}, must be a string of hexadecimal digits") from error
