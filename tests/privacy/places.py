"""The places of the canary test: who puts the secret there, what kind of secret it is, and which opt-outs let it out."""

from __future__ import annotations

import random
import string
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.privacy.traces_of import Secret

TEXT: Final = "text"
KOREAN: Final = "Korean"
RESIDENT_NUMBER: Final = "resident number"
AMOUNT: Final = "amount"
NAME: Final = "name"

_RANDOM: Final = random.SystemRandom()
_SYLLABLES: Final = [chr(code) for code in range(0xAC00, 0xD7A4) if chr(code).encode("cp949", "ignore")]


@dataclass(frozen=True)
class Place:
    """One place.

    Attributes:
        name: In words; a function of the service's, where the service puts the secret there.
        opened_by: Opt-outs of `OTELEXT_CAPTURE` with which it leaves.
        kind: What the secret is.
        by: Who puts it there: the `service` within a request, the `client` with its request, or the `start`.
    """

    name: str
    opened_by: frozenset[str] = frozenset()
    kind: str = TEXT
    by: str = "service"


def a_secret(kind: str) -> Secret:
    """A secret that nobody has seen before: long, and random from its first character on."""
    if kind == KOREAN:
        return "".join(_RANDOM.choices(_SYLLABLES, k=6)) + "".join(_RANDOM.choices(string.digits, k=7))
    if kind == RESIDENT_NUMBER:
        return _RANDOM.randrange(9 * 10**12, 10**13)
    if kind == AMOUNT:
        return _RANDOM.randrange(9 * 10**13, 10**14) / 100
    letters = string.ascii_letters + string.digits
    return _RANDOM.choice(string.ascii_letters) + "".join(_RANDOM.choices(letters, k=27))


def _all(by: str, *names: str, opened_by: str = "", kind: str = TEXT) -> tuple[Place, ...]:
    return tuple(Place(name, frozenset(opened_by.split()), kind, by) for name in names)


