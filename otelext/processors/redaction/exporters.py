"""Exporters, and readers of metrics, that let nothing out but what may leave; usable by themselves, around any others.

What looks at telemetry is loaded with the first export: a start has no use for it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from opentelemetry.sdk._logs.export import LogRecordExporter, LogRecordExportResult
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from otelext.capture.failure import report_setup
from otelext.processors.redaction.rules import PROCESS, Rules

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.trace import ReadableSpan


class RedactingSpanExporter(SpanExporter):
    """Hands to another exporter what may leave of each span.

    Attributes:
        exporter: The other one.
    """

    def __init__(self, exporter: SpanExporter, rules: Rules | None = None) -> None:
        """Wrap an exporter.

        Args:
            exporter: The exporter.
            rules: What may leave; what holds in the process if None.
        """
        self.exporter = exporter
        self._rules = rules
        # Its own signatures, which the SDK's processors look at.
        self.shutdown = exporter.shutdown  # type: ignore[method-assign]
        self.force_flush = exporter.force_flush  # type: ignore[method-assign]

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export what may leave; a span that can't be looked at is left out."""
        from otelext.processors.redaction import samples  # noqa: PLC0415  # see above
        from otelext.processors.redaction.spans import leaving  # noqa: PLC0415

        found = leaving(spans, self._rules or PROCESS.rules)
        samples.SAMPLES.take(samples.TRACES, samples.of_spans(found))
        return self.exporter.export(found) if found else SpanExportResult.SUCCESS


class RedactingLogRecordExporter(LogRecordExporter):
    """Hands to another exporter what may leave of each log record.

    A body leaves if it is a `Constant`, as the bodies of our own handlers are, which see message and arguments apart.

    Attributes:
        exporter: The other one.
    """

    def __init__(self, exporter: LogRecordExporter, rules: Rules | None = None) -> None:
        """Wrap an exporter.

        Args:
            exporter: The exporter.
            rules: What may leave; what holds in the process if None.
        """
        self.exporter = exporter
        self._rules = rules

    def export(self, batch: Sequence[ReadableLogRecord]) -> LogRecordExportResult:
        """Export what may leave; a record that can't be looked at is left out."""
        from otelext.processors.redaction import samples  # noqa: PLC0415  # see above
        from otelext.processors.redaction.logs import leaving  # noqa: PLC0415

        found = leaving(batch, self._rules or PROCESS.rules)
        samples.SAMPLES.take(samples.LOGS, samples.of_logs(found))
        return self.exporter.export(found) if found else LogRecordExportResult.SUCCESS

    def shutdown(self) -> None:
        """Shut the other exporter down."""
        self.exporter.shutdown()  # type: ignore[no-untyped-call]  # the SDK's

    def force_flush(self, timeout_millis: int = 10_000) -> bool:
        """Flush the other exporter."""
        return self.exporter.force_flush(timeout_millis)


class RedactingMetricExporter(MetricExporter):
    """Hands to another exporter what may leave of each metric. Usable by itself, around any `MetricExporter`.

    Attributes:
        exporter: The other one.
    """

    def __init__(self, exporter: MetricExporter, rules: Rules | None = None) -> None:
        """Wrap an exporter.

        Args:
            exporter: The exporter, whose temporality and aggregation are preferred.
            rules: What may leave; what holds in the process if None.
        """
        super().__init__(
            preferred_temporality=getattr(exporter, "_preferred_temporality", None),
            preferred_aggregation=getattr(exporter, "_preferred_aggregation", None),
        )
        self.exporter = exporter
        self._rules = rules

    def export(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **kwargs: Any) -> MetricExportResult:
        """Export what may leave; a metric that can't be looked at is left out."""
        leaving = _leaving_metrics(metrics_data, self._rules)
        if leaving is None:
            return MetricExportResult.FAILURE
        return self.exporter.export(leaving, timeout_millis=timeout_millis, **kwargs)

    def force_flush(self, *args: Any, **kwargs: Any) -> bool:
        """Flush the other exporter."""
        return self.exporter.force_flush(*args, **kwargs)

    def shutdown(self, *args: Any, **kwargs: Any) -> None:
        """Shut the other exporter down."""
        self.exporter.shutdown(*args, **kwargs)


class _Receiver:
    """In the place of a reader's `_receive_metrics`: hands on what may leave."""

    def __init__(self, receive: Callable[..., object], rules: Rules | None) -> None:
        self._receive = receive
        self._rules = rules

    def __call__(self, metrics_data: MetricsData, *args: Any, **kwargs: Any) -> None:
        leaving = _leaving_metrics(metrics_data, self._rules)
        if leaving is not None:
            self._receive(leaving, *args, **kwargs)


def redact_reader(reader: Any, rules: Rules | None = None) -> bool:
    """Let a reader receive or export what may leave alone, from now on. A second time changes nothing.

    Args:
        reader: Any metric reader of the SDK's interface: a periodic one, Prometheus's, one in memory, the user's.
        rules: What may leave; what holds in the process if None.

    Returns:
        Whether it holds.
    """
    try:
        return _redact_reader(reader, rules)
    except Exception as error:  # noqa: BLE001  # slots, properties; what can't be covered is said
        report_setup(
            "otelext could not cover the metric reader %s (%s)", type(reader).__qualname__, type(error).__qualname__
        )
        return False


def _redact_reader(reader: Any, rules: Rules | None) -> bool:
    receive = getattr(reader, "_receive_metrics", None)
    if isinstance(receive, _Receiver):
        return True
    exporter: Any = getattr(reader, "_exporter", None)
    # The SDK's own hands everything to the exporter, where the wrapper can be seen; a subclass may do as it likes.
    if getattr(receive, "__func__", None) is PeriodicExportingMetricReader._receive_metrics:  # noqa: SLF001
        if not isinstance(exporter, RedactingMetricExporter):
            reader._exporter = RedactingMetricExporter(exporter, rules)  # noqa: SLF001
        return True
    if not callable(receive):
        return False
    reader._receive_metrics = _Receiver(receive, rules)  # noqa: SLF001  # `collect` asks the instance
    if isinstance(exporter, RedactingMetricExporter):
        reader._exporter = exporter.exporter  # noqa: SLF001  # twice would hash a hash
    _forget(reader)
    return True


def _forget(reader: Any) -> None:
    """Take back what Prometheus's reader and the one in memory keep from before, to be scraped or read later."""
    collector: Any = getattr(reader, "_collector", None)
    if isinstance(getattr(collector, "_metrics_datas", None), deque):
        collector._metrics_datas.clear()  # noqa: SLF001  # each scrape collects anew
        collector._target_info = None  # noqa: SLF001  # resource attributes, else kept for good
    if isinstance(getattr(reader, "_metrics_data", None), MetricsData):
        reader._metrics_data = None  # noqa: SLF001


def _leaving_metrics(data: MetricsData, rules: Rules | None) -> MetricsData | None:
    from otelext.processors.redaction import samples  # noqa: PLC0415  # see above
    from otelext.processors.redaction.metrics import leaving  # noqa: PLC0415

    found = leaving(data, rules or PROCESS.rules)
    if found is not None:
        samples.SAMPLES.take(samples.METRICS, samples.of_metrics(found))
    return found
