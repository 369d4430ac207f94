"""Our metric views: each bounds the attributes of a catalogue metric to the catalogue's, the last those of all others.

They reach instruments that have not measured yet. Where a view of the user's matches an instrument (it drops, renames or
changes buckets), ours stand back: the SDK would otherwise emit both streams. What they keep off is never aggregated, so
that redaction at the exporter, which holds whatever the views are, seldom has points to merge.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.metrics.view import View

from otelext import semconv
from otelext.capture.failure import report
from otelext.processors.redaction.counts import COUNTS
from otelext.processors.redaction.rules import NEVER_ON_POINTS, PROCESS
from otelext.semconv import Producer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otelext.processors.redaction.rules import Rules
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


class _AllowedKeys:
    """The keys that may leave on a data point, as the SDK asks a view: `key in keys`, for each attribute measured."""

    __slots__ = ("_seen",)

    def __init__(self) -> None:
        self._seen: tuple[Rules, frozenset[str]]
        self._read()

    def __contains__(self, key: object) -> bool:  # in requests; a set would take 0.1 µs less, but counts nothing
        rules, names = self._seen
        if rules is not PROCESS.rules:
            names = self._read()
        return key in names or self._opens(key)

    def _read(self) -> frozenset[str]:
        rules = PROCESS.rules
        names = rules.names - NEVER_ON_POINTS
        self._seen = (rules, names)
        return names

    def _opens(self, key: object) -> bool:
        if PROCESS.rules.captures("metric_attributes"):
            return key not in NEVER_ON_POINTS
        COUNTS.add(semconv.REDACTED_METRIC_ATTRIBUTE)
        return False


class AllowedView(View):
    """Keeps attributes that may not leave off every metric that no other view is there for."""

    def __init__(self, others: Sequence[View]) -> None:
        super().__init__(instrument_name="*")
        self._attribute_keys = _AllowedKeys()  # type: ignore[assignment]  # all that is asked of the set
        self._others = tuple(others)

    def _match(self, instrument: Any) -> bool:
        return not any(other._match(instrument) for other in self._others)  # noqa: SLF001


class _NoConflicts(logging.Filter):
    """Leaves out what the SDK says of our last view where two scopes have an instrument of one name.

    It compares streams by name and unit, whatever their scopes, and those of its own default view not at all.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether `record` is logged."""
        return not isinstance(record.args, tuple) or not any(isinstance(a, AllowedView) for a in record.args)


_NO_CONFLICTS: Final = _NoConflicts()
_STORAGE_LOGGER: Final = "opentelemetry.sdk.metrics._internal.metric_reader_storage"


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
        before = [
            *views,
            *(CatalogueView(m, tuple(views)) for m in semconv.METRICS.values() if m.producer is not Producer.FOREIGN),
        ]
        config.views = [*before, AllowedView(before)]
        logging.getLogger(_STORAGE_LOGGER).addFilter(_NO_CONFLICTS)
    except Exception:  # noqa: BLE001  # metrics go without our views
        report("otelext could not add its metric views", exc_info=True)
        return False
    return True
