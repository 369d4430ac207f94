"""The catalogue's instruments on one meter provider: histograms by series, counters added up over a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from opentelemetry.context import Context
from opentelemetry.metrics import Observation

from otelext import semconv
from otelext._version import __version__
from otelext.capture.failure import report
from otelext.emit.series import HistogramSeries
from otelext.semconv import Kind, Metric

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Counter, Meter, MeterProvider

    from otelext.emit.limits import ValueLimits

Key = tuple[tuple[str, str], ...]
"""Attributes as (name, value) pairs."""

Read = Callable[[], Iterable[tuple[float, dict[str, str]]]]
"""Tells the values of an observable instrument, each with its attributes."""

_NO_SPAN = Context()


class Instruments:
    """Records catalogue metrics on one meter provider, within the limits on attribute values."""

    def __init__(self, provider: MeterProvider, limits: ValueLimits) -> None:
        # Not the provider itself: who keeps instruments by provider would keep it alive.
        self.limits = limits
        self._meter: Meter = provider.get_meter(semconv.SCOPE_NAME, __version__, semconv.SCHEMA_URL)
        self._series: dict[tuple[str, Key], HistogramSeries] = {}
        self._histograms: dict[str, Any] = {}
        self._counters: dict[str, Counter] = {}
        self._sums: dict[tuple[str, Key], float] = {}
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

    def record(
        self,
        metric: Metric,
        value: float,
        key: Key,
        time_unix_nano: int,
        context: Context = _NO_SPAN,
        *,
        sampled: bool = False,
    ) -> None:
        """Record a histogram's value.

        Args:
            metric: A histogram of the catalogue.
            value: In the metric's unit.
            key: The attributes, before the limits.
            time_unix_nano: When it was measured.
            context: Holds the span that an exemplar points to.
            sampled: Whether that span is sampled.
        """
        series = self._series.get((metric.name, key))
        if series is None:
            series = self._open_series(metric, key)
        series.record(value, time_unix_nano, context, sampled=sampled)

    def _open_series(self, metric: Metric, key: Key) -> HistogramSeries:
        histogram = self._histograms.get(metric.name)
        if histogram is None:
            histogram = self._histograms[metric.name] = self._meter.create_histogram(
                metric.name,
                unit=metric.unit,
                description=metric.description,
                explicit_bucket_boundaries_advisory=list(metric.buckets),
            )
        bounded = self.bounded(dict(key))
        bounded_key = tuple(bounded.items())
        series = self._series.get((metric.name, bounded_key))
        if series is None:
            series = self._series[(metric.name, bounded_key)] = HistogramSeries(histogram, bounded)
        if bounded_key != key:
            return series  # not remembered by the value beyond the limit, or memory would grow with it
        return series

    def forget_series(self) -> None:
        """Ask the SDK anew for its aggregations and its exemplar filter, from the next values on."""
        self._series.clear()

    def add(self, metric: Metric, value: float, key: Key) -> None:
        """Add to a counter; the SDK sees the sum when `flush` is called."""
        place = (metric.name, key)
        self._sums[place] = self._sums.get(place, 0) + value

    def flush(self) -> None:
        """Give the SDK what was added up, and the observable instruments that it does not have yet."""
        while self._awaited:
            self._observe(*self._awaited.pop())
        sums, self._sums = self._sums, {}
        for (name, key), value in sums.items():
            counter = self._counters.get(name)
            if counter is None:
                metric = semconv.METRICS[name]
                counter = self._counters[name] = self._meter.create_counter(
                    name, unit=metric.unit, description=metric.description
                )
            try:
                counter.add(value, self.bounded(dict(key)), _NO_SPAN)
            except Exception:  # noqa: BLE001  # a foreign provider's; the other sums are still delivered
                report("otelext could not add to a counter", exc_info=True)

    def after_fork(self) -> None:
        """Begin at zero in a forked child.

        The SDK's sums were copied with the process, and the child reports under an instance id of its own: what the
        parent counted would count twice. Locks that another thread held at the fork go too.
        """
        import threading  # noqa: PLC0415  # only ever needed here

        self.forget_series()
        self._sums = {}
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
