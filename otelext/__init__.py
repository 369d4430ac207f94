"""OpenTelemetry-first tracing and metrics for vision-language-model services.

The public face: `inference`, `stage`, `current_inference`, `Inference`, `Outcome`, `configure`, `force_flush`,
`facts`. Importing it loads the OpenTelemetry API alone; the SDK is loaded by `configure()`, or was loaded already
by whoever set a global provider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otelext import facts
from otelext._version import __version__
from otelext.capture import Inference, current_inference, inference, stage
from otelext.capture.binding import register_attach
from otelext.semconv import Outcome

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

    from otelext.capture.binding import Binding

__all__ = [
    "Inference",
    "Outcome",
    "__version__",
    "configure",
    "current_inference",
    "facts",
    "force_flush",
    "inference",
    "stage",
]


def configure(**overrides: Any) -> None:  # typed where they are read
    """Configure OpenTelemetry and otelext in code, as `opentelemetry-instrument` does without.

    Args:
        overrides: Fields of `otelext.distro.config.Config`; they go before the environment.

    Raises:
        TypeError: If an override has no such field or the wrong type.
    """
    from otelext.distro import configure as configure_all  # noqa: PLC0415  # loads the SDK

    configure_all(**overrides)


def force_flush(timeout: float = 5.0) -> bool:
    """Emit what is queued, then flush metrics, logs and spans.

    `MeterProvider.force_flush()` alone does not drain otelext's worker.

    Args:
        timeout: Seconds for all of it together.

    Returns:
        Whether everything was flushed in time.
    """
    from otelext import _attach  # noqa: PLC0415  # see the module's docstring

    return _attach.force_flush(timeout)


def _attach_to(tracer_provider: TracerProvider, meter_provider: MeterProvider) -> Binding:
    from otelext import _attach  # noqa: PLC0415  # see the module's docstring

    return _attach.attach(tracer_provider, meter_provider)


register_attach(_attach_to)
