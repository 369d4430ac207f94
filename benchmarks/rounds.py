"""Contenders in processes of their own that take turns: how every ratio of these benchmarks is measured.

One process a contender, so that each has its own global providers (and, where it needs them, its own packages), and one
at a time, in rounds whose order is shuffled, so that what the machine does meanwhile meets all of them. A ratio is taken
within a round; figures of different runs are never compared.

A contender's process reads lines, each a number of repetitions, and answers each with a line of JSON: its figures.

pyperf is not used, since it doesn't fit: it runs all processes of one benchmark before it begins the next, so that what
the machine does in the meantime becomes part of the ratio, and its workers time one function, where a contender here is
a whole process with several figures, its worker's thread and its start among them.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import random
import shlex
import statistics
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from typing_extensions import Self

    Figures = dict[str, float]
    Measure = Callable[[int], Figures]
    """Does something so many times; what it took, by name."""
    Prepare = Callable[[], Measure]
    """Sets a contender up in its own process."""

MISSED = 3
"""The exit status where all was measured and something does not hold; 1 is a program's that failed, 2 that of usage."""


@dataclass(frozen=True)
class Benchmark:
    """One question, asked of several contenders.

    Attributes:
        program: The file that is run once more for each contender, as `program --contender NAME`.
        contenders: How each is set up, by its name.
        base: The contender that is 1x.
        repetitions: What a contender does in a round.
        rounds: Rounds, unless the command line says otherwise.
        commands: The command of a contender that is another program's, with the environment it needs.
        against: Figures whose ratio is to another figure of the base, as a part's to the whole.
        fresh: Whether each round has new processes: where nanoseconds count, how the memory of a process happens to
            lie makes a fifth, for as long as it runs.
    """

    program: str
    contenders: Mapping[str, Prepare]
    base: str
    repetitions: int
    rounds: int = 15
    commands: Mapping[str, tuple[Sequence[str], Mapping[str, str]]] = field(default_factory=dict)
    against: Mapping[str, str] = field(default_factory=dict)
    fresh: bool = False

    @property
    def question(self) -> str:
        """The program's name."""
        return Path(self.program).stem

    def command(self, name: str) -> tuple[Sequence[str], Mapping[str, str]]:
        """How a contender's process is started, and what its environment has beside ours."""
        return self.commands.get(name) or ([sys.executable, self.program, "--contender", name], {})


def serve(measure: Measure) -> None:
    """Be a contender: answer until the input ends."""
    for line in sys.stdin:
        gc.collect()
        print(json.dumps(measure(int(line))), flush=True)


class Process:
    """A contender that is running."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._process = subprocess.Popen(  # noqa: S603  # our own programs
            list(command), env={**os.environ, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, repetitions: int) -> Figures:
        """Its figures for so many repetitions."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{repetitions}\n")
        self._process.stdin.flush()
        while line := self._process.stdout.readline():
            if line.startswith("{"):  # peers print greetings
                answer: Figures = json.loads(line)
                return answer
        sys.exit(f"the contender {self.name!r} ended with status {self._process.wait()}; its output is above")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


def measure(benchmark: Benchmark, names: Sequence[str], rounds: int, repetitions: int) -> Iterator[dict[str, Figures]]:
    """Each round's figures by contender, a warm-up left out."""
    for first in range(0, rounds, 1 if benchmark.fresh else rounds):
        with ExitStack() as running:
            processes = [running.enter_context(Process(name, *benchmark.command(name))) for name in names]
            for process in processes:
                process.ask(max(1, repetitions // 8))
            for _ in range(first, first + 1 if benchmark.fresh else rounds):
                random.shuffle(processes)
                yield {process.name: process.ask(repetitions) for process in processes}


def ratios(benchmark: Benchmark, rounds: Sequence[Mapping[str, Figures]]) -> dict[str, dict[str, list[float]]]:
    """By contender and figure: its ratio to the base's in each round."""

    def base(one: Mapping[str, Figures], figure: str) -> float:
        return one[benchmark.base].get(benchmark.against.get(figure, figure), 0.0)

    return {
        name: {
            figure: [one[name][figure] / base(one, figure) for one in rounds]
            for figure in rounds[0][name]
            if all(base(one, figure) for one in rounds)
        }
        for name in rounds[0]
    }


def summary(values: Sequence[float]) -> dict[str, float]:
    """Minimum, median and maximum of one ratio."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def table(found: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """The ratios as Markdown, in the contenders' order."""
    figures = list(dict.fromkeys(figure for by_figure in found.values() for figure in by_figure))
    lines = [
        "| contender | " + " | ".join(f"{figure}: min | median | max" for figure in figures) + " |",
        "| --- |" + " ---: | ---: | ---: |" * len(figures),
    ]
    for name, by_figure in found.items():
        cells: list[str] = []
        for figure in figures:
            if figure in by_figure:
                told = summary(by_figure[figure])
                cells += [f"{told['min']:.3f}", f"**{told['median']:.3f}**", f"{told['max']:.3f}"]
            else:
                cells += ["", "", ""]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    cpu = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        cpu = models[0] if models else cpu
    return {
        "processor": f"{cpu}, {os.cpu_count()} cores",
        "system": platform.system() + " " + platform.release(),
        "python": platform.python_implementation() + " " + platform.python_version(),
        **{name: metadata.version(name) for name in ("opentelemetry-sdk", "otelext")},
    }


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a benchmark's figures with the machine's description."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": machine(), **content}, indent=2) + "\n")


