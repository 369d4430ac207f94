"""Exemplars of the chosen traces alone, for the instruments of every library.

The SDK takes its exemplar filter in the meter provider's constructor alone, and its configurator has no way to hand one
over; it reads the provider's for each value, so that ours can take the place of `trace_based` in any SDK provider.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import AlwaysOffExemplarFilter, ExemplarFilter, TraceBasedExemplarFilter

from otelext import semconv
from otelext.capture.binding import current_binding
from otelext.capture.failure import report_setup
from otelext.capture.span import Span
from otelext.distro.config import variable
from otelext.emit.exemplars import EXEMPLAR_TRACES
from otelext.emit.instruments import Instruments

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.util.types import Attributes


class ChosenTraceExemplarFilter(ExemplarFilter):
    """Lets a value through whose span is sampled, of a chosen trace, and says so.

    https://opentelemetry.io/docs/specs/otel/metrics/sdk/#exemplarfilter
    """

    def should_sample(
        self,
        value: float,  # noqa: ARG002  # the SDK's signature
        time_unix_nano: int,  # noqa: ARG002
        attributes: Attributes,  # noqa: ARG002
        context: Context,
    ) -> bool:
        """Whether the value may become an exemplar."""
        span: trace.Span | Span = trace.get_current_span(context)
        if not EXEMPLAR_TRACES.include(span.get_span_context()):
            return False
        if type(span) is Span:  # the worker lets it say so when it ends
            return True
        # A span of another process or provider says nothing, nor does one that began before our processor was there:
        # no gateway would keep its trace.
        return semconv.EXEMPLAR in (getattr(span, "attributes", None) or ())


_REPLACEABLE: Final = (TraceBasedExemplarFilter, ChosenTraceExemplarFilter)


def prepare(ratio: float | None) -> None:
    """Let a share of the traces give exemplars on the global meter provider, and their spans say so.

    Args:
        ratio: From 0 to 1; None for all traces, without a word on their spans.
    """
    provider = metrics.get_meter_provider()
    if not choose(provider, ratio):
        found = getattr(getattr(provider, "_sdk_config", None), "exemplar_filter", provider)
        report_setup(
            "otelext: %s=%g does not hold beside %s", variable("exemplar_ratio"), ratio, type(found).__qualname__
        )
    instruments = current_binding().instruments
    if isinstance(instruments, Instruments):
        instruments.forget_series()


def choose(provider: Any, ratio: float | None) -> bool:
    """Choose the traces that may give exemplars on one meter provider; another choice can follow.

    Returns:
        Whether the choice holds. It does not where the user chose otherwise (`always_on`, `always_off`, a filter of
        their own) or the provider is not the SDK's, unless all traces are chosen anyway.
    """
    config = getattr(provider, "_sdk_config", None)
    found = type(getattr(config, "exemplar_filter", None))
    all_traces = ratio is None or ratio == 1
    holds = all_traces or found in _REPLACEABLE
    EXEMPLAR_TRACES.choose(ratio if holds and found is not AlwaysOffExemplarFilter else None)
    if config is not None and found in _REPLACEABLE:
        wanted = TraceBasedExemplarFilter if all_traces else ChosenTraceExemplarFilter
        if found is not wanted:
            config.exemplar_filter = wanted()
    return holds
