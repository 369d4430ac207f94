"""GPU telemetry of this process: one poller, its metrics on the global provider, and the inferences that energy is for."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from otelext import _attach, semconv
from otelext.capture.failure import report
from otelext.capture.inference import OPEN

if TYPE_CHECKING:
    from otelext.capture import Inference
    from otelext.distro.config import Config
    from otelext.gpu.poller import Poller

MOST_CLOSED: Final = 100_000
"""Ended inferences that wait for the next reading of the GPUs; of more, the oldest are left out of the energy."""
_FLUSH_S: Final = 0.5


class InferenceIntervals:
    """When this process's inferences ran, by the clock of `time.perf_counter_ns`: what energy is shared out by."""

    def __init__(self, most: int = MOST_CLOSED) -> None:
        self._closed: deque[tuple[str | None, int, int]] = deque()
        self._most = most

    def observe(self, inference: Inference) -> None:
        """Take an inference that has ended; an observer of the worker."""
        if inference.end_ns is None:
            return
        if len(self._closed) >= self._most:
            self._closed.popleft()
            report(
                "otelext: over %d inferences ended between two readings of the GPUs: energy is short of some",
                self._most,
            )
        self._closed.append((_bounded(inference.model), inference.start_ns, inference.end_ns))

    def __call__(self) -> list[tuple[str | None, int, int | None]]:
        """Model, start and end of every inference that ended since the last call, and, without an end, of those open."""
        # What has ended may still wait for the worker, and would be neither open nor closed.
        _attach.worker.force_flush(_FLUSH_S)
        found: list[tuple[str | None, int, int | None]] = [
            (_bounded(inference.model), inference.start_ns, None) for inference in OPEN.copy()
        ]
        while self._closed:
            found.append(self._closed.popleft())
        return found

    def clear(self) -> None:
        """Forget all, as a forked child does."""
        self._closed.clear()


def _bounded(model: str | None) -> str | None:
    return None if model is None else _attach.limits.admit(semconv.REQUEST_MODEL, model)


class Gpus:
    """What this process has of GPU telemetry.

    Attributes:
        poller: The thread; None where GPUs are not read.
    """

    def __init__(self) -> None:
        self.poller: Poller | None = None

    def prepare(self, config: Config) -> None:
        """Begin to read the GPUs, once, unless the user doesn't want them read. Returns at once."""
        if not config.gpu or self.poller is not None:
            return
        from otelext.gpu.energy import EnergyAccount  # noqa: PLC0415  # only where GPUs may be read
        from otelext.gpu.folder import shared_folder  # noqa: PLC0415
        from otelext.gpu.lease import Lease  # noqa: PLC0415
        from otelext.gpu.observed import Observed  # noqa: PLC0415
        from otelext.gpu.ownership import used  # noqa: PLC0415
        from otelext.gpu.poller import Poller  # noqa: PLC0415

        intervals = InferenceIntervals()
