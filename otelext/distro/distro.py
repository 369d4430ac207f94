"""The distro that `opentelemetry-instrument` loads: sets the defaults and loads the instrumentations."""

from __future__ import annotations

import os
from typing import Any, Final

from opentelemetry.instrumentation.dependencies import DependencyConflictError
from opentelemetry.instrumentation.distro import BaseDistro  # type: ignore[attr-defined]  # its module is not typed
from opentelemetry.instrumentation.environment_variables import OTEL_PYTHON_DISABLED_INSTRUMENTATIONS

from otelext.capture.failure import report_setup
from otelext.distro import processes
from otelext.distro.variables import set_defaults
from otelext.logs.takeover import is_correlation_asked_for

_LOGGING: Final = "logging"
"""The entry point of the logging instrumentation."""


class OtelextDistro(BaseDistro):  # type: ignore[misc]
    """Sets the defaults, and lets no instrumentation that fails take the others with it."""

    def _configure(self, **_: Any) -> None:
        if processes.is_bookkeeping():
            os.environ[OTEL_PYTHON_DISABLED_INSTRUMENTATIONS] = "*"
            return
        set_defaults()

    def load_instrumentor(self, entry_point: Any, **kwargs: Any) -> None:
        """Instrument one library, unless it is already.

        Raises:
            DependencyConflictError: The library's version does not fit; the loader logs it and goes on.
            ImportError: The library is not there; likewise.
        """
        if entry_point.name == _LOGGING and not is_correlation_asked_for():
            return  # our handlers do it, without its global record factory
        try:
            instrumentor = entry_point.load()()
            if not instrumentor.is_instrumented_by_opentelemetry:
                instrumentor.instrument(**kwargs)
        except (DependencyConflictError, ImportError):
            raise
        except Exception:  # noqa: BLE001  # the loader would leave all later ones out
            report_setup(f"otelext: the instrumentation {entry_point.name!r} failed and is left out", exc_info=True)
