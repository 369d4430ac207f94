"""Joins the worker and our span processor to the global providers, inside the first inference: once, without I/O.

Imported lazily through the callable that `otelext/__init__.py` registers with capture. It loads the SDK only where
a provider is the SDK's, hence loaded already; other providers are used by the API alone.
May import: `otelext.capture`, `otelext.emit`, `otelext.processors`.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING, Any, Final
from weakref import WeakKeyDictionary

from opentelemetry import metrics, trace
from opentelemetry.metrics import NoOpMeter
from opentelemetry.trace import NoOpTracer, ProxyTracerProvider

from otelext import semconv
from otelext._version import __version__
from otelext.capture.binding import Binding, current_binding, rebind
from otelext.capture.failure import report
from otelext.capture.gauges import LOADED_MODELS, QUEUES, is_size
from otelext.capture.inference import OPEN
from otelext.capture.measure import DECLARED_MODELS
from otelext.emit.handle import Attached
from otelext.emit.instruments import Instruments
from otelext.emit.limits import ValueLimits
from otelext.emit.process import HANDLER, WORKER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Tracer, TracerProvider

_EXIT_TIMEOUT_S: Final = 5.0


def _names(listed: str) -> list[str]:
    return [name for name in (part.strip() for part in listed.split(",")) if name]


worker: Final = WORKER
limits: Final = ValueLimits()
limits.declare(semconv.REQUEST_MODEL, DECLARED_MODELS)
limits.declare(semconv.REQUEST_MODEL, _names(os.environ.get("OTELEXT_MODELS", "")))
before_use: Final[list[Callable[[Any, Any], None]]] = []
"""Called with each new pair of providers before anything is recorded on them; the distro's redaction is one."""
_instruments: WeakKeyDictionary[MeterProvider, Instruments] = WeakKeyDictionary()


def attach(tracer_provider: TracerProvider, meter_provider: MeterProvider) -> Binding:
    """The binding for a pair of global providers.

    Returns:
        A binding whose `submit` is None where neither provider records anything and the worker wants no records.
    """
    for prepare in before_use:
        prepare(tracer_provider, meter_provider)
    tracer = _tracer(tracer_provider)
    instruments = _instruments_on(meter_provider)
    if tracer is None and instruments is None and not worker.wanted:
        return Binding(tracer_provider, meter_provider)
    light = False
    is_current: Callable[[], bool] | None = None
    if tracer is not None and _is_sdk(tracer):
        from otelext.processors import lane  # noqa: PLC0415  # needs the SDK, which is loaded

        lane.join(tracer_provider, worker)
        light, is_current = lane.inspect(tracer_provider, tracer)
    # Registered anew for each new provider: what was registered last runs first, hence before the providers' own.
    atexit.unregister(_drain_at_exit)
    atexit.register(_drain_at_exit)
    binding = Binding(
        tracer_provider,
        meter_provider,
        tracer=tracer,
        light=light,
        submit=worker.submit,
        instruments=instruments,
        is_current=is_current,
    )
    worker.submit(Attached(binding))
    return binding


def _is_sdk(thing: object) -> bool:
    return type(thing).__module__.startswith("opentelemetry.sdk.")


def _tracer(provider: TracerProvider) -> Tracer | None:
    if isinstance(provider, ProxyTracerProvider):
        return None
    tracer = provider.get_tracer(semconv.SCOPE_NAME, __version__, semconv.SCHEMA_URL)
    return None if isinstance(tracer, NoOpTracer) else tracer


def _instruments_on(provider: MeterProvider) -> Instruments | None:
    from opentelemetry.metrics._internal import _ProxyMeterProvider  # noqa: PLC0415  # the API has no public name

    if isinstance(provider, _ProxyMeterProvider):
        return None
    instruments = _instruments.get(provider)
    if instruments is None:
        if isinstance(provider.get_meter(semconv.SCOPE_NAME, __version__, semconv.SCHEMA_URL), NoOpMeter):
            return None
        instruments = Instruments(provider, limits)
        for metric, read in tuple(_OBSERVED.items()):
            instruments.observe(semconv.METRICS[metric], read)
        _instruments[provider] = instruments
    return instruments


def _active() -> Iterable[tuple[float, dict[str, str]]]:
    by_model: Counter[str | None] = Counter()
    # Counted before the limits are asked: thousands may be open, and who exports holds the event loop meanwhile.
    for model, running in Counter(inference.model for inference in OPEN.copy()).items():
        by_model[None if model is None else limits.admit(semconv.REQUEST_MODEL, model)] += running
    _seen_active.update(by_model)
    for name in _seen_active:
        yield by_model.get(name, 0), {} if name is None else {semconv.REQUEST_MODEL: name}


