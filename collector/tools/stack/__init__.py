"""The real servers (Collector, Prometheus, Jaeger, Loki, Alertmanager) and telemetrygen, built from their Go modules.

`make stack` fills a cache outside the checkout; `binaries()` tells the tests where each program lies. In goes what
`collector/tools/*/go.mod` and `collector/builder.yaml` pin; needed are Go and Python's standard library.
"""

from __future__ import annotations

from .cache import NotBuilt, binaries
from .toolchain import NoGo

__all__ = ["NoGo", "NotBuilt", "binaries"]
