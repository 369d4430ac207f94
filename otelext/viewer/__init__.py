"""The embedded backend: receives OTLP over HTTP and gRPC, keeps it in DuckDB, answers with a report.

Comes in: OTLP traces, metrics and logs of any sender. Goes out: JSON over HTTP and tables for the
terminal. May import `otelext.semconv` only; needs the extra `viewer`.
"""
