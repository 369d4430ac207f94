"""Long run: does memory stay flat over 300,000 inferences that end in every way an inference can end?

Turns of 20 ways, shuffled: read to the end, closed, dropped, hung up on, failed, timed out, cancelled, never iterated,
without a stream, by callback, not sampled, nested, of a model name never seen before. Spans go to a batch processor
that discards them; metrics are read at each sample.

Every 1,000 inferences, after garbage collections and with everything emitted, a sample is taken. From the 50,000th
inference on these have to hold, or the exit status is 3:

    resident    memory, in bytes for 1,000 inferences: the upper end of its slope's 95 % interval is below 1,000
    malloc      bytes that glibc has given out, likewise
    objects     blocks that Python's own allocator has given out: below 5 for 1,000 inferences
    constant    open file descriptors and threads are the same in every sample
    counted     `vlm.inferences` is, by outcome, what was run, and nothing was dropped

Resident memory is what a service pays for, and a poor witness: allocators keep what was needed once, so that it is the
highest level that ever was, and goes up by a step of up to 250 kB whenever more waits at once than ever before, for the
worker, the batch processor or the garbage collector; and how much waits, a busy machine decides. So what waits is
emitted and collected every 100 inferences, and what is there after the first 5,000 is frozen (`gc.freeze`), which makes
collections cheap. The other two count what is in use, and see what leaks into memory that is resident and free. Objects
grow a little, ever more slowly: an exemplar is kept for each bucket of a histogram that is reached for the first time.
glibc counts as given out what a thread keeps of freed pieces for itself, some 50 kB in all that come within the first
150,000; with `GLIBC_TUNABLES=glibc.malloc.tcache_count=0` about 50 bytes for 1,000 inferences are left, which are the
samples themselves.

The interval is made of increments, since a step leaves its mark on all samples after it; `long_run_slopes.py` says why
a regression would be far too sure.

    python benchmarks/long_run.py [--inferences 300000] [--leak BYTES] [--json FILE] [--where]

`--leak 2000` keeps so many bytes more for 1,000 inferences, in ten pieces, and has to fail. `--where` prints which
lines of code hold more memory at the end than at the first of those samples, and no figures; it takes about ten times
as long. Needs Linux's `/proc`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import random
import sys
import threading
import tracemalloc
from array import array
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from long_run_slopes import PARTS, slope
from long_run_ways import WAYS
from providers import set_providers
from resident import in_use, resident
from rounds import MISSED, arguments, positive, write_json
from targets import MEMORY_LIMIT, OBJECTS_LIMIT

import otelext
from otelext import semconv

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from long_run_slopes import Slope
    from providers import Providers

INFERENCES = 300_000
EVERY = 1000
EMPTIED = 100
FROZEN = 5_000
FEWEST = 6 * EVERY * (PARTS + 2) // 5  # leave enough samples after the first sixth
SEED = 300
LIMITS = {"resident": MEMORY_LIMIT, "malloc": MEMORY_LIMIT, "objects": OBJECTS_LIMIT}
"""What may be kept for 1,000 inferences."""


class Sample(NamedTuple):
    """What the process held after so many inferences: bytes, bytes, blocks, descriptors, threads."""

    inferences: int
    resident: int
    malloc: int
    objects: int
    files: int
    threads: int


class Run:
    """The inferences, the samples, and what was counted.

    Attributes:
        ran: Inferences by outcome.
    """

    def __init__(self, providers: Providers, leak: int = 0) -> None:
        self._tracers = providers.tracers
        self._reader = providers.reader
        self._leak = leak * EMPTIED // EVERY
        self._leaked: list[bytes] = []
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
        done = emptied = taken = 0
        while done < inferences:
            for way in shuffled.sample(WAYS, len(WAYS)):
                await way.run()
                self.ran[way.outcome.value] += way.inferences
                done += way.inferences
                if done >= EMPTIED * (emptied + 1):
                    await self._empty()
                    emptied += 1
                if done >= EVERY * (taken + 1):
                    await self._settle()
                    sample = self._sample(done)
                    self._kept.extend(sample)
                    taken += 1
                    at(sample)
                    if taken == FROZEN // EVERY:
                        gc.freeze()
        await self._settle()

    async def _empty(self) -> None:
        if self._leak:
            self._leaked.append(bytes(max(0, self._leak - sys.getsizeof(b""))))
        gc.collect()
        for _ in range(3):  # the event loop closes async generators in tasks of their own
            await asyncio.sleep(0)
        assert self._tracers.force_flush(60_000)  # and otelext's worker, whose processor stands first
        gc.collect()

    async def _settle(self) -> None:
        await self._empty()
        assert otelext.force_flush(60)
        self._reader.get_metrics_data()
        gc.collect()

    def _sample(self, inferences: int) -> Sample:
        return Sample(
            inferences,
            resident(),
            in_use(),
            sys.getallocatedblocks(),
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


def table(samples: Sequence[Sample], slopes: Mapping[str, Slope], run: Run) -> str:
    """Samples at even distances, the slopes and the outcomes, as Markdown."""
    counted, dropped = run.counted()
    lines = [
        "| inferences | resident, MiB | malloc, MiB | objects | descriptors | threads |",
        "| ---: |" + " ---: |" * 5,
    ]
    for one in samples[:: max(1, (len(samples) - 1) // PARTS)]:
        memory = f"{one.resident / 2**20:.2f} | {one.malloc / 2**20:.2f} | {one.objects:,}"
        lines.append(f"| {one.inferences:,} | {memory} | {one.files} | {one.threads} |")
    lines += [
        "",
        "| kept for 1,000 inferences | at most | slope | 95 % interval | correlation of neighbouring increments |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {what} | {LIMITS[what]:,.0f} | **{one.mean:,.1f}** | {one.low:,.1f} to {one.high:,.1f} |"
            f" {one.correlation:.2f} |"
            for what, one in slopes.items()
        ),
        "",
        "| outcome | run | counted |",
        "| --- | ---: | ---: |",
        *(f"| {outcome} | {ran:,} | {counted[outcome]:,} |" for outcome, ran in sorted(run.ran.items())),
        f"| dropped | | {dropped:,.0f} |",
    ]
    return "\n".join(lines) + "\n"


def growing(slopes: Mapping[str, Slope]) -> list[str]:
    """A sentence for each kind of memory that may grow beyond its limit."""
    return [
        f"{what} is not flat: it may grow by {one.high:,.1f} for 1,000 inferences, beyond {LIMITS[what]:,.0f}"
        for what, one in slopes.items()
        if one.high >= LIMITS[what]
    ]


def faults(samples: Sequence[Sample], run: Run) -> list[str]:
    """A sentence for each other thing that does not hold."""
    counted, dropped = run.counted()
    sentences = []
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


def enough(text: str) -> int:
    """The option's number of inferences.

    Raises:
        argparse.ArgumentTypeError: If they are too few.
    """
    if (inferences := positive(text)) < FEWEST:
        raise argparse.ArgumentTypeError(f"{text} are too few for an interval: at least {FEWEST}")
    return inferences


def main() -> int:
    """Run and show."""
    parser = arguments(__doc__)
    parser.add_argument(
        "--inferences", type=enough, default=INFERENCES, metavar="N", help="in all (default %(default)s)"
    )
    parser.add_argument("--leak", type=positive, default=0, metavar="BYTES", help="keep them for 1,000 inferences")
    parser.add_argument("--where", action="store_true", help="print which code holds what grew, and no figures")
    options = parser.parse_args()
    run = Run(set_providers(), options.leak)
    if options.where:
        where(run, options.inferences)
        return 0

    def tell(sample: Sample) -> None:
        if sample.inferences // EVERY % 50 == 0:
            print(f"long run: {sample.inferences:,} of {options.inferences:,}", file=sys.stderr, flush=True)

    asyncio.run(run.go(options.inferences, tell))
    samples = [sample for sample in run.samples if sample.inferences >= options.inferences // 6]
    slopes = {what: slope([getattr(sample, what) for sample in samples]) for what in LIMITS}
    print(table(samples, slopes, run))
    grown, wrong = growing(slopes), faults(samples, run)
    if options.json:
        write_json(
            options.json,
            {
                "question": "long run",
                "slopes": {what: one._asdict() for what, one in slopes.items()},
                "wrong": wrong,
                "ran": dict(run.ran),
                "samples": [sample._asdict() for sample in run.samples],
            },
        )
    for sentence in (*grown, *wrong):
        print(f"long run: {sentence}", file=sys.stderr)
    return MISSED if grown or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
