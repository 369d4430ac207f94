"""Long run: does memory stay flat over 300,000 inferences that end in every way an inference can end?

Turns of 20 ways, shuffled: read to the end, closed, dropped, hung up on, failed, timed out, cancelled, never iterated,
without a stream, by callback, not sampled, nested, of a model name never seen before. Spans go to a batch processor
that discards them; metrics are read at each sample.

Every 1,000 inferences, after a garbage collection and with everything emitted, a sample is taken: resident memory, open
file descriptors, threads. From the 50,000th inference on three things have to hold, or the exit status is 1:

    slope       of resident memory, in bytes for 1,000 inferences: the upper end of its 95 % confidence interval is
                below 1,000
    constant    descriptors and threads are the same in every sample
    counted     `vlm.inferences` is, by outcome, what was run, and nothing was dropped

The interval. Resident memory moves in pages and stays where it is for a while, so that neighbouring samples say nearly
the same and a regression over all of them would find itself far too sure. So the samples are cut into ten blocks, the
regression line goes through the blocks' means, and the interval is Student's with 8 degrees of freedom. Simulated with
neighbouring samples that correlate by 0.8 or 0.95, it holds the true slope in 93 or 82 % of all runs, a regression over
all samples in 48 or 23 %. How far to trust it is told by the correlation of neighbouring blocks' residuals, which is
about -0.2 where blocks are independent.

    python benchmarks/long_run.py [--inferences 300000] [--json FILE] [--where]

`--where` prints which lines of code hold more memory at the end than at the first of those samples, and no figures; it
takes about ten times as long. Needs Linux's `/proc`.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import statistics
import sys
import threading
import tracemalloc
from array import array
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from long_run_ways import WAYS
from providers import set_providers
from resident import resident
from rounds import arguments, write_json

import otelext
from otelext import semconv

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

INFERENCES = 300_000
EVERY = 1000
BLOCKS = 10
STUDENT = 2.306  # the 97.5 % quantile of Student's distribution with 8 degrees of freedom
LIMIT = 1000.0
SEED = 300


class Sample(NamedTuple):
    """What the process held after so many inferences: bytes, descriptors, threads."""

    inferences: int
    resident: int
    files: int
    threads: int


class Run:
    """The inferences, the samples, and what was counted.

    Attributes:
        ran: Inferences by outcome.
    """

    def __init__(self, reader: InMemoryMetricReader) -> None:
        self._reader = reader
        self._kept = array("q")  # tuples would grow by more than what is looked for
        self.ran: Counter[str] = Counter()

    @property
    def samples(self) -> list[Sample]:
        """In the order of their taking."""
        fields = len(Sample._fields)
        return [Sample(*self._kept[n : n + fields]) for n in range(0, len(self._kept), fields)]

    async def go(self, inferences: int, at: Callable[[Sample], object] = lambda _: None) -> None:
        """Run so many.

        Args:
            inferences: Their number.
            at: Called with each sample.
        """
        shuffled = random.Random(SEED)
        done = taken = 0
        while done < inferences:
            for way in shuffled.sample(WAYS, len(WAYS)):
                await way.run()
                self.ran[way.outcome.value] += way.inferences
                done += way.inferences
                if done >= EVERY * (taken + 1):
                    await self._settle()
                    sample = self._sample(done)
                    self._kept.extend(sample)
                    taken += 1
                    at(sample)
        await self._settle()

    async def _settle(self) -> None:
        gc.collect()
        for _ in range(3):  # the event loop closes async generators in tasks of their own
            await asyncio.sleep(0)
        assert otelext.force_flush(60)
        self._reader.get_metrics_data()

    def _sample(self, inferences: int) -> Sample:
        return Sample(
            inferences,
            resident(),
            len(os.listdir("/proc/self/fd")),  # noqa: PTH208  # no object an entry
            threading.active_count(),
        )

    def counted(self) -> tuple[Counter[str], float]:
        """Inferences by outcome as the metrics tell them, and what the worker dropped."""
        outcomes: Counter[str] = Counter()
        dropped = 0.0
        data = self._reader.get_metrics_data()
        assert data is not None
        for metric in (m for group in data.resource_metrics for scope in group.scope_metrics for m in scope.metrics):
            for point in metric.data.data_points:
                if metric.name == semconv.INFERENCES.name:
                    outcomes[str((point.attributes or {})[semconv.OUTCOME])] += int(getattr(point, "value", 0))
                elif metric.name == semconv.WORKER_DROPPED.name:
                    dropped += getattr(point, "value", 0)
        return outcomes, dropped


class Slope(NamedTuple):
    """A regression: bytes for 1,000 inferences, the ends of the interval, the correlation of neighbouring residuals."""

    bytes: float
    low: float
    high: float
    correlation: float


def slope(samples: Sequence[Sample]) -> Slope:
    """The line through the blocks' means; what does not fill a block is left out at the beginning."""
    size = len(samples) // BLOCKS
    blocks = [samples[len(samples) - size * n :][:size] for n in range(BLOCKS, 0, -1)]
    x = [statistics.fmean(sample.inferences for sample in block) / 1000 for block in blocks]
    y = [statistics.fmean(sample.resident for sample in block) for block in blocks]
    line = statistics.linear_regression(x, y)
    residuals = [b - line.intercept - line.slope * a for a, b in zip(x, y, strict=True)]
    squares = sum(residual**2 for residual in residuals)
    middle = statistics.fmean(x)
    error = (squares / (BLOCKS - 2) / sum((a - middle) ** 2 for a in x)) ** 0.5
    neighbours = sum(a * b for a, b in pairwise(residuals))
    half = STUDENT * error
    return Slope(line.slope, line.slope - half, line.slope + half, neighbours / squares if squares else 0.0)


