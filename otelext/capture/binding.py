"""What capture knows of the telemetry providers: one object, asked for at each start of an inference."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.metrics import get_meter_provider
from opentelemetry.trace import get_tracer_provider

from otelext.capture.collector import collecting
from otelext.capture.failure import report

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Tracer, TracerProvider


class Binding:
    """The global providers as one inference uses them.

    Attributes:
        tracer_provider: The global tracer provider that this binding is for.
        meter_provider: The global meter provider that this binding is for.
        tracer: Tracer of our scope, or None where the provider records nothing.
        light: Whether our own slots-only span can stand for the tracer's. Then `tracer` is the SDK's, and its
            `sampler`, `id_generator` and limits are read.
        submit: Takes a finished record, or None where nobody wants any.
        instruments: What the worker emits metrics through; capture only passes it on.
        is_current: Whether what made the lane light still holds.
    """

    __slots__ = ("instruments", "is_current", "light", "meter_provider", "submit", "tracer", "tracer_provider")

    def __init__(
        self,
        tracer_provider: TracerProvider,
        meter_provider: MeterProvider,
        *,
        tracer: Tracer | None = None,
        light: bool = False,
        submit: Callable[[Any], None] | None = None,
        instruments: object = None,
        is_current: Callable[[], bool] | None = None,
    ) -> None:
        self.tracer_provider = tracer_provider
        self.meter_provider = meter_provider
        self.tracer = tracer
        self.light = light
        self.submit = submit
        self.instruments = instruments
        self.is_current = is_current


class _Attachment:
    """The registered callable that joins the worker to providers, and the binding it made last."""

    __slots__ = ("attach", "current", "lock")

    def __init__(self) -> None:
        self.attach: Callable[[TracerProvider, MeterProvider], Binding] | None = None
        self.current: Binding | None = None
        self.lock = threading.RLock()


_ATTACHMENT: Final = _Attachment()


def register_attach(attach: Callable[[TracerProvider, MeterProvider], Binding]) -> None:
    """Name the callable that makes a binding for a pair of providers.

    It runs inside the first inference and again whenever the global providers or their processors changed.
    """
    _ATTACHMENT.attach = attach


def current_binding() -> Binding:
    """The binding for the providers that are global now. Never raises."""
    binding = _ATTACHMENT.current
    tracer_provider = get_tracer_provider()
    meter_provider = get_meter_provider()
    if (
        binding is not None
        and binding.tracer_provider is tracer_provider
        and binding.meter_provider is meter_provider
        and (binding.is_current is None or binding.is_current())
    ):
        return binding
    if collecting():  # in between may mean: halfway through this very thing
        return Binding(tracer_provider, meter_provider)
    return _bind(tracer_provider, meter_provider)


def attach_early() -> None:
    """Attach now if nothing was attached yet, where a clock is about to be read."""
    if _ATTACHMENT.current is None:
        current_binding()


def _bind(tracer_provider: TracerProvider, meter_provider: MeterProvider) -> Binding:
    with _ATTACHMENT.lock:
        binding = Binding(tracer_provider, meter_provider)
        if _ATTACHMENT.attach is not None:
            try:
                binding = _ATTACHMENT.attach(tracer_provider, meter_provider)
            except Exception:  # noqa: BLE001  # the user's request goes on without telemetry
                report("otelext could not attach to the telemetry providers", exc_info=True)
        _ATTACHMENT.current = binding
        return binding


def rebind() -> None:
    """Forget the binding, so that the next inference attaches anew (after a fork, or between tests)."""
    _ATTACHMENT.current = None
    _ATTACHMENT.lock = threading.RLock()