_seen_active: dict[str | None, int] = {}
"""Models that were active once: they go on being reported, as 0."""


def _queues() -> Iterable[tuple[float, dict[str, str]]]:
    for name, size in tuple(QUEUES.items()):
        try:
            value = size() if callable(size) else size
        except Exception:  # noqa: BLE001  # the user's callable; the other queues are still read
            report("otelext.facts.queue: the callable of a queue raised", exc_info=True)
            continue
        if not is_size(value):
            report("otelext.facts.queue: the callable of queue %r returned %r, which is no size", name, value)
            continue
        yield int(value), {semconv.QUEUE_NAME: name}


_OBSERVED: Final[dict[str, Callable[[], Iterable[tuple[float, dict[str, str]]]]]] = {
    semconv.INFERENCES_ACTIVE.name: _active,
    semconv.QUEUE_SIZE.name: _queues,
    semconv.MODEL_LOADED.name: lambda: [
        (int(loaded), {semconv.REQUEST_MODEL: model}) for model, loaded in tuple(LOADED_MODELS.items())
    ],
    semconv.WORKER_QUEUE_SIZE.name: lambda: [(worker.queue_size, {})],
    semconv.WORKER_QUEUE_CAPACITY.name: lambda: [(worker.capacity, {})],
    semconv.WORKER_DROPPED.name: lambda: [(worker.dropped, {})],
    semconv.WORKER_ERRORS.name: lambda: [(worker.errors, {})],
}


def observe(reads: Mapping[str, Callable[[], Iterable[tuple[float, dict[str, str]]]]]) -> None:
    """Have observable instruments of the catalogue read by these, now and on whatever provider comes; once for each.

    Args:
        reads: By the metric's name; each tells values with their attributes. None may block.
    """
    _OBSERVED.update(reads)
    for instruments in tuple(_instruments.values()):
        for metric, read in reads.items():
            instruments.observe(semconv.METRICS[metric], read)
    binding = current_binding()
    if binding.submit is not None:
        binding.submit(Attached(binding))


def _drain_at_exit() -> None:
    end_open_inferences()
    worker.force_flush(_EXIT_TIMEOUT_S)


def end_open_inferences() -> None:
    """End what still runs when the process exits, so that no span and no count is lost."""
    for inference in OPEN.copy():
        try:
            inference.end_at_exit()
        except Exception:  # noqa: BLE001  # the others still end
            report("otelext could not end an inference at exit", exc_info=True)


def _after_fork_in_child() -> None:
    OPEN.clear()
    _seen_active.clear()
    worker.reset()
    HANDLER.after_fork()
    for instruments in tuple(_instruments.values()):
        instruments.after_fork()
    rebind()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def force_flush(timeout: float) -> bool:
    """Drain the worker, then flush metrics, logs and spans, within `timeout` seconds."""
    deadline = monotonic() + timeout
    done = worker.force_flush(timeout)
    providers: list[Any] = [metrics.get_meter_provider()]
    logs = sys.modules.get("opentelemetry._logs")
    if logs is not None:
        providers.append(logs.get_logger_provider())
    providers.append(trace.get_tracer_provider())
    # Each on a thread of its own: the SDK's flushes export in the caller, for as long as an exporter takes.
    # Not where a processor flushes from within the worker: there such a thread would wait for the worker in vain.
    inline = worker.drains_here
    flushes = [_Flush(provider, deadline, inline=inline) for provider in providers if hasattr(provider, "force_flush")]
    flushed = [flush.wait() for flush in flushes]
    return all(flushed) and done


class _Flush:
    """One provider's flush, under way."""

    def __init__(self, provider: Any, deadline: float, *, inline: bool) -> None:
        self._provider = provider
        self._deadline = deadline
        self._done = False
        self._thread = threading.Thread(target=self._run, name="otelext-flush", daemon=True)
        try:
            if not inline:
                self._thread.start()
        except RuntimeError:  # the interpreter is exiting
            inline = True
        if inline:
            self._run()

    def _run(self) -> None:
        try:
            left = max(1, int((self._deadline - monotonic()) * 1000))
            self._done = self._provider.force_flush(left) is not False
        except Exception:  # noqa: BLE001  # a foreign exporter or a callback; the others are still flushed
            report("otelext.force_flush: a provider raised", exc_info=True)

    def wait(self) -> bool:
        if self._thread.ident is not None:
            self._thread.join(max(0.0, self._deadline - monotonic()))
        return self._done
