"""Where Prometheus scrapes this process: the configured port, or in a spawned worker the next one that is free."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.environment_variables import OTEL_EXPORTER_PROMETHEUS_PORT

from otelext.capture.failure import report_setup
from otelext.distro.processes import is_spawned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PORTS: Final = 100
"""How many ports a worker tries; its siblings and what runs beside them take one each."""


@contextmanager
def listening() -> Iterator[None]:
    """Let the exporter that is made meanwhile listen where it can, and never raise because it can't."""
    from opentelemetry.exporter import prometheus  # noqa: PLC0415  # an extra, and only where it was asked for

    module: Any = prometheus
    original = getattr(module, "start_http_server", None)
    if original is None:  # a later exporter listens in its own way
        yield
        return
    # To look for a free port before would be a race between workers: only who listens has it.
    module.start_http_server = lambda port, addr: _listen(original, port, addr)
    try:
        yield
    finally:
        module.start_http_server = original


def _listen(start: Callable[..., object], first: int, host: str) -> None:
    error: Exception | None = None
    shown = f"[{host}]" if ":" in host else host
    for port in range(first, first + (_PORTS if is_spawned() else 1)):
        try:
            start(port=port, addr=host)
        except (OSError, OverflowError) as failed:
            error = error or failed
            if getattr(failed, "errno", None) == errno.EADDRINUSE:
                continue
            break
        if port != first:
            report_setup(
                "otelext: port %s is taken, so Prometheus has to scrape process %s at http://%s:%s/metrics",
                first,
                os.getpid(),
                shown,
                port,
            )
        return
    report_setup(
        "otelext: the Prometheus exporter can't listen on %s:%s (%s), so the metrics of this process can't be"
        " scraped; give each process a free %s",
        shown,
        first,
        getattr(error, "strerror", None) or error,
        OTEL_EXPORTER_PROMETHEUS_PORT,
    )
