"""Exporters that fail say so once a minute at most, whatever signal they belong to."""

from __future__ import annotations

import logging
from time import monotonic
from typing import Final

from otelext.distro.delivery import UndeliveredError

_INTERVAL_S: Final = 60.0
_LOGGERS: Final = (
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.sdk.metrics._internal.export",
)


class OncePerMinute(logging.Filter):
    """Lets a warning through once a minute, whatever its arguments; what was said elsewhere already not at all."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether `record` is logged."""
        if record.levelno < logging.WARNING:
            return True
        raised = record.exc_info[1] if record.exc_info else None
        if any(isinstance(found, UndeliveredError) for found in (raised, *(record.args or ()))):
            return False
        now = monotonic()
        last = self._last.get(record.msg)
        if last is not None and now - last < _INTERVAL_S:
            return False
        self._last[record.msg] = now
        return True


_FILTER: Final = OncePerMinute()


def quieten() -> None:
    """Put the filter on the loggers of the SDK and its exporters, once."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)