def table(samples: Sequence[Sample], found: Slope, run: Run) -> str:
    """Samples at even distances, the slope and the outcomes, as Markdown."""
    counted, dropped = run.counted()
    lines = ["| inferences | resident, MiB | descriptors | threads |", "| ---: |" + " ---: |" * 3]
    for inferences, memory, files, threads in samples[:: max(1, (len(samples) - 1) // BLOCKS)]:
        lines.append(f"| {inferences:,} | {memory / 2**20:.2f} | {files} | {threads} |")
    lines += [
        "",
        "| slope, bytes for 1,000 inferences | 95 % confidence interval | correlation of neighbouring blocks |",
        "| ---: | ---: | ---: |",
        f"| **{found.bytes:,.0f}** | {found.low:,.0f} to {found.high:,.0f} | {found.correlation:.2f} |",
        "",
        "| outcome | run | counted |",
        "| --- | ---: | ---: |",
        *(f"| {outcome} | {ran:,} | {counted[outcome]:,} |" for outcome, ran in sorted(run.ran.items())),
        f"| dropped | | {dropped:,.0f} |",
    ]
    return "\n".join(lines) + "\n"


def faults(samples: Sequence[Sample], found: Slope, run: Run) -> list[str]:
    """A sentence for each thing that does not hold."""
    counted, dropped = run.counted()
    sentences = []
    if found.high >= LIMIT:
        sentences.append(f"memory is not flat: it may grow by {found.high:,.0f} bytes for 1,000 inferences")
    for what, values in (
        ("open file descriptors", {sample.files for sample in samples}),
        ("threads", {sample.threads for sample in samples}),
    ):
        if len(values) > 1:
            sentences.append(f"{what} do not stay the same: from {min(values)} to {max(values)}")
    if counted != run.ran or dropped:
        sentences.append(f"not every inference was counted once: {dict(counted)} of {dict(run.ran)}")
    return sentences


def where(run: Run, inferences: int) -> None:
    """Print which lines hold more at the end than after the first part."""
    before: list[tracemalloc.Snapshot] = []

    def look(sample: Sample) -> None:
        if not before and sample.inferences >= inferences // 6:
            before.append(tracemalloc.take_snapshot())

    tracemalloc.start(8)
    asyncio.run(run.go(inferences, look))
    for difference in tracemalloc.take_snapshot().compare_to(before[0], "lineno")[:20]:
        print(difference)


def main() -> int:
    """Run and show."""
    parser = arguments(__doc__)
    parser.add_argument("--inferences", type=int, default=INFERENCES, help="in all (default %(default)s)")
    parser.add_argument("--where", action="store_true", help="print which code holds what grew, and no figures")
    options = parser.parse_args()
    run = Run(set_providers().reader)
    if options.where:
        where(run, options.inferences)
        return 0

    def tell(sample: Sample) -> None:
        if sample.inferences // EVERY % 50 == 0:
            print(f"long run: {sample.inferences:,} of {options.inferences:,}", file=sys.stderr, flush=True)

    asyncio.run(run.go(options.inferences, tell))
    samples = [sample for sample in run.samples if sample.inferences >= options.inferences // 6]
    found = slope(samples)
    print(table(samples, found, run))
    if options.json:
        write_json(
            options.json,
            {
                "question": "long run",
                "slope": found._asdict(),
                "ran": dict(run.ran),
                "samples": [sample._asdict() for sample in run.samples],
            },
        )
    wrong = faults(samples, found, run)
    for sentence in wrong:
        print(f"long run: {sentence}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
