"""A sample of each thing that leaves, in a file on this machine, for whoever wants to see it before a backend does.

What is written is what was exported: it was redacted already.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Final

from otelext.capture.failure import report_setup
from otelext.processors.redaction.rules import PROCESS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.trace import ReadableSpan

TRACES: Final = "traces"
METRICS: Final = "metrics"
LOGS: Final = "logs"
_MAX_SAMPLES: Final = 2000
_MAX_LENGTH: Final = 200

Sample = tuple[str, str, Any]
"""Where it stands (`span attribute`), its name, its value."""


class Samples:
    """The first of each kind that left this process, in the file `PROCESS.samples`, a line of JSON each."""

    def __init__(self) -> None:
        self._seen: set[tuple[str, str, str]] = set()

    def take(self, signal: str, samples: Iterable[Sample]) -> None:
        """Keep what was not there yet. Called on exporters' threads, and never raises."""
        path = PROCESS.samples
        if path is None or len(self._seen) >= _MAX_SAMPLES:
            return
        try:
            new = [sample for sample in samples if self._is_new(signal, sample)]
            if new:
                self._write(path, signal, new)
        except Exception as error:  # noqa: BLE001  # a full disk, a folder that is gone; the export goes on
            report_setup("otelext could not write samples of what leaves to %r: %s", path, error)

    def _is_new(self, signal: str, sample: Sample) -> bool:
        key = (signal, sample[0], sample[1])
        if key in self._seen or len(self._seen) >= _MAX_SAMPLES:
            return False
        self._seen.add(key)
        return True

    def _write(self, path: str, signal: str, samples: Sequence[Sample]) -> None:
        lines = "".join(
            json.dumps(
                {"signal": signal, "place": place, "name": name, "value": _short(value), "pid": os.getpid()},
                ensure_ascii=False,
                default=str,
            )
            + "\n"
            for place, name, value in samples
        )
        # One write with O_APPEND, so that several processes tear no line.
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(file, lines.encode("utf-8", "replace"))
        finally:
            os.close(file)


def of_spans(spans: Sequence[ReadableSpan]) -> Iterator[Sample]:
    """Samples of exported spans."""
    for span in spans:
        yield "span name", span.name, span.name
        yield from _attributes("span attribute", span.attributes)
        if span.status.description is not None:
            yield "status description", span.name, span.status.description
        for event in span.events:
            yield "event name", event.name, event.name
            yield from _attributes("event attribute", event.attributes)
        for link in span.links:
            yield from _attributes("link attribute", link.attributes)
        yield from _attributes("resource attribute", span.resource.attributes)


def of_logs(records: Sequence[ReadableLogRecord]) -> Iterator[Sample]:
    """Samples of exported log records."""
    for record in records:
        body = str(record.log_record.body)
        yield "log message", body, body
        yield from _attributes("log attribute", record.log_record.attributes)
        yield from _attributes("resource attribute", record.resource.attributes)


def of_metrics(data: MetricsData) -> Iterator[Sample]:
    """Samples of exported metrics."""
    for resource in data.resource_metrics:
        yield from _attributes("resource attribute", resource.resource.attributes)
        for scope in resource.scope_metrics:
            for metric in scope.metrics:
                for point in metric.data.data_points:
                    for place, name, value in _attributes("metric attribute", point.attributes):
                        yield place, f"{metric.name} {name}", value


def _attributes(place: str, attributes: Mapping[str, Any] | None) -> Iterator[Sample]:
    for key, value in (attributes or {}).items():
        yield place, key, value


def _short(value: Any) -> Any:
    if isinstance(value, (bool, int, float)):
        return value
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= _MAX_LENGTH else f"{text[:_MAX_LENGTH]}..."


SAMPLES: Final = Samples()
"""The process's samples."""
