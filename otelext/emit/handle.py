"""One record out of the worker's queue: what is emitted for it, and that it is emitted once."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from otelext.capture.inference import Inference
from otelext.capture.span import Span
from otelext.capture.stage import RunningStage
from otelext.capture.timing import Figures
from otelext.emit import metrics
from otelext.emit.instruments import Instruments

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from otelext.capture.binding import Binding
    from otelext.emit.worker import Worker


@functools.cache
def _spans() -> ModuleType:
    from otelext.emit import spans  # noqa: PLC0415  # light spans are the SDK's; elsewhere it stays unloaded

    return spans


class Attached:
    """Says that a binding is there: its meter provider gets what it still awaits, without a request having to wait."""

    __slots__ = ("binding",)

    def __init__(self, binding: Binding) -> None:
        self.binding = binding

    def emit(self, to: Instruments) -> None:
        """Nothing: what is awaited comes with the rest."""


class Handler:
    """Emits records and remembers which meter providers still wait for their values."""

    def __init__(self) -> None:
        self.worker: Worker | None = None
        self._touched: dict[int, Instruments] = {}

    def __call__(self, record: Any) -> None:
        """Emit an inference, a stage outside of one, or any other record by its own `emit`."""
        if type(record) is Inference:
            self._inference(record)
        elif type(record) is RunningStage:
            self._stage(record, self._instruments(record))
        else:
            instruments = self._instruments(record)
            if instruments is not None:
                record.emit(instruments)

    def after_fork(self) -> None:
        """Forget what the parent had not delivered."""
        self._touched = {}

    def after_batch(self) -> None:
        """Deliver the values."""
        touched, self._touched = self._touched, {}
        for instruments in touched.values():
            self._guard(instruments.flush)

    def _instruments(self, record: Any) -> Instruments | None:
        instruments = record.binding.instruments
        if not isinstance(instruments, Instruments):
            return None
        self._touched[id(instruments)] = instruments
        return instruments

    def _inference(self, inference: Inference) -> None:
        if inference.collected:
            return
        inference.collected = True
        instruments = self._instruments(inference)
        figures = Figures(inference)
        ended = [running for running in inference.stages if running.end_ns is not None and not running.collected]
        for running in ended:
            running.collected = True
            if type(running.span) is Span:
                self._guard(_spans().end_stage, running)
        if type(inference.span) is Span:
            self._guard(_spans().end_inference, inference, figures)
        if instruments is not None:
            self._guard(metrics.record_inference, inference, figures, ended, instruments)
        if self.worker is not None:
            self.worker.notify(inference)

    def _stage(self, running: RunningStage, instruments: Instruments | None) -> None:
        if running.collected or running.end_ns is None:
            return
        running.collected = True
        if type(running.span) is Span:
            self._guard(_spans().end_stage, running)
        if instruments is not None:
            self._guard(metrics.record_stage, running, instruments)

    def _guard(self, call: Callable[..., None], *args: Any) -> None:
        try:
            call(*args)
        except Exception:  # noqa: BLE001  # one failing processor must not cost the metrics, nor the other way round
            if self.worker is not None:
                self.worker.failed()
