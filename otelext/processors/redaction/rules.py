"""What leaves under the present settings: which attributes, and their values as they leave."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from otelext import semconv
from otelext.constant import REDACTED, Constant
from otelext.processors import allowed
from otelext.processors.redaction.counts import COUNTS
from otelext.processors.redaction.words import METHODS, is_statement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class _Absent:
    """What a value is that does not leave."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()
"""Stands for a value that does not leave, not even replaced."""

_LISTED: Final = allowed.names()
MAX_LENGTH: Final = 1024
"""Characters of a string under a name of the list; nothing that the list is for is longer."""
_MAX_ITEMS: Final = 128
_MAX_DEPTH: Final = 8

NEVER_ON_POINTS: Final = frozenset({semconv.REQUEST_ID, semconv.USER_ID})
"""Attributes that no data point carries, whoever allows them: each request or user would be a series of its own."""

# Patterns are strings here and in the files beside: `re` compiles and keeps each when it is first used, not at a start.
_DB: Final = frozenset({"db.operation", "db.operation.name"})
_METHODS: Final = frozenset({"http.request.method", "http.method"})
_OTHER_METHOD: Final = "_OTHER"
_TYPE: Final = r"[\w.<>$:\[\]-]{1,256}"
_DATABASE: Final = r"(?:[\w+.-]{1,32}://)?[\w.@:-]{0,128}(?:/[\w-]{1,64})?"
_DATABASES: Final = frozenset({"db.name", "db.namespace", "pool.name", "db.client.connection.pool.name"})
_SOURCE_FILES: Final = frozenset({"code.file.path", "code.filepath"})
_TYPES: Final = frozenset({semconv.ERROR_TYPE, semconv.EXCEPTION_TYPE})
# Attributes that a level of its own can open.
_OF_EXCEPTIONS: Final = frozenset({semconv.EXCEPTION_MESSAGE, semconv.EXCEPTION_STACKTRACE})
_OPENED_BY: Final = {
    semconv.REDACTED_SPAN_ATTRIBUTE: "span_attributes",
    semconv.REDACTED_EVENT_ATTRIBUTE: "span_attributes",
    semconv.REDACTED_LINK_ATTRIBUTE: "span_attributes",
    semconv.REDACTED_LOG_ATTRIBUTE: "log_attributes",
    semconv.REDACTED_METRIC_ATTRIBUTE: "metric_attributes",
    semconv.REDACTED_EXEMPLAR_ATTRIBUTE: "metric_attributes",
    semconv.REDACTED_RESOURCE_ATTRIBUTE: "resource_attributes",
}


