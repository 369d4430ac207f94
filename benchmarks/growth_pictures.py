"""`growth.py`'s curves as SVG for the docs: the same figures make the same bytes.

Without a background and in colours of middle brightness, so that light and dark pages show them alike.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

PICTURES = {
    "stages": (["stages"], ["request path", "total CPU"]),
    "attributes": (["attributes"], ["request path", "total CPU"]),
    "concurrent": (["concurrent"], ["request path", "total CPU", "collection"]),
    "series": (["models", "stage names"], ["request path", "total CPU", "collection"]),
}
"""The curves of each picture, one a row, and the figures that it shows, one a column."""

TITLES = {
    "request path": "the request's own thread",
    "total CPU": "worker included",
    "collection": "reading all metrics once",
}
INK = "#737b86"
COLOURS = {"raw OpenTelemetry": "#2f81c9", "otelext": "#d5691a"}  # apart from each other for the colour-blind too
MARKERS = {"raw OpenTelemetry": "s", "otelext": "o"}
SETTINGS = {
    "svg.hashsalt": "otelext",
    "svg.fonttype": "none",  # text stays text: it can be found, and read aloud
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "savefig.transparent": True,
}


def draw(curves: Mapping[str, Any], to: Path) -> None:
    """Write a picture for each question whose curves are there.

    Args:
        curves: What `growth.py` found.
        to: The folder.
    """
    # By name, as type checking must not ask for a package that only drawing needs.
    matplotlib: Any = importlib.import_module("matplotlib")
    to.mkdir(parents=True, exist_ok=True)
    for picture, (names, figures) in PICTURES.items():
        if all(name in curves for name in names):
            with matplotlib.rc_context(SETTINGS):
                drawn = _drawn([curves[name] for name in names], figures)
                # Neither the moment nor the program's version, which would change the file where no figure did.
                drawn.savefig(to / f"growth-{picture}.svg", metadata={"Date": None, "Creator": None})


def _drawn(curves: Sequence[Mapping[str, Any]], figures: Sequence[str]) -> Any:
    figure: Any = importlib.import_module("matplotlib.figure").Figure(
        figsize=(4.2 * len(figures) if len(figures) < 3 else 10.5, 3.1 * len(curves) + 0.4), layout="constrained"
    )
    panels = figure.subplots(len(curves), len(figures), squeeze=False)
    legend: dict[str, Any] = {}
    for row, curve in zip(panels, curves, strict=True):
        for panel, name in zip(row, figures, strict=True):
            legend |= _panel(panel, curve, name)
    figure.legend(list(legend.values()), list(legend), loc="outside upper center", ncols=len(legend))
    return figure


def _panel(panel: Any, curve: Mapping[str, Any], figure: str) -> dict[str, Any]:
    sizes = curve["sizes"]
    legend: dict[str, Any] = {}
    for who, points in curve["contenders"].items():
        told = [point[figure] for point in points]
        colour = COLOURS[who]
        median = [one["median"] for one in told]
        line = panel.plot(sizes, median, color=colour, marker=MARKERS[who], markersize=4)
        low, high = [one["min"] for one in told], [one["max"] for one in told]
        band = panel.fill_between(sizes, low, high, color=colour, alpha=0.25, linewidth=0)
        legend[f"{who}: median and range of {len(curve['rounds'])} rounds"] = (band, *line)
    if curve["limit"] is not None:
        legend["otelext's limit"] = panel.axvline(curve["limit"], color=INK, linestyle=":", linewidth=1.2)
    if min(sizes) > 0 and max(sizes) / min(sizes) > 1000:
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter("{x:,.0f}")
        panel.minorticks_off()
    unit = curve["one is, in seconds"][figure] * 1e6
    what = "a reading" if figure == "collection" else "a request"
    panel.set_title(TITLES[figure])
    panel.set_xlabel(curve["axis"])
    panel.set_ylabel(f"CPU {what}\n1 = {unit:,.0f} µs, raw at {sizes[0]}")
    panel.set_ylim(bottom=0)
    panel.grid(visible=True)
    return legend
