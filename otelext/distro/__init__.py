"""Zero code: what makes `opentelemetry-instrument` an otelext, and `configure()` the same in code.

Comes in: the environment and `configure()`'s overrides. Goes out: global SDK providers, and on providers that others
made what can be added late. May import every other room but `cli`, `viewer` and `testing`; extras lazily.
"""

from __future__ import annotations

from otelext.distro.configurator import OtelextConfigurator
from otelext.distro.setup import OtelextDistro, configure, post_instrument, pre_instrument

__all__ = ["OtelextConfigurator", "OtelextDistro", "configure", "post_instrument", "pre_instrument"]