@dataclass(frozen=True)
class Rules:
    """What leaves.

    Attributes:
        allow: Names of attributes besides the list of `otelext.processors.allowed`.
        capture: What is open besides: names out of `semconv.CAPTURES`.
        tenants: Values of `tenant.id` that leave as they are; others leave as `other`.
        hash_key: Key of the hash by which a `user.id` leaves; empty if it does not leave at all.
    """

    allow: frozenset[str] = frozenset()
    capture: frozenset[str] = frozenset()
    tenants: frozenset[str] = frozenset()
    hash_key: bytes = field(default=b"", repr=False)

    @cached_property
    def names(self) -> frozenset[str]:
        """Every name that leaves."""
        return _LISTED | self.allow

    def listed(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Those of some attributes that leave by the list itself, of which names may be made."""
        return {key: value for key, value in attributes.items() if key in _LISTED and key not in self.allow}

    def captures(self, what: str) -> bool:
        """Whether one of `semconv.CAPTURES` was asked for."""
        return what in self.capture

    def attributes(self, given: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
        """Attributes as they leave.

        Args:
            given: The attributes; never changed.
            kind: What they are attributes of, one of `semconv.REDACTED_KINDS`, by which is counted what does not leave.

        Returns:
            `given` itself where all of it leaves as it is.
        """
        names = self.names
        opened = _OPENED_BY.get(kind) in self.capture
        changed: dict[str, Any] | None = None
        for key, value in given.items():
            if type(key) is str and key in names:
                if type(value) in _PLAIN and key not in _SHAPES:
                    continue
                leaves = self.value(key, value)
                if leaves is value:
                    continue
            elif opened and isinstance(key, str) and key not in _OF_EXCEPTIONS:
                continue
            else:
                leaves = ABSENT
            if changed is None:
                changed = dict(given)
            COUNTS.add(kind)
            if leaves is ABSENT:
                del changed[key]
            else:
                changed[key] = leaves
        return given if changed is None else changed

    def value(self, key: str, value: Any) -> Any:
        """The value of an attribute whose name is on the list, as it leaves; the very same where nothing is amiss.

        Args:
            key: The name.
            value: Its value, of any type.

        Returns:
            `ABSENT` where it does not leave at all.
        """
        shape = _SHAPES.get(key)
        if shape is not None and key not in self.allow:
            return shape(self, value)
        if key in self.allow:
            return value
        return _checked(value)

    def _tenant(self, value: Any) -> Any:
        return value if isinstance(value, str) and value in self.tenants else semconv.OTHER

    def _user(self, value: Any) -> Any:
        if not self.hash_key or not isinstance(value, (str, int)):
            return ABSENT
        import hashlib  # noqa: PLC0415  # these two take milliseconds of a start
        import hmac  # noqa: PLC0415

        return hmac.new(self.hash_key, str(value).encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def _checked(value: Any, depth: int = 0) -> Any:
    kind = type(value)
    if kind in _PLAIN or kind is type(None):
        return value
    if kind is str or kind is Constant:
        return value if len(value) <= MAX_LENGTH else REDACTED
    if kind in (tuple, list):
        if len(value) > _MAX_ITEMS or depth >= _MAX_DEPTH:
            return REDACTED
        items = [_checked(item, depth + 1) for item in value]
        return value if all(a is b for a, b in zip(items, value, strict=True)) else tuple(items)
    # Bytes, maps, whatever else; never asked what they look like, as `str` of them is the user's code.
    return REDACTED


def _request_id(_: Rules, value: Any) -> Any:
    return value if isinstance(value, str) and re.fullmatch(semconv.REQUEST_ID_PATTERN, value) else ABSENT


def _method(_: Rules, value: Any) -> Any:
    return value if isinstance(value, str) and value in METHODS else _OTHER_METHOD


def _operation(_: Rules, value: Any) -> Any:
    # SQLAlchemy's instrumentation puts the database's name behind it.
    word = value.partition(" ")[0] if isinstance(value, str) else ""
    return word if is_statement(word) else REDACTED


def _type(_: Rules, value: Any) -> Any:
    if type(value) in _PLAIN:  # a status code
        return value
    return value if isinstance(value, str) and re.fullmatch(_TYPE, value) else REDACTED


def _database(_: Rules, value: Any) -> Any:
    # SQLite's name is the path of a file.
    return value if isinstance(value, str) and re.fullmatch(_DATABASE, value) else REDACTED


def _source_file(_: Rules, value: Any) -> Any:
    if not isinstance(value, str) or len(value) > MAX_LENGTH:
        return REDACTED
    from otelext.processors.redaction.text import short_path  # noqa: PLC0415  # not for a start

    return short_path(value)


_PLAIN: Final = frozenset({int, float, bool})
_SHAPES: Final[dict[str, Callable[[Rules, Any], Any]]] = {
    semconv.TENANT_ID: Rules._tenant,  # noqa: SLF001  # of this class
    semconv.USER_ID: Rules._user,  # noqa: SLF001
    semconv.REQUEST_ID: _request_id,
    **dict.fromkeys(_METHODS, _method),
    **dict.fromkeys(_DB, _operation),
    **dict.fromkeys(_TYPES, _type),
    **dict.fromkeys(_DATABASES, _database),
    **dict.fromkeys(_SOURCE_FILES, _source_file),
}
"""Names whose values have a form: what has another one is not what the name stands for."""


class _Process:
    """What holds in this process.

    Attributes:
        rules: The rules; the distro sets them.
        unwrapped: Types that could not be given redacted telemetry alone.
        samples: The file that samples of what leaves are added to; None for none.
    """

    def __init__(self) -> None:
        self.rules = Rules()
        self.unwrapped: tuple[str, ...] = ()
        self.samples: str | None = None

    def resource(self) -> dict[str, Any]:
        """What each resource says of this besides its own attributes, for whoever audits a backend."""
        found: dict[str, Any] = {}
        if self.rules.capture:
            found[semconv.CAPTURE] = tuple(sorted(self.rules.capture))
        if self.unwrapped:
            found[semconv.UNWRAPPED] = self.unwrapped
        return found


PROCESS: Final = _Process()
