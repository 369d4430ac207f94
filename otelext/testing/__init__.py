"""Test helpers for services that use otelext: in-memory capture, deterministic ids.

Comes in: a `with` block around the code under test. Goes out: its spans, metrics and inferences.
May import: `otelext.capture`, `otelext.emit`, `otelext._attach`, the SDK.
"""

from __future__ import annotations

from otelext.testing.captured import Captured, capture
from otelext.testing.ids import DeterministicIdGenerator

__all__ = ["Captured", "DeterministicIdGenerator", "capture"]
