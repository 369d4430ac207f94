"""Runs the example service with an SDK that writes each span and each metrics collection as a line of JSON.

`python measured_service.py SPANS METRICS [serve's arguments]`. The service itself is the one that everyone runs.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import ConsoleMetricExporter, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

from otelext.asgi import OtelextMiddleware

if TYPE_CHECKING:
    from fastapi import FastAPI
    from opentelemetry.sdk.metrics.export import MetricsData
    from opentelemetry.sdk.trace import ReadableSpan

    from document_vlm.settings import Settings


def _span_line(span: ReadableSpan) -> str:
    return json.dumps(json.loads(span.to_json())) + "\n"


def _metrics_line(data: MetricsData) -> str:
    return json.dumps(json.loads(data.to_json())) + "\n"


def main() -> int:
    """Set the SDK up, then serve."""
    with open(sys.argv[1], "a") as spans, open(sys.argv[2], "a") as collections:  # noqa: PTH123
        tracer_provider = TracerProvider()
        tracer_provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=spans, formatter=_span_line)))
        trace.set_tracer_provider(tracer_provider)
        reader = PeriodicExportingMetricReader(
            ConsoleMetricExporter(out=collections, formatter=_metrics_line), export_interval_millis=300
        )
        meter_provider = MeterProvider([reader])
        metrics.set_meter_provider(meter_provider)
        del sys.argv[1:3]

        # After the SDK is there, as an agent would.
        from document_vlm import serve
        from document_vlm.app import create_app

        def measured(settings: Settings) -> FastAPI:
            app = create_app(settings)
            app.add_middleware(OtelextMiddleware)
            return app

        vars(serve)["create_app"] = measured  # what the zero-code wrapper does by itself
        try:
            return serve.main()
        finally:
            tracer_provider.shutdown()
            meter_provider.shutdown()


if __name__ == "__main__":
    sys.exit(main())