_SERVICE: Final = (
    *_all(
        "service",
        "span attribute",
        "attribute of an inference",
        "attribute key",
        "list value",
        "very long string",
        "value of a standard attribute",
        "httpx call",
        "event attribute",
        "link attribute",
        "exception attribute",
        "SQL literal",
        "SQL comment",
        "SQL identifier",
        "attribute of a wrong type",
        "bytes value",
        opened_by="span_attributes",
    ),
    *_all("service", "prompt of the openai client", opened_by="span_attributes log_attributes"),
    *_all("service", "resident number as a span attribute", opened_by="span_attributes", kind=RESIDENT_NUMBER),
    *_all("service", "SQL number", opened_by="span_attributes", kind=RESIDENT_NUMBER),
    *_all("service", "amount as an event attribute", opened_by="span_attributes", kind=AMOUNT),
    *_all("service", "SQL parameter"),
    *_all("service", "span name", "event name", opened_by="span_names"),
    *_all("service", "status description", opened_by="status_descriptions"),
    *_all(
        "service",
        "link trace state",
        "tracer name",
        "tracer version",
        "schema of a tracer",
        "scope attribute",
        "meter name",
        "metric name",
        "metric unit",
        "metric description",
    ),
    *_all(
        "service",
        "exception in a span",
        "object that fails to be shown",
        opened_by="exception_messages exception_stacktraces status_descriptions",
    ),
    # Spans of ours keep an exception's type alone.
    *_all("service", "exception in an inference", "exception in a stage"),
    *_all(
        "service",
        "logged exception message",
        "structlog exception",
        "structlog exception by our processor",
        "SQL error",
        opened_by="exception_messages exception_stacktraces",
    ),
    *_all("service", "logged exception group", opened_by="exception_messages exception_stacktraces"),
    *_all(
        "service",
        "logged exception cause",
        "logged exception context",
        "logged exception note",
        "source line of made up code",
        "file of made up code",
        "function of made up code",
        opened_by="exception_stacktraces",
    ),
    *_all("service", "stack info"),
    *_all("service", "logged exception local"),
    *_all("service", "error of the openai client"),
    *_all(
        "service",
        "log argument",
        "log mapping argument",
        "logged exception argument",
        "otelexts own log line",
        opened_by="log_arguments",
    ),
    *_all("service", "log argument in Korean", opened_by="log_arguments", kind=KOREAN),
    *_all("service", "resident number as a log argument", opened_by="log_arguments", kind=RESIDENT_NUMBER),
    *_all("service", "amount as a log argument", opened_by="log_arguments", kind=AMOUNT),
    *_all("service", "log argument that does not fit"),
    *_all(
        "service",
        "log f string",
        "log concatenation",
        "log format",
        "log percent",
        "log of the secret alone",
        "logged exception as the message",
        "log in another thread",
        "structlog event",
        "structlog value",
        "structlog key",
        "structlog bound value",
        "structlog event by our processor",
        "structlog argument by our processor",  # structlog puts it in its place before any processor
        "body of the logs API",
        opened_by="log_messages",
    ),
    # Python 3.11 began to log a warning as the message itself.
    *_all("service", "warning", opened_by="log_messages" if sys.version_info >= (3, 11) else "log_arguments"),
    *_all("service", "log f string in Korean", opened_by="log_messages", kind=KOREAN),
    *_all(
        "service",
        "log extra field",
        "log extra key",
        "log extra mapping",
        "structlog value by our processor",
        "structlog key by our processor",
        "structlog context by our processor",
        "attribute of the logs API",
        opened_by="log_attributes",
    ),
    *_all("service", "amount as a log extra field", opened_by="log_attributes", kind=AMOUNT),
    *_all("service", "allowed span attribute", opened_by="span_attributes"),
    *_all("service", "allowed log extra field", opened_by="log_attributes"),
    *_all(
        "service",
        "logger name",
        "log level name",
        "thread name",
        "event name of the logs API",
        "severity text of the logs API",
    ),
    *_all(
        "service",
        "metric attribute",
        "metric attribute key",
        "metric attribute of a histogram",
        "exemplar attribute",
        "attribute of an observable",
        opened_by="metric_attributes",
    ),
    *_all("service", "resident number as a metric attribute", opened_by="metric_attributes", kind=RESIDENT_NUMBER),
    *_all("service", "baggage of no named key", "tenant that is not declared", "user id", "request id set inside"),
)

_CLIENT: Final = (
    # uvicorn's access log has the path among its arguments, and the service is told to capture headers.
    *_all(
        "client",
        "path parameter",
        "query string",
        "query key",
        "unmatched path",
        "forwarded address",
        opened_by="span_attributes log_arguments",
    ),
    *_all("client", "file name", opened_by="log_arguments"),
    *_all("client", "form field", "image bytes", "response text"),
    *_all(
        "client",
        "user agent",
        "request header",
        "request header name",
        "cookie",
        "host header",
        "trace state",
        "baggage from outside",
        "tenant from outside",
        "user from outside",
        "request id that is malformed",
        "request id from outside in baggage",
        opened_by="span_attributes",
    ),
    *_all("client", "unhandled error", opened_by="exception_messages exception_stacktraces"),
    *_all("client", "task that nobody awaits", opened_by="exception_messages exception_stacktraces log_messages"),
    *_all("client", "task name", opened_by="log_messages"),
)

_START: Final = (
    *_all("start", "resource attribute", opened_by="resource_attributes"),
    *_all("start", "argument of the command", "environment variable", "exporter header", "hash key"),
)

PLACES: Final = (*_SERVICE, *_CLIENT, *_START)


ALLOWED_KEY: Final = "clinic.allowed"
OPENED_BY_AN_ALLOWED_KEY: Final = frozenset({"allowed span attribute", "allowed log extra field"})
