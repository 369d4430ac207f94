"""Processors usable by themselves, and how ours stand among a provider's.

Comes in: spans of a tracer provider. Goes out: flushes of the worker, metrics of other libraries' GenAI spans.
May import: `otelext.emit`, `otelext.capture`, `otelext.semconv`, the SDK.
"""
