"""What leaves a process: an allow-list by construction, in wrappers around the exporters of all three signals.

Comes in: what the SDK is about to export, untouched. Goes out: the same where all of it may leave, else a copy without
what may not; the originals are never changed. May import: `otelext.capture`, `otelext.semconv`, the SDK.
"""
