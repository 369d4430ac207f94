"""One histogram series: an attribute set of an instrument, fed by the shortest way the SDK allows.

`Histogram.record` cleans and hashes the attributes anew for each value. A series does that once, through the SDK
itself, and from then on feeds the SDK's own aggregations, so that temporality, views, buckets and exemplars stay
the SDK's. Where the SDK's internals look different, it goes on by `record`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.metrics import Histogram


class _Measurement:
    """What an aggregation of the SDK reads of `opentelemetry.sdk.metrics._internal.measurement.Measurement`."""

    __slots__ = ("attributes", "context", "time_unix_nano", "value")

    def __init__(self, value: float, time_unix_nano: int, attributes: dict[str, str], context: Context) -> None:
        self.value = value
        self.time_unix_nano = time_unix_nano
        self.attributes = attributes
        self.context = context


class HistogramSeries:
    """A histogram with one attribute set."""

    __slots__ = ("_aggregations", "_attributes", "_consumer", "_filter", "_instrument", "_storages")

    def __init__(self, instrument: Histogram, attributes: dict[str, str]) -> None:
        self._instrument = instrument
        self._attributes = attributes
        # None for a provider that is not the SDK's: then every value goes by `record`.
        consumer: Any = getattr(instrument, "_measurement_consumer", None)
        self._consumer = consumer if hasattr(consumer, "_reader_storages") else None
        self._storages: object = None
        self._aggregations: list[Any] = []
        self._filter: Any = None

    def record(self, value: float, time_unix_nano: int, context: Context, *, sampled: bool) -> None:
        """Record a value.

        Args:
            value: In the instrument's unit, not negative.
            time_unix_nano: When it was measured.
            context: Holds the span that an exemplar points to.
            sampled: Whether that span is sampled.
        """
        consumer = self._consumer
        if consumer is None or consumer._reader_storages is not self._storages:  # noqa: SLF001  # see the module
            self._instrument.record(value, self._attributes, context)
            if consumer is not None:
                self._resolve(consumer)
            return
        measurement = _Measurement(value, time_unix_nano, self._attributes, context)
        keep = sampled if self._filter is None else self._filter(value, time_unix_nano, self._attributes, context)
        try:
            for aggregation in self._aggregations:
                aggregation.aggregate(measurement, keep)
        except (AttributeError, TypeError):  # it asks more of a measurement than it did
            self._consumer = None
            self._instrument.record(value, self._attributes, context)

    def _resolve(self, consumer: Any) -> None:  # the SDK's internals
        from opentelemetry.sdk.metrics import TraceBasedExemplarFilter  # noqa: PLC0415  # never for another provider
        from opentelemetry.sdk.metrics._internal._view_instrument_match import (  # noqa: PLC0415
            _hash_attributes,
        )

        try:
            storages = consumer._reader_storages  # noqa: SLF001
            found = []
            for storage in storages.values():
                for match in storage._get_or_init_view_instrument_match(self._instrument):  # noqa: SLF001
                    keys = match._view._attribute_keys  # noqa: SLF001
                    kept = {k: v for k, v in self._attributes.items() if keys is None or k in keys}
                    found.append(match._attributes_aggregation[_hash_attributes(kept)])  # noqa: SLF001
            exemplar_filter = consumer._sdk_config.exemplar_filter  # noqa: SLF001
        except (AttributeError, KeyError, TypeError):
            self._consumer = None
            return
        self._aggregations = found
        self._filter = None if type(exemplar_filter) is TraceBasedExemplarFilter else exemplar_filter.should_sample
        self._storages = storages
