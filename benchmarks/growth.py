"""How cost grows: with the stages of a request, its attributes, the requests open at once, and the distinct names.

The request of `request_path.py`, bigger in one way at a time, with otelext and by hand in raw OpenTelemetry. In each
round a figure is divided by that of the raw request at the curve's first point (1x), so that one scale shows how each
grows and how far apart they are. Three figures, of CPU: a request's own thread (`request path`), everything that a
request causes until it is emitted (`total CPU`), and one reading of all metrics, as each export does (`collection`,
which no request waits for and the other two leave out).

    python benchmarks/growth.py [--rounds 9] [--repetitions 400] [--only CURVE ...] [--json FILE] [--pictures DIR]
    python benchmarks/growth.py --read FILE --pictures DIR
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cpu import measuring
from providers import set_providers
from raw_otel import CHUNKS
from raw_shaped import RawShaped
from rounds import Benchmark, add_only, add_rounds, arguments, measure, ratios, serve, summary, write_json
from shapes import Shape, Turns

import otelext
from otelext import semconv

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rounds import Figures, Measure
    from shapes import Plan

RAW, OURS = "raw OpenTelemetry", "otelext"
FIGURES = ("request path", "total CPU", "collection")


@dataclass(frozen=True)
class Curve:
    """One way to grow.

    Attributes:
        axis: What is counted.
        shapes: Requests by how much there is of it.
        limit: Beyond so many otelext calls what comes `other`.
    """

    axis: str
    shapes: Mapping[int, Shape]
    limit: int | None = None


CURVES = {
    "stages": Curve("stages a request", {n: Shape(stages=n) for n in (1, 2, 5, 10, 20, 35, 50)}),
    "attributes": Curve("attributes set a request", {n: Shape(attributes=n) for n in (0, 1, 5, 10, 20, 35, 50)}),
    "concurrent": Curve("inferences open at once", {n: Shape(open=n) for n in (1, 10, 100, 1000, 3000, 10_000)}),
    "models": Curve(
        "distinct models", {n: Shape(models=n) for n in (1, 10, 25, 50, 75, 100, 150, 200)}, semconv.MAX_VALUES
    ),
    "stage names": Curve(
        "distinct names of stages",
        {n: Shape(stage_names=n) for n in (5, 10, 25, 54, 75, 100, 150, 200)},
        semconv.MAX_STAGES - len(semconv.ALWAYS_KEPT[semconv.STAGE]),
    ),
}


@otelext.inference("chat", model=lambda plan: plan.model, provider="vllm")
def answer(plan: Plan) -> Iterator[str]:
    """The request with otelext."""
    inf = otelext.current_inference()
    inf.set_input(images=1, pages=1, image_tokens=1176)
    for name in plan.stages:
        with otelext.stage(name):
            pass
    for key, value in plan.attributes:
        inf.set_attribute(key, value)
    for _ in range(CHUNKS):
        yield "a"
    inf.set_usage(input_tokens=1218, output_tokens=CHUNKS)


def contender(who: str, shape: Shape) -> Measure:
    """Requests of a shape, measured."""
    tracers, meters, _ = set_providers()
    turns = Turns(shape, answer if who == OURS else RawShaped(tracers, meters))

    def flush() -> None:
        # Drains otelext's worker too, whose processor stands first. `otelext.force_flush` reads the metrics besides.
        assert tracers.force_flush(60_000)

    flush()
    a_request = measuring(turns, flush)

    def measured(repetitions: int) -> Figures:
        figures = a_request(repetitions)
        start = time.process_time_ns()
        assert meters.force_flush(60_000)
        return {**figures, "collection": (time.process_time_ns() - start) / 1e9}

    return measured


def name_of(curve: str, who: str, size: int) -> str:
    """A contender's name."""
    return f"{curve}: {who}, {size}"


