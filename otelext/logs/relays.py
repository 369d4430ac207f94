"""How records of loggers that do not propagate reach our handlers, which stand at the root: once each."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# gunicorn makes them stop propagating by itself, whenever it starts.
_IN_ADVANCE: Final = ("gunicorn.error", "gunicorn.access")
# Those of OpenTelemetry do not propagate so that what is said while exporting is not exported.
_LEFT_ALONE: Final = "opentelemetry."


class Relay(logging.Handler):
    """Hands the records of a logger to the handlers at the root, unless they get there by themselves.

    Attributes:
        logger: The logger.
        handlers: The handlers.
    """

    def __init__(self, logger: logging.Logger, handlers: Sequence[logging.Handler]) -> None:
        super().__init__()
        self.logger = logger
        self.handlers = handlers

    def handle(self, record: logging.LogRecord) -> bool:
        """Hand a record on."""
        if not self._goes_on():
            for handler in self.handlers:
                if record.levelno >= handler.level:
                    handler.handle(record)
        return True

    def _goes_on(self) -> bool:
        logger: logging.Logger | None = self.logger
        while logger is not None and logger.propagate:
            logger = logger.parent
            if logger is not None and any(type(h) is Relay or h in self.handlers for h in logger.handlers):
                return True
        return False


def add_relays(handlers: Sequence[logging.Handler]) -> None:
    """Put a relay on each logger that does not propagate and has none."""
    for name in _IN_ADVANCE:
        _add(logging.getLogger(name), handlers)
    for logger in _loggers():
        if not logger.propagate and not logger.name.startswith(_LEFT_ALONE):
            _add(logger, handlers)


def remove_relays() -> None:
    """Take the relays away."""
    for logger in _loggers():
        for handler in tuple(logger.handlers):
            if type(handler) is Relay:
                logger.removeHandler(handler)


def _add(logger: logging.Logger, handlers: Sequence[logging.Handler]) -> None:
    if not any(type(handler) is Relay for handler in logger.handlers):
        logger.addHandler(Relay(logger, handlers))


def _loggers() -> Iterator[logging.Logger]:
    for logger in tuple(logging.Logger.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            yield logger
