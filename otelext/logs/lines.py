"""JSON lines: one flat object a line, as `otelext.semconv` lays it down and the Collector's agents read it."""

from __future__ import annotations

import json
import math
import time
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, Final

from otelext import semconv
from otelext.constant import REDACTED, Constant
from otelext.processors.redaction.rules import PROCESS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otelext.logs.entry import Entry

_OWN: Final = frozenset({*semconv.LOG_KEYS, *semconv.LOG_RESOURCE_KEYS})
_STRINGS: Final = frozenset({str, Constant})
_SECOND_NS: Final = 1_000_000_000
_MAX_DEPTH: Final = 16


class Clock:
    """Writes moments as RFC 3339 has them, in UTC with microseconds; a second is put together once."""

    def __init__(self) -> None:
        self._last = (-1, "")

    def __call__(self, time_ns: int) -> str:
        """A moment in Unix nanoseconds, written."""
        second, rest = divmod(time_ns, _SECOND_NS)
        last = self._last
        if last[0] != second:
            self._last = last = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
        return f"{last[1]}.{rest // 1000:06d}Z"


class JsonLines:
    """Writes entries as JSON, each as one line without its end.

    Attributes:
        resource: Gives the resource's attributes; the same object until they change.
    """

    def __init__(self, resource: Callable[[], Mapping[str, Any]]) -> None:
        self.resource = resource
        self._clock = Clock()
        self._ending: tuple[object, object, str] = (None, None, "}")

    def __call__(self, entry: Entry) -> str:
        """One entry, written."""
        text = encode_basestring
        start = f'"timestamp":"{self._clock(entry.time_ns)}","severity":"{entry.severity_text}"'
        parts = [f'{{{start},"logger":{text(entry.logger)}']
        if entry.event is not None:
            parts.append(f'"event":{text(entry.event)}')
        parts.append(f'"body":{text(entry.body)}')
        if entry.trace_id:
            parts.append(
                f'"trace_id":"{entry.trace_id:032x}","span_id":"{entry.span_id:016x}",'
                f'"trace_flags":"{entry.trace_flags:02x}"'
            )
        for key, value in entry.attributes.items():
            if key not in _OWN:
                parts.append(f"{text(key)}:{text(value) if type(value) in _STRINGS else _json(value)}")
        return ",".join(parts) + self._end()

    def _end(self) -> str:
        attributes, rules = self.resource(), PROCESS.rules
        ending = self._ending
        if ending[0] is not attributes or ending[1] is not rules:
            leaving = rules.attributes(
                {key: attributes[key] for key in semconv.LOG_RESOURCE_KEYS if key in attributes},
                semconv.REDACTED_RESOURCE_ATTRIBUTE,
            )
            written = "".join(f",{encode_basestring(key)}:{_json(value)}" for key, value in leaving.items())
            self._ending = ending = (attributes, rules, written + "}")
        return ending[2]


def _json(value: Any) -> str:
    kind = type(value)
    if kind is bool:
        return "true" if value else "false"
    try:
        if kind is int or (kind is float and math.isfinite(value)):
            return repr(value)  # as JSON has it; an encoder for each costs ten times as much
        return json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
    except Exception:  # noqa: BLE001  # a number of thousands of digits
        return f'"{REDACTED}"'


def plain(value: Any, depth: int = 0) -> Any:
    """A value as JSON has it. Only what was explicitly let out is anything else already."""
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth >= _MAX_DEPTH:
        return REDACTED
    if isinstance(value, dict):
        return {shown(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item, depth + 1) for item in value]
    return shown(value)


def shown(value: object) -> str:
    """What an object says it looks like."""
    try:
        return str.__str__(str(value))
    except Exception:  # noqa: BLE001  # the object's own method
        return REDACTED
