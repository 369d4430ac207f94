"""Puts our handlers where every record passes, beside the user's own, and keeps them there."""

from __future__ import annotations

import functools
import logging
import logging.config
import threading
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import _logs, trace

from otelext.capture.failure import report, report_setup
from otelext.logs.last_resort import keep_last_resort
from otelext.logs.levels import Levels, levels_of
from otelext.logs.lines import JsonLines
from otelext.logs.relays import Relay, add_relays, remove_relays
from otelext.logs.sinks import LinesHandler, StandardError
from otelext.logs.takeover import is_code_asked_for, otlp_handler, take_over

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from otelext.logs.entry import Entry
    from otelext.logs.sinks import Sink

JSON: Final = "json"
CONSOLE: Final = "console"
NONE: Final = "none"
FORMATS: Final = (JSON, CONSOLE, NONE)

FILE_SIZE: Final = 64 * 1024 * 1024
FILE_COUNT: Final = 5

_OF_TELEMETRY: Final = frozenset({"otelext", "opentelemetry"})
_EMPTY: Final[Mapping[str, Any]] = MappingProxyType({})


class Installed:
    """What is installed in this process.

    Attributes:
        handlers: Our handlers at the root, in their order.
        levels: Levels that were asked for.
    """

    def __init__(self) -> None:
        self.handlers: list[logging.Handler] = []
        self.levels = Levels()
        self.done = False
        self._replaced: list[tuple[Any, str, Callable[..., Any]]] = []
        self._filters: list[Callable[[logging.LogRecord], bool]] = []
        self._lock = threading.RLock()

    def install(self, form: str, level: str, file: str, file_size: int, file_count: int, *, otlp: bool) -> None:
        """As `install`."""
        with self._lock:
            if not self.done:
                self.done = True
                self.levels = levels_of(level, "OTELEXT_LOG_LEVEL")
                lines = _lines(form, file, file_size, file_count)
                exporting = take_over(None) or (otlp_handler() if otlp else None)
                if exporting is not None:
                    self.handlers.append(exporting)
                    if lines is None:
                        keep_last_resort(exporting, self.is_ours)
                if lines is not None:
                    self.handlers.append(lines)
                self._keep()
            else:
                exporting = next((h for h in self.handlers if not isinstance(h, LinesHandler)), None)
                found = take_over(exporting)
                if found is not None and exporting is None:
                    self.handlers.insert(0, found)
            self.settle()

    def _keep(self) -> None:
        """Let functions that configure logging leave our handlers in place."""
        for place, name, wrapped in (
            (logging.config, "dictConfig", _settling),
            (logging.config, "fileConfig", _settling),
            (logging, "basicConfig", _unseen),
        ):
            function = getattr(place, name)
            self._replaced.append((place, name, function))
            setattr(place, name, wrapped(self, function))

    def settle(self) -> None:
        """See to it that every record passes our handlers, and set the levels that were asked for."""
        root = logging.getLogger()
        for handler in self.handlers:
            for lets in self._filters:
                handler.addFilter(lets)
            if handler not in root.handlers:
                root.addHandler(handler)
        add_relays(self.handlers)
        self.levels.apply()

    def uninstall(self) -> None:
        """As `uninstall`."""
        with self._lock:
            remove_relays()
            for handler in self.handlers:
                logging.getLogger().removeHandler(handler)
                handler.close()
            for place, name, function in self._replaced:
                setattr(place, name, function)
            self._replaced.clear()
            self.handlers, self.levels, self.done = [], Levels(), False

    def add_filter(self, lets: Callable[[logging.LogRecord], bool]) -> None:
        """Give records to our handlers only if `lets` says so."""
        with self._lock:
            if lets not in self._filters:
                self._filters.append(lets)
            for handler in self.handlers:
                handler.addFilter(lets)

    def is_ours(self, handler: logging.Handler) -> bool:
        """Whether a handler is one of ours."""
        return type(handler) is Relay or handler in self.handlers

    def publish(self, entry: Entry) -> None:
        """Hand an entry that is no record's to our handlers."""
        if self.levels.lets(entry.logger, entry.level):
            for handler in self.handlers:
                handler.publish(entry)  # type: ignore[attr-defined]  # all of ours have it


INSTALLED: Final = Installed()
"""What is installed in this process."""


