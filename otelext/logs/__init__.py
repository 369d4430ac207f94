"""Logs that belong to their trace: records of stdlib logging and events of structlog, as OTLP and as lines.

Comes in: what the program logs, in the thread that logs it. Goes out: one `Entry` each, without what may not leave, to
the OTLP handler, to standard error or to a file. May import: `otelext.processors`, `otelext.emit`, `otelext.capture`,
`otelext.semconv`; other libraries lazily.
"""
