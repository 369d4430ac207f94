"""Our metric views: each bounds the attributes of a catalogue metric to the catalogue's.

They reach instruments that have not measured yet. Where a view of the user's matches an instrument of ours (it drops,
renames or changes buckets), ours stands back: the SDK would otherwise emit both streams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from opentelemetry.sdk.metrics.view import View

from otelext import semconv
from otelext.capture.failure import report
from otelext.semconv import Producer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelext.semconv import Metric


class CatalogueView(View):
    """Bounds one catalogue metric's attributes, unless another view is there for it."""

    def __init__(self, metric: Metric, others: Sequence[View]) -> None:
        super().__init__(
            instrument_name=metric.name,
            meter_name=semconv.SCOPE_NAME,
            attribute_keys=set(metric.attribute_keys),
        )
        self._others = tuple(others)

    def _match(self, instrument: Any) -> bool:  # the SDK asks each view for each new instrument
        return super()._match(instrument) and not any(other._match(instrument) for other in self._others)  # noqa: SLF001  # a view's only question


def add_views(provider: Any) -> bool:
    """Add our views to an SDK meter provider, once.

    Args:
        provider: Any meter provider.

    Returns:
        Whether they are in place.
    """
    # The SDK takes views in the constructor alone, and its configurator has no way to hand any over; its storage
    # reads this sequence when an instrument measures first.
    config = getattr(provider, "_sdk_config", None)
    views = getattr(config, "views", None)
    if config is None or views is None:
        return False
    if any(isinstance(view, CatalogueView) for view in views):
        return True
    try:
        config.views = [
            *views,
            *(CatalogueView(m, tuple(views)) for m in semconv.METRICS.values() if m.producer is not Producer.FOREIGN),
        ]
    except Exception:  # noqa: BLE001  # metrics go without our views
        report("otelext could not add its metric views", exc_info=True)
        return False
    return True
