"""One series: an attribute set of an instrument, fed by the shortest way the SDK allows.

`Histogram.record` and `Counter.add` clean and hash the attributes anew for each value. A series does that once, through
the SDK itself, and from then on feeds the SDK's own aggregations, so that temporality, views, buckets and exemplars
stay the SDK's. Where the SDK's internals look different, it goes on by `record` and `add`.

Values wait in the series until `flush`. A bucket keeps the exemplar that came last, so that of several values in it all
but the last are never offered as one: offering is what costs most.
"""

from __future__ import annotations

from bisect import bisect_left
from time import time_ns
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from opentelemetry.metrics import Counter, Histogram

    Value = tuple[float, int, Context, bool]
    """A value, when it was measured (Unix time in nanoseconds), the context that holds its span, whether that is sampled."""

_NO_SPAN: Final = Context()


class _Measurement:
    """What an aggregation of the SDK reads of `opentelemetry.sdk.metrics._internal.measurement.Measurement`."""

    __slots__ = ("attributes", "context", "time_unix_nano", "value")

    def __init__(self, attributes: dict[str, str]) -> None:
        self.attributes = attributes
        self.value: float = 0
        self.time_unix_nano = 0
        self.context = _NO_SPAN


class _Aggregations:
    """The SDK's aggregations of one attribute set, found anew when the provider's readers change."""

    __slots__ = (
        "_aggregations",
        "_attributes",
        "_bounds",
        "_consumer",
        "_filter",
        "_instrument",
        "_record",
        "_storages",
    )

    def __init__(self, instrument: Any, attributes: dict[str, str], record: Callable[..., None]) -> None:
        self._instrument = instrument
        self._attributes = attributes
        self._record = record
        # None for a provider that is not the SDK's: then every value goes by `record`.
        consumer: Any = getattr(instrument, "_measurement_consumer", None)
        self._consumer = consumer if hasattr(consumer, "_reader_storages") else None
        self._storages: object = None
        self._aggregations: list[Any] = []
        self._filter: Any = None
        self._bounds: tuple[float, ...] | None = None

    def take(self, values: Sequence[Value]) -> None:
        """Aggregate values that were measured one after the other.

        Raises:
            Exception: The last that a provider or an exemplar filter raised; all other values are aggregated.
        """
        errors: list[Exception] = []
        consumer = self._consumer
        while values and consumer is not None and consumer._reader_storages is not self._storages:  # noqa: SLF001  # see the module
            (value, _, context, _), *values = values
            if self._recorded(value, context, errors):
                self._resolve(consumer)
            consumer = self._consumer
        offered = self._offered(values, errors) if consumer is not None else ()
        measurement = _Measurement(self._attributes)
        for index, (value, time_unix_nano, context, _) in enumerate(values):
            if self._consumer is None:
                self._recorded(value, context, errors)
                continue
            measurement.value = value
            measurement.time_unix_nano = time_unix_nano
            measurement.context = context
            try:
                for aggregation in self._aggregations:
                    aggregation.aggregate(measurement, index in offered)
            except (AttributeError, TypeError):  # it asks more of a measurement than it did
                self._consumer = None
                self._recorded(value, context, errors)
        if errors:
            raise errors[-1]

    def _recorded(self, value: float, context: Context, errors: list[Exception]) -> bool:
        try:
            self._record(value, self._attributes, context)
        except Exception as error:  # noqa: BLE001  # a foreign provider's, or a filter's; the other values go on
            errors.append(error)
            return False
        return True

    def _offered(self, values: Sequence[Value], errors: list[Exception]) -> Collection[int]:
        """Places of the values that are offered as exemplars."""
        wanted: list[int] = []
        by_bucket: dict[int, int] = {}
        for index, (value, time_unix_nano, context, sampled) in enumerate(values):
            keep = sampled
            if self._filter is not None:
                try:
                    keep = self._filter(value, time_unix_nano, self._attributes, context)
                except Exception as error:  # noqa: BLE001  # a filter of the user's; the value is counted all the same
                    errors.append(error)
                    keep = False
            if keep:
                if self._bounds is None:
                    wanted.append(index)
                else:
                    by_bucket[bisect_left(self._bounds, value)] = index
        return set(wanted or by_bucket.values())

    def _resolve(self, consumer: Any) -> None:  # the SDK's internals
        from opentelemetry.sdk.metrics import (  # noqa: PLC0415  # never for another provider
            AlignedHistogramBucketExemplarReservoir,
            TraceBasedExemplarFilter,
        )
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
            reservoirs = [aggregation._reservoir for aggregation in found]  # noqa: SLF001
        except (AttributeError, KeyError, TypeError):
            self._consumer = None
            return
        bounds = {
            tuple(reservoir._boundaries) if type(reservoir) is AlignedHistogramBucketExemplarReservoir else None  # noqa: SLF001
            for reservoir in reservoirs
        }
        self._bounds = bounds.pop() if len(bounds) == 1 else None
        self._aggregations = found
        self._filter = None if type(exemplar_filter) is TraceBasedExemplarFilter else exemplar_filter.should_sample
        self._storages = storages


class HistogramSeries:
    """A histogram with one attribute set."""

    __slots__ = ("_aggregations", "_touched", "_values")

    def __init__(self, instrument: Histogram, attributes: dict[str, str], touched: list[Any]) -> None:
        """Make a series.

        Args:
            instrument: The histogram.
            attributes: Its attributes, within the limits.
            touched: Where the series puts itself when a value waits for `flush`.
        """
        self._aggregations = _Aggregations(instrument, attributes, instrument.record)
        self._touched = touched
        self._values: list[Value] = []

    def record(self, value: float, time_unix_nano: int, context: Context, *, sampled: bool) -> None:
        """Record a value.

        Args:
            value: In the instrument's unit, not negative.
            time_unix_nano: When it was measured.
            context: Holds the span that an exemplar points to.
            sampled: Whether that span is sampled.
        """
        values = self._values
        if not values:
            self._touched.append(self)
        values.append((value, time_unix_nano, context, sampled))

    def flush(self) -> None:
        """Give the SDK the values that wait."""
        values, self._values = self._values, []
        self._aggregations.take(values)


class CounterSeries:
    """A counter with one attribute set: the SDK sees what was added up until `flush`."""

    __slots__ = ("_aggregations", "_sum", "_touched")

    def __init__(self, instrument: Counter, attributes: dict[str, str], touched: list[Any]) -> None:
        """Make a series.

        Args:
            instrument: The counter.
            attributes: Its attributes, within the limits.
            touched: Where the series puts itself when a sum waits for `flush`.
        """
        self._aggregations = _Aggregations(instrument, attributes, instrument.add)
        self._touched = touched
        self._sum: float | None = None

    def add(self, amount: float) -> None:
        """Add an amount, not negative."""
        before = self._sum
        if before is None:
            self._touched.append(self)
            self._sum = amount
        else:
            self._sum = before + amount

    def flush(self) -> None:
        """Give the SDK the sum that waits."""
        amount, self._sum = self._sum, None
        if amount is not None:
            self._aggregations.take([(amount, time_ns(), _NO_SPAN, False)])
