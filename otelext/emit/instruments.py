"""The catalogue's instruments on one meter provider, and their series by attribute set."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import Observation

from otelext import semconv
from otelext._version import __version__
from otelext.emit.series import CounterSeries, HistogramSeries
from otelext.semconv import Kind, Metric

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, MeterProvider

    from otelext.emit.limits import ValueLimits

Key = tuple[tuple[str, str], ...]
"""Attributes as (name, value) pairs."""

Read = Callable[[], Iterable[tuple[float, dict[str, str]]]]
"""Tells the values of an observable instrument, each with its attributes."""


def given(name: str, value: str | None) -> Key:
    """An attribute as a key, or none where there is no value."""
    return () if value is None else ((name, value),)


class AttributeSet:
    """The series of one set of attributes, each opened when it is first used."""

    __slots__ = ("_opened", "_to", "attributes")

    def __init__(self, attributes: dict[str, str], to: Instruments) -> None:
        self.attributes = attributes
        self._to = to
        self._opened: dict[str, Any] = {}

    def histogram(self, metric: Metric) -> HistogramSeries:
        """The series of a histogram of the catalogue."""
        found: HistogramSeries | None = self._opened.get(metric.name)
        if found is None:
            found = self._opened[metric.name] = self._to.open_histogram(metric, self.attributes)
        return found

    def counter(self, metric: Metric) -> CounterSeries:
        """The series of a counter of the catalogue."""
        found: CounterSeries | None = self._opened.get(metric.name)
        if found is None:
            found = self._opened[metric.name] = self._to.open_counter(metric, self.attributes)
        return found


class Instruments:
    """Records catalogue metrics on one meter provider, within the limits on attribute values.

    Attributes:
        limits: What bounds the values of attributes.
        kept: What others made of attribute sets, by what they made it of; another one when the sets are.
    """

    def __init__(self, provider: MeterProvider, limits: ValueLimits) -> None:
        # Not the provider itself: who keeps instruments by provider would keep it alive.
        self.limits = limits
        self.kept: dict[Any, Any] = {}
        self._meter: Meter = provider.get_meter(semconv.SCOPE_NAME, __version__, semconv.SCHEMA_URL)
        self._sets: dict[Key, AttributeSet] = {}
        self._histograms: dict[str, Histogram] = {}
        self._counters: dict[str, Counter] = {}
        self._touched: list[HistogramSeries | CounterSeries] = []
        self._awaited: list[tuple[Metric, Read]] = []

    def observe(self, metric: Metric, read: Read) -> None:
        """Have an observable instrument read its values by `read`, from the next `flush` on. Once for each metric."""
        # The SDK lets no instrument in while it collects, so a callback that blocks would hold who creates one.
        self._awaited.append((metric, read))

    def _observe(self, metric: Metric, read: Read) -> None:
        def callback(_: CallbackOptions) -> Iterable[Observation]:
            return [Observation(value, self.bounded(attributes)) for value, attributes in read()]

        create = {
            Kind.OBSERVABLE_GAUGE: self._meter.create_observable_gauge,
            Kind.OBSERVABLE_COUNTER: self._meter.create_observable_counter,
            Kind.OBSERVABLE_UP_DOWN_COUNTER: self._meter.create_observable_up_down_counter,
        }[metric.kind]
        create(metric.name, [callback], unit=metric.unit, description=metric.description)

    def bounded(self, attributes: dict[str, str]) -> dict[str, str]:
        """`attributes` within the limits."""
        return {key: self.limits.admit(key, value) for key, value in attributes.items()}

    def attribute_set(self, key: Key) -> AttributeSet:
        """The series of `key`, or of what is left of it within the limits."""
        sets = self._sets
        found = sets.get(key)
        if found is None:
            bounded = self.bounded(dict(key))
            # Never remembered by a value beyond the limit, or memory would grow with it.
            bounded_key = tuple(bounded.items())
            found = sets.get(bounded_key)
            if found is None:
                found = sets[bounded_key] = AttributeSet(bounded, self)
        return found

    def open_histogram(self, metric: Metric, attributes: dict[str, str]) -> HistogramSeries:
        """A histogram's series; `attributes` are within the limits."""
        histogram = self._histograms.get(metric.name)
        if histogram is None:
            histogram = self._histograms[metric.name] = self._meter.create_histogram(
                metric.name,
                unit=metric.unit,
                description=metric.description,
                explicit_bucket_boundaries_advisory=list(metric.buckets),
            )
        return HistogramSeries(histogram, attributes, self._touched)

    def open_counter(self, metric: Metric, attributes: dict[str, str]) -> CounterSeries:
        """A counter's series; `attributes` are within the limits."""
        counter = self._counters.get(metric.name)
        if counter is None:
            counter = self._counters[metric.name] = self._meter.create_counter(
                metric.name, unit=metric.unit, description=metric.description
            )
        return CounterSeries(counter, attributes, self._touched)

    def forget_series(self) -> None:
        """Ask the SDK anew for its aggregations and its exemplar filter, from the next values on."""
        # Not emptied: the worker may be about to put in what it has just made of the old ones.
        self.kept = {}
        self._sets = {}

    def flush(self) -> None:
        """Give the SDK what waits in the series, and the observable instruments that it does not have yet.

        Raises:
            Exception: The last that a provider or an exemplar filter raised; everything else is delivered.
        """
        while self._awaited:
            self._observe(*self._awaited.pop())
        touched = tuple(self._touched)
        self._touched.clear()
        failed: Exception | None = None
        for series in touched:
            try:
                series.flush()
            except Exception as error:  # noqa: BLE001  # a foreign provider's; the others are still delivered
                failed = error
        if failed is not None:
            raise failed

    def after_fork(self) -> None:
        """Begin at zero in a forked child.

        The SDK's sums were copied with the process, and the child reports under an instance id of its own: what the
        parent counted would count twice. Locks that another thread held at the fork go too.
        """
        import threading  # noqa: PLC0415  # only ever needed here

        self.forget_series()
        self._touched.clear()
        consumer: Any = getattr(self._meter, "_measurement_consumer", None)
        storages = getattr(consumer, "_reader_storages", None)
        if consumer is None or not isinstance(storages, dict):
            return
        from opentelemetry.sdk.metrics._internal.metric_reader_storage import (  # noqa: PLC0415
            MetricReaderStorage,
        )

        consumer._lock = threading.Lock()  # noqa: SLF001
        consumer._reader_storages = {  # noqa: SLF001
            reader: MetricReaderStorage(
                consumer._sdk_config,  # noqa: SLF001
                reader._instrument_class_temporality,  # noqa: SLF001
                reader._instrument_class_aggregation,  # noqa: SLF001
            )
            for reader in storages
        }
        for reader in storages:
            # The SDK gives the child a new export thread, but leaves it the lock that the parent's may have held.
            if hasattr(reader, "_export_lock"):
                reader._export_lock = threading.Lock()  # noqa: SLF001
