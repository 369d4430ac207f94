"""Whose the energy is: in equal shares of the time in which inferences overlap, over all processes of a host.

Comes in: samples of each GPU's energy, and when this process's inferences ran. Goes out: joules by model, and idle ones.
May import: `otelext.semconv`, the rest of `otelext.gpu`.
"""

from __future__ import annotations

from otelext.gpu.energy.account import EnergyAccount

__all__ = ["EnergyAccount"]
