"""A span processor that ties otelext's worker to a tracer provider's flush and shutdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.sdk.trace import SpanProcessor

if TYPE_CHECKING:
    from otelext.emit.worker import Worker

_SHUTDOWN_TIMEOUT_S = 5.0


class GenAISpanProcessor(SpanProcessor):
    """Drains the worker when its provider is flushed or shut down.

    It stands first among a provider's processors, since they run in the order of registration: behind a batch
    processor it would hand spans over after that has closed.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def shutdown(self) -> None:
        """Emit what is queued, while the processors behind this one still take spans."""
        self._worker.force_flush(_SHUTDOWN_TIMEOUT_S)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        """Emit what is queued.

        Args:
            timeout_millis: Milliseconds at most.

        Returns:
            Whether everything was emitted in time.
        """
        return self._worker.force_flush(timeout_millis / 1000)
