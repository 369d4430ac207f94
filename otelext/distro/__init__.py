"""Zero code: what makes `opentelemetry-instrument` an otelext, and `configure()` the same in code.

Comes in: the environment and `configure()`'s overrides. Goes out: global SDK providers, and on providers that others
made what can be added late. May import every other room but `cli`, `viewer` and `testing`; extras lazily.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otelext.distro.configurator import OtelextConfigurator
from otelext.distro.setup import configure, post_instrument, pre_instrument

if TYPE_CHECKING:
    from otelext.distro.distro import OtelextDistro

__all__ = ["OtelextConfigurator", "OtelextDistro", "configure", "post_instrument", "pre_instrument"]


def __getattr__(name: str) -> Any:
    # Its base class loads the machinery of instrumentations, which `configure()` can do without.
    if name == "OtelextDistro":
        from otelext.distro.distro import OtelextDistro  # noqa: PLC0415

        return OtelextDistro
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