def install(
    *,
    format: str = JSON,  # noqa: A002  # as the setting is called
    level: str = "",
    file: str = "",
    file_size: int = FILE_SIZE,
    file_count: int = FILE_COUNT,
    otlp: bool = True,
) -> None:
    """Give log records to the OpenTelemetry SDK, and write them as lines. Never raises.

    Handlers and levels of the user's stay; ours are put beside them, and stay when `logging.config` or `basicConfig`
    is called later. A second call takes over what the logging instrumentation added since, and changes nothing else.

    Args:
        format: `json`, `console`, or `none` for no lines.
        level: Levels of loggers, such as `info,uvicorn.access=warning`; empty for leaving them alone.
        file: Where lines go; empty for standard error.
        file_size: Bytes of one file before a new one is begun.
        file_count: Full files that are kept.
        otlp: Whether log records are given to the SDK where nobody did so before. It imports the logging
            instrumentation.
    """
    try:
        INSTALLED.install(format, level, file, file_size, file_count, otlp=otlp)
    except Exception:  # noqa: BLE001  # the service runs on without
        report("otelext could not set up logging", exc_info=True)


def settle() -> None:
    """Put our handlers back where something took them away, such as Celery as it sets logging up. Never raises."""
    if INSTALLED.done:
        _settle(INSTALLED)


def write(entry: Entry) -> None:
    """Write an entry as a line, past the SDK. Never raises."""
    for handler in INSTALLED.handlers:
        if isinstance(handler, LinesHandler):
            handler.publish(entry)


def uninstall() -> None:
    """Take our handlers away and leave logging as it is otherwise; for tests."""
    INSTALLED.uninstall()


def lines_handler(form: str, sink: Sink | None = None) -> LinesHandler:
    """A handler that writes lines.

    Args:
        form: `json` or `console`.
        sink: Where they go; standard error if None.
    """
    code = is_code_asked_for()
    if form == CONSOLE:
        from otelext.logs.console import console_line  # noqa: PLC0415  # few ask for it

        return LinesHandler(console_line, sink or StandardError(), code=code)
    return LinesHandler(JsonLines(_resource), sink or StandardError(), code=code)


def _lines(form: str, file: str, size: int, count: int) -> LinesHandler | None:
    name = form.strip().lower()
    if name not in FORMATS:
        report_setup("otelext: OTELEXT_LOG_FORMAT=%s is none of %s; %s is taken", form, ", ".join(FORMATS), JSON)
        name = JSON
    if name == NONE:
        return None
    return lines_handler(name, _sink(file, size, count))


def _sink(file: str, size: int, count: int) -> Sink:
    if not file:
        return StandardError()
    try:
        from otelext.logs.files import RotatingFile  # noqa: PLC0415  # an extra

        return RotatingFile(file, size, count)
    except ImportError:
        report_setup(
            'otelext: OTELEXT_LOG_FILE needs concurrent-log-handler (pip install "otelext[logs]"); log lines go to'
            " standard error"
        )
    except OSError as error:
        report_setup(
            "otelext: OTELEXT_LOG_FILE=%s can't be written (%s); log lines go to standard error", file, error.strerror
        )
    return StandardError()


def _resource() -> Mapping[str, Any]:
    for provider in (_logs.get_logger_provider(), trace.get_tracer_provider()):
        resource = getattr(provider, "resource", None)
        if resource is not None:
            attributes: Mapping[str, Any] = resource.attributes
            return attributes
    return _EMPTY


def _settling(installed: Installed, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def configure(*args: Any, **kwargs: Any) -> Any:
        heard = _heard()
        try:
            return function(*args, **kwargs)
        finally:
            for logger in heard:
                logger.disabled = False
            _settle(installed)

    return configure


def _heard() -> list[logging.Logger]:
    """Loggers that tell what is wrong with telemetry, and that nobody has disabled.

    `logging.config` disables by default whatever logger it does not name.
    """
    return [
        logger
        for name, logger in tuple(logging.Logger.manager.loggerDict.items())
        if isinstance(logger, logging.Logger) and not logger.disabled and name.partition(".")[0] in _OF_TELEMETRY
    ]


def _unseen(installed: Installed, function: Callable[..., Any]) -> Callable[..., Any]:
    """`basicConfig` does nothing where the root has a handler: to it, ours are none."""

    @functools.wraps(function)
    def configure(*args: Any, **kwargs: Any) -> Any:
        root = logging.getLogger()
        if all(map(installed.is_ours, root.handlers)):
            for handler in installed.handlers:
                root.removeHandler(handler)
        try:
            return function(*args, **kwargs)
        finally:
            _settle(installed)

    return configure


def _settle(installed: Installed) -> None:
    try:
        installed.settle()
    except Exception:  # noqa: BLE001  # logging is configured as the user asked
        report("otelext could not put its log handlers back", exc_info=True)