def arguments(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    return parser


def positive(text: str) -> int:
    """An option's whole number of at least 1.

    Raises:
        argparse.ArgumentTypeError: If it is another one, or none.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def add_rounds(parser: argparse.ArgumentParser, rounds: int, repetitions: int, what: str, of: str) -> None:
    """Add `--rounds` and `--repetitions` with their defaults.

    Args:
        parser: Has the options then.
        rounds: How often all take their turn.
        repetitions: What one does in a round.
        what: Who takes turns.
        of: What is repeated.
    """
    parser.add_argument("--rounds", type=positive, default=rounds, metavar="N", help=f"of {what} (default %(default)s)")
    parser.add_argument(
        "--repetitions", type=positive, default=repetitions, metavar="N", help=f"{of} (default %(default)s)"
    )


def add_only(parser: argparse.ArgumentParser, names: Sequence[str], what: str, beside: str = "") -> None:
    """Add `--only`, whose names stand one a line at the end of the help."""
    parser.add_argument(
        "--only",
        nargs="+",
        choices=list(names),
        metavar="NAME",
        help=f"these {what} alone{beside}; their names stand below",
    )
    parser.epilog = "\n".join([f"{what}:", *(f"  {shlex.quote(name)}" for name in names)])


def main(benchmark: Benchmark, description: str | None, profile: Callable[[int], None] | None = None) -> int:
    """Run a benchmark of ratios from its command line, or be one of its contenders."""
    parser = arguments(description)
    add_rounds(parser, benchmark.rounds, benchmark.repetitions, "all contenders", "of a contender a round")
    known = [*benchmark.contenders, *benchmark.commands]
    add_only(parser, known, "contenders", f" (and {benchmark.base!r}, the 1x)")
    parser.add_argument("--contender", choices=list(benchmark.contenders), help=argparse.SUPPRESS)
    if profile is not None:
        parser.add_argument("--profile", action="store_true", help="print where otelext's time goes, and no ratios")
    options = parser.parse_args()
    if options.contender:
        serve(benchmark.contenders[options.contender]())
        return 0
    if profile is not None and options.profile:
        profile(options.repetitions)
        return 0
    names = [name for name in known if not options.only or name in {*options.only, benchmark.base}]
    rounds = []
    for found in measure(benchmark, names, options.rounds, options.repetitions):
        rounds.append({name: found[name] for name in names})
        print(f"{benchmark.question}: round {len(rounds)} of {options.rounds}", file=sys.stderr, flush=True)
    told = ratios(benchmark, rounds)
    print(table(told))
    base = {name: statistics.median(one[benchmark.base][name] for one in rounds) for name in rounds[0][benchmark.base]}
    shown = ", ".join(f"{value:.4g} {name}" for name, value in base.items())
    print(f"1x is {benchmark.base}, here {shown}; {options.rounds} rounds of {options.repetitions}.")
    if options.json:
        medians = {name: {figure: summary(v) for figure, v in by_figure.items()} for name, by_figure in told.items()}
        content = {"question": benchmark.question, "base": benchmark.base, "ratios": medians, "rounds": rounds}
        write_json(options.json, content)
    return 0
