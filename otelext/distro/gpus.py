"""GPU telemetry of this process: one poller, its metrics on the global provider, and the inferences that energy is for."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.environment_variables import OTEL_SERVICE_NAME

from otelext import _attach, semconv
from otelext.capture.failure import report_setup
from otelext.capture.inference import OPEN
from otelext.constant import Constant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelext.capture import Inference
    from otelext.distro.config import Config
    from otelext.gpu.energy.account import EnergyAccount
    from otelext.gpu.lease import Lease
    from otelext.gpu.poller import Poller
    from otelext.gpu.snapshot import Device, Snapshot

_logger = logging.getLogger("otelext")
MOST_CLOSED: Final = 100_000
"""Ended inferences that wait for the next reading of the GPUs; of more, the oldest are left out of the energy."""
_FLUSH_S: Final = 0.5


class InferenceIntervals:
    """When this process's inferences ran, by the clock of `time.perf_counter_ns`: what energy is shared out by."""

    def __init__(self, most: int = MOST_CLOSED) -> None:
        self._closed: deque[tuple[int, str | None, int, int]] = deque()
        self._most = most

    def observe(self, inference: Inference) -> None:
        """Take an inference that has ended; an observer of the worker."""
        if inference.end_ns is None:
            return
        if len(self._closed) >= self._most:
            self._closed.popleft()
            report_setup(
                "otelext: over %d inferences ended between two readings of the GPUs: energy is short of some",
                self._most,
            )
        self._closed.append((id(inference), _bounded(inference.model), inference.start_ns, inference.end_ns))

    def __call__(self) -> list[tuple[str | None, int, int | None]]:
        """Model, start and end of every inference that ended since the last call, and, without an end, of those open."""
        running = [(id(inference), inference.model, inference.start_ns) for inference in OPEN.copy()]
        # What has ended may still wait for the worker. Looked at before: what ends meanwhile would be neither.
        _attach.worker.force_flush(_FLUSH_S)
        closed = []
        while self._closed:
            closed.append(self._closed.popleft())
        ended = {(which, start_ns) for which, _, start_ns, _ in closed}
        return [
            *((model, start_ns, end_ns) for _, model, start_ns, end_ns in closed),
            *(
                (_bounded(model), start_ns, None)
                for which, model, start_ns in running
                if (which, start_ns) not in ended
            ),
        ]

    def clear(self) -> None:
        """Forget all, as a forked child does."""
        self._closed.clear()


def _bounded(model: str | None) -> str | None:
    return None if model is None else _attach.limits.admit(semconv.REQUEST_MODEL, model)


class Gpus:
    """What this process has of GPU telemetry.

    Attributes:
        poller: Reads the GPUs; None where none are read.
    """

    def __init__(self) -> None:
        self.poller: Poller | None = None
        self._config: Config | None = None
        self._absent = False
        self._intervals = InferenceIntervals()

    def prepare(self, config: Config) -> None:
        """Begin to read the GPUs, once, unless the user doesn't want them read. Returns at once."""
        if not config.gpu or self._config is not None:
            return
        self._config = config
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._after_fork_in_child
            )
        self._begin()

    def _begin(self) -> None:
        # On a thread already, since a start is not to wait for what only machines with GPUs need.
        threading.Thread(target=self._start, name="otelext-gpu-start", daemon=True).start()

    def _start(self) -> None:
        from otelext.gpu.nvml import NoNvmlError, check_library  # noqa: PLC0415  # as above

        try:
            check_library()
        except NoNvmlError as error:
            self._absent = True
            _logger.info(Constant(f"otelext: no GPU telemetry: {error}"))
            return
        from otelext.gpu.observed import Observed  # noqa: PLC0415  # as above
        from otelext.gpu.poller import Poller  # noqa: PLC0415

        config = self._config
        assert config is not None  # prepared

        def found() -> None:
            _attach.worker.observers.append(self._intervals.observe)
            _attach.observe(observed.reads)

        poller = Poller(
            config.gpu_interval,
            share=lambda: _shared(config),
            intervals=self._intervals,
            uses=_used,
            found=found,
        )
        observed = Observed(poller, visible=_visible, only=config.gpu_metrics)
        self.poller = poller
        poller.start()

    def _before_fork(self) -> None:
        if self.poller is not None:
            self.poller.before_fork()

    def _after_fork(self) -> None:
        if self.poller is not None:
            self.poller.after_fork_in_parent()

    def _after_fork_in_child(self) -> None:
        self._intervals.clear()
        if self.poller is not None:
            self.poller.after_fork_in_child()
        elif not self._absent:  # the thread that was to make it is the parent's
            self._begin()


def _visible(devices: Sequence[Device]) -> tuple[Device, ...]:
    from otelext.gpu.visible import VARIABLE, visible_devices  # noqa: PLC0415  # only where there is a GPU

    return visible_devices(os.environ.get(VARIABLE), devices)


def _used(snapshot: Snapshot) -> set[str]:
    from otelext.gpu.ownership import used  # noqa: PLC0415  # only where there is a GPU

    return used(snapshot.processes, _visible(snapshot.known), os.getpid())


def _shared(config: Config) -> tuple[Lease | None, EnergyAccount]:
    """The lease of this host and the account of this process, once there is something to read."""
    from otelext.gpu.energy.account import EnergyAccount  # noqa: PLC0415  # only where there is a GPU
    from otelext.gpu.lease import Lease, usable_folder  # noqa: PLC0415

    folder = usable_folder(config.gpu_folder)
    if folder is None:
        report_setup(
            "otelext: no folder to share with the other processes of this host (OTELEXT_GPU_FOLDER=%s), so that this one"
            " exports no GPU but what is its own",
            config.gpu_folder,
        )
        return None, EnergyAccount(None, config.gpu_interval)
    return Lease(folder, os.environ.get(OTEL_SERVICE_NAME, "")), EnergyAccount(folder, config.gpu_interval)


GPUS: Final = Gpus()
