"""Where in the program a record was logged: file, function and line, where `OTEL_PYTHON_LOG_CODE_ATTRIBUTES` asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from otelext import semconv
from otelext.constant import REDACTED
from otelext.processors.redaction import literals
from otelext.processors.redaction.text import short_path

if TYPE_CHECKING:
    import logging

_MAX_PLACES: Final = 4096
_places: Final[dict[tuple[str, str | None], tuple[str, str]]] = {}


def code_of(record: logging.LogRecord) -> dict[str, Any]:
    """The attributes that say where a record was logged. Never raises. Of code that was made at run time the line alone is told."""
    key = record.pathname, record.funcName
    try:
        place = _places.get(key)
        if place is None:
            place = _place(*key)
            if len(_places) < _MAX_PLACES:
                _places[key] = place
    except Exception:  # noqa: BLE001  # a record that somebody made of anything
        return {}
    return {
        semconv.CODE_FILE_PATH: place[0],
        semconv.CODE_FUNCTION_NAME: place[1],
        semconv.CODE_LINE_NUMBER: record.lineno,
    }


def _place(filename: str, function: str | None) -> tuple[str, str]:
    if not literals.holds(filename, function or ""):
        return REDACTED, REDACTED
    return short_path(filename), function or ""
