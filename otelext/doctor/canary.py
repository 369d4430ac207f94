"""The canary: one trace, one metric with an exemplar and one log line, which lead to each other and stand for nothing.

All three are marked by `otelext.canary` and by the service's name, and carry nothing of the user's: no host, no process,
no attribute of the environment's. The metric's series stays the same however often it is sent, so that checking every
minute costs the backend six series.
"""

from __future__ import annotations

import random
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import SEVERITY_NUMBER_INFO
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
    Exemplar,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from otelext import semconv

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

    from otelext.doctor.endpoint import Signal

BODY: Final = f"{semconv.CANARY}: a line of otelext doctor, which stands for nothing"
_NS: Final = 10**9
_SAMPLED: Final = 1
_TEMPORALITY: Final = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
_HISTOGRAM: Final = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"


@dataclass(frozen=True)
class Preferences:
    """How a service's histograms leave it, as its variables have it.

    Attributes:
        delta: Whether they hold what came since the last export, instead of all since the start.
        exponential: Whether their buckets are exponential, instead of explicit.
    """

    delta: bool = False
    exponential: bool = False

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Preferences:
        """Those of an environment: https://opentelemetry.io/docs/specs/otel/metrics/sdk_exporters/otlp/."""
        return cls(
            delta=environ.get(_TEMPORALITY, "").strip().lower() in {"delta", "lowmemory"},
            exponential=environ.get(_HISTOGRAM, "").strip().lower() == "base2_exponential_bucket_histogram",
        )


@dataclass(frozen=True)
class Canary:
    """What is sent once and looked for.

    Attributes:
        trace_id: 32 lower-case hexadecimal digits.
        span_id: 16 of them.
        value: Seconds that the metric holds; random, so that it says which canary a sample is of.
        moment: When it was made, in nanoseconds since the epoch by this machine's clock.
        preferences: How the metric leaves.
    """

    trace_id: str
    span_id: str
    value: float
    moment: int
    preferences: Preferences

    @classmethod
    def made(cls, preferences: Preferences) -> Canary:
        """A new one."""
        # Whole milliseconds, as Prometheus keeps no more.
        moment = time.time_ns() // 10**6 * 10**6
        value = random.SystemRandom().randrange(10**5, 10**6) / 10**6
        return cls(secrets.token_hex(16), secrets.token_hex(8), value, moment, preferences)

    @property
    def begun(self) -> int:
        """When its span begins, as `moment`, which is its end."""
        return self.moment - round(self.value * _NS)

    def request(self, signal: Signal) -> Message:
        """What is sent of one signal."""
        return {"traces": self._traces, "metrics": self._metrics, "logs": self._logs}[signal]()

    def _traces(self) -> Message:
        request = ExportTraceServiceRequest()
        spans = request.resource_spans.add(resource=_resource()).scope_spans.add(scope=_scope())
        spans.spans.add(
            trace_id=bytes.fromhex(self.trace_id),
            span_id=bytes.fromhex(self.span_id),
            flags=_SAMPLED,
            name=semconv.CANARY,
            kind=Span.SPAN_KIND_INTERNAL,
            start_time_unix_nano=self.begun,
            end_time_unix_nano=self.moment,
            attributes=[_mark()],
        )
        return request

    def _metrics(self) -> Message:
        request = ExportMetricsServiceRequest()
        metrics = request.resource_metrics.add(resource=_resource()).scope_metrics.add(scope=_scope())
        definition = semconv.CANARY_DURATION
        metric = metrics.metrics.add(name=definition.name, unit=definition.unit, description=definition.description)
        temporality = AGGREGATION_TEMPORALITY_DELTA if self.preferences.delta else AGGREGATION_TEMPORALITY_CUMULATIVE
        exemplar = Exemplar(
            time_unix_nano=self.moment,
            as_double=self.value,
            trace_id=bytes.fromhex(self.trace_id),
            span_id=bytes.fromhex(self.span_id),
        )
        if self.preferences.exponential:
            metric.exponential_histogram.aggregation_temporality = temporality
            exponential = metric.exponential_histogram.data_points.add(
                start_time_unix_nano=self.begun,
                time_unix_nano=self.moment,
                attributes=[_mark()],
                count=1,
                sum=self.value,
                scale=0,
                exemplars=[exemplar],
            )
            # Of scale 0 a bucket reaches from one power of two to the next; the value is from 0.1 to 1.
            exponential.positive.offset = next(n for n in range(-4, 1) if 2.0**n < self.value <= 2.0 ** (n + 1))
            exponential.positive.bucket_counts.append(1)
            return request
        metric.histogram.aggregation_temporality = temporality
        bounds = definition.buckets
        place = sum(bound < self.value for bound in bounds)
        metric.histogram.data_points.add(
            start_time_unix_nano=self.begun,
            time_unix_nano=self.moment,
            attributes=[_mark()],
            count=1,
            sum=self.value,
            explicit_bounds=bounds,
            bucket_counts=[int(n == place) for n in range(len(bounds) + 1)],
            exemplars=[exemplar],
        )
        return request

    def _logs(self) -> Message:
        request = ExportLogsServiceRequest()
        logs = request.resource_logs.add(resource=_resource()).scope_logs.add(scope=_scope())
        logs.log_records.add(
            time_unix_nano=self.moment,
            observed_time_unix_nano=self.moment,
            severity_number=SEVERITY_NUMBER_INFO,
            severity_text="INFO",
            body=AnyValue(string_value=BODY),
            attributes=[_mark()],
            flags=_SAMPLED,
            trace_id=bytes.fromhex(self.trace_id),
            span_id=bytes.fromhex(self.span_id),
        )
        return request


def _mark() -> KeyValue:
    return KeyValue(key=semconv.CANARY, value=AnyValue(bool_value=True))


def _scope() -> InstrumentationScope:
    return InstrumentationScope(name=semconv.SCOPE_NAME)


def _resource() -> Resource:
    # The distro's name, as Collectors of ours keep the text of a line for services of ours alone.
    names = {semconv.SERVICE_NAME: semconv.CANARY_SERVICE, semconv.DISTRO_NAME: "otelext"}
    return Resource(
        attributes=[
            _mark(),
            *(KeyValue(key=key, value=AnyValue(string_value=value)) for key, value in names.items()),
        ]
    )
