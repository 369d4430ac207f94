"""Facts to telemetry, outside of the user's request: one worker thread, metrics with exemplars, spans.

Comes in: finished records by `Worker.submit`. Goes out: measurements to the meter provider's instruments and
`ReadableSpan`s to the tracer provider's processors. May import: `otelext.capture`, `otelext.semconv`, the SDK.
"""
