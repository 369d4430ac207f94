"""A stand-in for NVIDIA's `libnvidia-ml.so.1`, for tests where no GPU is.
"""

from __future__ import annotations

from otelext.testing.nvml.library import build, environment, loaded, write_scenario

__all__ = ["build", "environment", "loaded", "write_scenario"]
