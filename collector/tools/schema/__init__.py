"""The names, signals and keys of the Collector's components, which `otelext collector validate` judges by.

A Go program, in this folder, asks the components themselves; `otelext/pipeline/components.json` is what it says. It is
built with the modules that `go.mod` pins, the same as `collector/tools/collector/go.mod` where both have one. Needed are
Go and Python's standard library.
"""

from __future__ import annotations

from .program import COMPONENTS, Failed, printed

__all__ = ["COMPONENTS", "Failed", "printed"]