def benchmark(name: str) -> Benchmark:
    """A curve's points as contenders, the raw request at the first of them 1x."""
    shapes = CURVES[name].shapes
    return Benchmark(
        __file__,
        {
            name_of(name, who, size): lambda who=who, shape=shape: contender(who, shape)  # type: ignore[misc]
            for size, shape in shapes.items()
            for who in (RAW, OURS)
        },
        base=name_of(name, RAW, min(shapes)),
        repetitions=400,
    )


def found(name: str, rounds: Sequence[Mapping[str, Figures]]) -> dict[str, Any]:
    """A curve's figures, each as minimum, median and maximum over the rounds."""
    curve = CURVES[name]
    by_contender = ratios(benchmark(name), rounds)

    def point(who: str, size: int) -> dict[str, dict[str, float]]:
        return {figure: summary(values) for figure, values in by_contender[name_of(name, who, size)].items()}

    def to_raw(size: int) -> dict[str, dict[str, float]]:
        ours, raw = (by_contender[name_of(name, who, size)] for who in (OURS, RAW))
        return {
            figure: summary([one / other for one, other in zip(ours[figure], raw[figure], strict=True)])
            for figure in FIGURES
        }

    base = name_of(name, RAW, min(curve.shapes))
    return {
        "axis": curve.axis,
        "limit": curve.limit,
        "sizes": list(curve.shapes),
        "one is, in seconds": {figure: statistics.median(one[base][figure] for one in rounds) for figure in FIGURES},
        "contenders": {who: [point(who, size) for size in curve.shapes] for who in (RAW, OURS)},
        "otelext to raw at the same size": [to_raw(size) for size in curve.shapes],
        "rounds": list(rounds),
    }


def table(curve: Mapping[str, Any]) -> str:
    """A curve as Markdown: medians, with minimum and maximum."""

    def cells(point: Mapping[str, Mapping[str, float]]) -> str:
        told = (point[figure] for figure in FIGURES)
        return " | ".join(f"**{one['median']:.3f}** ({one['min']:.3f} to {one['max']:.3f})" for one in told)

    columns = [f"{who}: {figure}" for who in (RAW, OURS, "ours to raw's") for figure in FIGURES]
    lines = [f"| {curve['axis']} | " + " | ".join(columns) + " |", "| ---: |" + " ---: |" * len(columns)]
    points = (curve["contenders"][RAW], curve["contenders"][OURS], curve["otelext to raw at the same size"])
    for size, *at_size in zip(curve["sizes"], *points, strict=True):
        lines.append(f"| {size:,} | " + " | ".join(map(cells, at_size)) + " |")
    one = ", ".join(f"{value * 1e6:,.0f} µs {figure}" for figure, value in curve["one is, in seconds"].items())
    return "\n".join(lines) + f"\n\n1x is {RAW} at {curve['sizes'][0]}, here {one}; {len(curve['rounds'])} rounds.\n"


def main() -> int:
    """Measure the curves or read them, and show them; or be a contender."""
    parser = arguments(__doc__)
    add_rounds(parser, 9, 400, "all of a curve's points", "of a point a round")
    add_only(parser, list(CURVES), "curves")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="write growth-*.svg there (needs matplotlib)")
    parser.add_argument("--read", type=Path, metavar="FILE", help="measure nothing and take what --json wrote there")
    points = {name: prepare for curve in CURVES for name, prepare in benchmark(curve).contenders.items()}
    parser.add_argument("--contender", choices=list(points), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        serve(points[options.contender]())
        return 0
    if options.read:
        curves = json.loads(options.read.read_text())["curves"]
    else:
        curves = {}
        for name in options.only or CURVES:
            asked = benchmark(name)
            rounds = []
            for one in measure(asked, list(asked.contenders), options.rounds, options.repetitions):
                rounds.append(one)
                print(f"growth, {name}: round {len(rounds)} of {options.rounds}", file=sys.stderr, flush=True)
            curves[name] = found(name, rounds)
    for curve in curves.values():
        print(table(curve))
    if options.json:
        write_json(options.json, {"question": "growth", "curves": curves})
    if options.pictures:
        from growth_pictures import draw  # noqa: PLC0415  # matplotlib, which only drawing needs

        draw(curves, options.pictures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
