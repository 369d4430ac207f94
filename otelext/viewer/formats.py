"""Figures and foreign text as the terminal shows them."""

from __future__ import annotations

from typing import Final

_MINUTE: Final = 60.0
_LONG: Final = 600.0
_MIG_UUID: Final = 12
_ABSURD: Final = 1e12
"""Senders may report anything; beyond this a figure need not be exact, but has to fit its column."""


def seconds(value: float) -> str:
    """A duration in a unit that fits it, with three significant figures or so."""
    size = abs(value)
    if size >= _ABSURD:
        return f"{value:.3g} s"
    if size >= _LONG:
        return f"{value / _MINUTE:.1f} min"
    if size >= 100:  # noqa: PLR2004 (where a decimal stops to matter)
        return f"{value:.0f} s"
    if size >= 1:
        return f"{value:.2f} s"
    if size >= 0.1:  # noqa: PLR2004 (as above)
        return f"{value * 1e3:.0f} ms"
    if size >= 0.001 or size == 0:  # noqa: PLR2004 (as above)
        return f"{value * 1e3:.1f} ms"
    return f"{value * 1e6:.0f} us"


def share(value: float) -> str:
    """A share of 1 in per cent."""
    return f"{value * 100:.1f} %"


def amount(value: float) -> str:
    """A count with thousands apart; decimals only where there are some."""
    if abs(value) >= _ABSURD:
        return f"{value:.3g}"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


def counted(value: float, noun: str) -> str:
    """A count with its noun, as in `1 trace` and `2 traces`."""
    return f"{amount(value)} {noun if value == 1 else noun + 's'}"


def plain(text: str) -> str:
    """Text of a sender without anything that a terminal would obey or turn around."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def gpu_name(name: str) -> str:
    """What a GPU is called where there is little room."""
    return plain(name.removeprefix("NVIDIA "))


def mig_name(name: str, uuid: str) -> str:
    """What a MIG device is called below its GPU: its profile, and what of its UUID CUDA_VISIBLE_DEVICES takes for it."""
    _, mig, profile = name.rpartition("MIG")
    return plain(f"{mig}{profile} {uuid[:_MIG_UUID]}")
