"""Our OTLP handler in the place of the one that the logging instrumentation or the SDK's configurator made."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any, Final

from opentelemetry.instrumentation.environment_variables import OTEL_PYTHON_DISABLED_INSTRUMENTATIONS

from otelext.logs.levels import level_number

_MODULE: Final = "opentelemetry.instrumentation.logging"
_AUTO: Final = "OTEL_PYTHON_LOG_AUTO_INSTRUMENTATION"
_CODE_ATTRIBUTES: Final = "OTEL_PYTHON_LOG_CODE_ATTRIBUTES"
_CORRELATION: Final = "OTEL_PYTHON_LOG_CORRELATION"
_LEVEL: Final = "OTEL_PYTHON_LOG_HANDLER_LEVEL"


def otlp_handler() -> logging.Handler | None:
    """A handler as the instrumentation's variables say; None where it is switched off or not installed."""
    disabled = {name.strip() for name in os.environ.get(OTEL_PYTHON_DISABLED_INSTRUMENTATIONS, "").split(",")}
    if os.environ.get(_AUTO, "true").strip().lower() != "true" or disabled & {"logging", "*"}:
        return None
    return _made(level=level_number(os.environ.get(_LEVEL, "")) or logging.NOTSET)


def take_over(ours: logging.Handler | None) -> logging.Handler | None:
    """Replace handlers at the root that export log records past us, and put the global record factory back.

    Args:
        ours: Our handler; made after the one that is replaced if None.

    Returns:
        Our handler, None where there is none and nothing was to be replaced.
    """
    root = logging.getLogger()
    for handler in tuple(root.handlers):
        if not _exports(handler):
            continue
        ours = ours or _made(
            provider=getattr(handler, "_logger_provider", None),
            level=handler.level,
            code=getattr(handler, "_log_code_attributes", False),
        )
        if ours is not None:
            root.removeHandler(handler)
            if ours not in root.handlers:
                root.addHandler(ours)
    _put_factory_back(ours)
    return ours


def _made(provider: Any = None, level: int = logging.NOTSET, code: bool | None = None) -> logging.Handler | None:
    try:
        from otelext.logs.handler import OtlpHandler  # noqa: PLC0415  # loads the instrumentation, an extra
    except ImportError:
        return None
    if code is None:
        code = is_code_asked_for()
    return OtlpHandler(level=level, logger_provider=provider, log_code_attributes=code)


def is_code_asked_for() -> bool:
    """Whether each record is to say where in the program it was logged."""
    return os.environ.get(_CODE_ATTRIBUTES, "").strip().lower() == "true"


def is_correlation_asked_for() -> bool:
    """Whether the user wants the instrumentation's fields on every record, for a format of theirs."""
    return os.environ.get(_CORRELATION, "").strip().lower() == "true"


def _exports(handler: logging.Handler) -> bool:
    """Whether a handler is the instrumentation's or the SDK's deprecated one. A subclass is its author's."""
    kind = type(handler)
    return kind.__name__ == "LoggingHandler" and kind.__module__.startswith(("opentelemetry.sdk.", f"{_MODULE}."))


def _put_factory_back(ours: logging.Handler | None) -> None:
    instrumentor = getattr(sys.modules.get(_MODULE), "LoggingInstrumentor", None)
    if instrumentor is None:
        return
    replaced = getattr(instrumentor, "_logging_handler", None)
    if replaced is not None and ours is not None:
        instrumentor._logging_handler = ours  # noqa: SLF001  # so that `uninstrument` removes it
    wanted = is_correlation_asked_for() or callable(getattr(instrumentor, "_log_hook", None))
    before, now = getattr(instrumentor, "_old_factory", None), logging.getLogRecordFactory()
    if before is not None and not wanted and getattr(now, "__module__", None) == _MODULE:
        logging.setLogRecordFactory(before)
