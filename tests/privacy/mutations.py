"""Redactions that a test takes out, one at a time: what is patched, and the places that then must be found."""

from __future__ import annotations

import functools
import importlib
import re
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from unittest import mock

from otelext.constant import Constant
from otelext.logs.message import _templates
from otelext.processors.redaction.scopes import resource_of, scope_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otelext.processors.redaction.rules import Rules


_REDACTION: Final = "otelext.processors.redaction"


@dataclass(frozen=True)
class Mutation:
    """A redaction that is taken out.

    Attributes:
        places: The least that must be found then.
        patches: What stands where, by the path of an attribute; a callable that takes the original gives it.
    """

    places: frozenset[str]
    patches: tuple[tuple[str, Callable[[Any], Any]], ...]


def _all_pass(kind: str) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    """Attributes of a kind leave as they are."""

    def patch(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def attributes(self: Rules, given: Any, of: str) -> Any:
            return given if of == kind else original(self, given, of)

        return attributes

    return ((f"{_REDACTION}.rules:Rules.attributes", patch),)


def _returns(what: Any) -> Callable[[Any], Any]:
    return lambda _: lambda *_, **__: what


def _first_argument(_: Any) -> Callable[..., Any]:
    return lambda first, *_, **__: first


def _mutation(places: str, *patches: tuple[str, Callable[[Any], Any]]) -> Mutation:
    return Mutation(frozenset(place.strip() for place in places.split(",")), patches)


def _captures(*names: str) -> Callable[[Any], Any]:
    """`Rules.captures` says yes to some."""
    return lambda original: lambda self, what: what in names or original(self, what)


def _shaped_by_nobody(*keys: str) -> Callable[[Any], Any]:
    """The values of attributes leave as they are."""
    return lambda shapes: {**shapes, **dict.fromkeys(keys, lambda _, value: value)}


def _filled(original: Callable[..., Any]) -> Callable[..., Any]:
    """Arguments of log messages stand in their place."""

    def body(message: Any, args: Any, *rest: Any) -> Any:
        return Constant(message % args) if args and isinstance(message, str) else original(message, args, *rest)

    return body


class _Everything:
    def __contains__(self, _: object) -> bool:
        return True


MUTATIONS: Final[dict[str, Mutation]] = {
    "attributes of spans": _mutation(
        "span attribute, attribute of an inference, attribute key, list value, bytes value, very long string, httpx call,"
        " resident number as a span attribute, SQL literal, SQL number, SQL comment, query string, path parameter,"
        " unmatched path, user agent, request header, cookie, prompt of the openai client",
        *_all_pass("span_attribute"),
    ),
    "attributes of events": _mutation(
        "event attribute, amount as an event attribute, exception attribute", *_all_pass("event_attribute")
    ),
    "attributes of links": _mutation("link attribute", *_all_pass("link_attribute")),
    "attributes of the resource": _mutation("resource attribute", *_all_pass("resource_attribute")),
    "attributes of scopes": _mutation("scope attribute", *_all_pass("scope")),
    "attributes of metrics": _mutation(
        "metric attribute, metric attribute key, metric attribute of a histogram, attribute of an observable,"
        " resident number as a metric attribute",
        *_all_pass("metric_attribute"),
        ("otelext.distro.views:_AllowedKeys.__contains__", _returns(True)),
    ),
    "attributes of exemplars": _mutation("exemplar attribute", *_all_pass("exemplar_attribute")),
    "attributes of log records": _mutation(
        "log extra field, amount as a log extra field, attribute of the logs API", *_all_pass("log_attribute")
    ),
    "names of spans and events": _mutation(
        "span name, event name, event name of the logs API, logger name, tracer name, meter name",
        (f"{_REDACTION}.names:Names.leaves", _returns(True)),
    ),
    "status descriptions": _mutation(
        "status description, exception in a span", (f"{_REDACTION}.spans:_status", _first_argument)
    ),
    "trace state": _mutation("trace state", (f"{_REDACTION}.spans:_context", _first_argument)),
    "messages of exceptions": _mutation(
        "exception in a span, logged exception message, unhandled error",
        (f"{_REDACTION}.rules:Rules.captures", _captures("exception_messages")),
    ),
    "stack traces": _mutation(
        "exception in a span, logged exception cause, logged exception note, unhandled error",
        (f"{_REDACTION}.rules:Rules.captures", _captures("exception_stacktraces")),
    ),
    "tenants": _mutation(
        "tenant that is not declared", (f"{_REDACTION}.rules:_SHAPES", _shaped_by_nobody("tenant.id"))
    ),
    "request ids": _mutation("request id set inside", (f"{_REDACTION}.rules:_SHAPES", _shaped_by_nobody("request.id"))),
    "baggage from outside": _mutation(
        "user from outside, tenant from outside",
        (f"{_REDACTION}.rules:_SHAPES", _shaped_by_nobody("user.id", "tenant.id")),
        ("otelext.capture.baggage:BAGGAGE.trust", lambda _: True),
    ),
    "versions of scopes": _mutation("tracer version", (f"{_REDACTION}.scopes:_VERSION", lambda _: re.compile(".*"))),
    "what names an instrument": _mutation(
        "metric name, metric unit, metric description", (f"{_REDACTION}.metrics:_named", _first_argument)
    ),
    "code that is made at run time": _mutation(
        "file of made up code, function of made up code", (f"{_REDACTION}.literals:is_program", _returns(True))
    ),
    "frames of a stack trace": _mutation(
        "exception in a span, unhandled error", (f"{_REDACTION}.exceptions:frames_in", _first_argument)
    ),
    "log messages": _mutation(
        "log f string, log f string in Korean, log concatenation, log format, log percent, log of the secret alone,"
        " log in another thread, structlog event, structlog value, structlog event by our processor",
        ("otelext.logs.message:is_written", _returns(True)),
    ),
    "log arguments": _mutation(
        "log argument, log argument in Korean, log mapping argument, resident number as a log argument,"
        " amount as a log argument, file name, path parameter",
        ("otelext.logs.message:_body", _filled),
    ),
    "bodies that nobody redacted": _mutation("body of the logs API", (f"{_REDACTION}.logs:_body", _first_argument)),
    "severities": _mutation(
        "severity text of the logs API", (f"{_REDACTION}.logs:_SEVERITIES", lambda _: _Everything())
    ),
    "users": _mutation("user id", (f"{_REDACTION}.rules:_SHAPES", _shaped_by_nobody("user.id"))),
}


@contextmanager
def taken_out(mutation: Mutation) -> Iterator[None]:
    """Take a redaction out, for as long as the context lasts."""
    with ExitStack() as stack:
        stack.callback(_forget)
        for path, patch in mutation.patches:
            module, _, names = path.partition(":")
            *owners, name = names.split(".")
            owner = functools.reduce(getattr, owners, importlib.import_module(module))
            stack.enter_context(mock.patch.object(owner, name, patch(getattr(owner, name))))
        _forget()
        yield


def _forget() -> None:
    for kept in (resource_of, scope_of):
        kept._by_id.clear()
    _templates.clear()
