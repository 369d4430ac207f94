"""What runs inside the user's request: the facts of one inference, kept in slots.

Comes in: calls of `inference`, `stage` and the methods of `Inference`. Goes out: one finished record
to the `submit` of the current `Binding` when an inference or a stage outside of one ends.
May import: `otelext.semconv` and the OpenTelemetry API, never its SDK.
"""

from __future__ import annotations

from otelext.capture.inference import Inference
from otelext.capture.measure import current_inference, inference
from otelext.capture.stage import stage

__all__ = ["Inference", "current_inference", "inference", "stage"]
