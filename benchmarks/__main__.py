"""All benchmarks one after the other, and what became of the targets.

    python benchmarks [--json DIR] [--write FILE] [--pictures DIR] [--only NAME ...]

Each program prints its own tables (`python benchmarks/request_path.py --help` says what they mean); the last table is
that of the targets. Other libraries are left out, which `make bench-peers` compares. Nothing else should run meanwhile.

The exit status is 1 if a program failed, as `replay.py` does when something is lost, 2 if a target was not met.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rounds import machine

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = Path(__file__).parent
NOISE = "the same once more: the noise"
BEGIN, END = "<!-- figures: begin -->", "<!-- figures: end -->"

PROGRAMS: Mapping[str, Sequence[str]] = {
    "request_path": ("--rounds", "11"),
    "per_token": (),
    "streams": ("--rounds", "11"),
    "streams_uvicorn": ("--rounds", "5"),
    "start": ("--rounds", "9"),
    "replay": ("--rounds", "1"),
    "long_run": (),
    "growth": ("--rounds", "5", "--repetitions", "200"),
}
"""The programs in their order, each with what keeps all of them under a quarter of an hour."""


@dataclass(frozen=True)
class Target:
    """One target.

    Attributes:
        what: What is measured, and against what.
        program: Who measures it.
        contender: Its name there.
        figure: Its figure.
        limit: What it is at most; None where it is shown beside the others without a target of its own.
    """

    what: str
    program: str
    contender: str
    figure: str
    limit: float | None


RAW, LEAN, BARE = "the same by hand", "the leanest by hand", "the same without telemetry"
TARGETS = (
    Target(f"request path, to {RAW}", "request_path", "otelext", "request path", 0.12),
    Target(f"total CPU, worker included, to {RAW}", "request_path", "otelext", "total CPU", 0.35),
    Target(
        f"total CPU, each request emitted alone, to {RAW}",
        "request_path",
        "otelext, each request emitted alone",
        "total CPU",
        None,
    ),
    Target(f"a token of a generator, to {LEAN}", "per_token", "otelext", "generator", 1.1),
    Target(f"the lower bound of a generator's token, to {LEAN}", "per_token", "lower bound", "generator", None),
    Target(f"a token of an async generator, to {LEAN}", "per_token", "otelext", "async generator", 1.1),
    Target(f"the lower bound of an async generator's, to {LEAN}", "per_token", "lower bound", "async generator", None),
    Target(f"a token of `stream()`, to {LEAN}", "per_token", "otelext", "stream()", None),
    Target(f"a token of a callback, to {LEAN}", "per_token", "otelext", "callback", None),
    Target("import and configure, to the SDK alone", "start", "import otelext, configure()", "CPU", 1.1),
    Target(f"CPU of 200 streams in one loop, to {BARE}", "streams", "otelext", "CPU", 1.4),
    Target(f"their event loop's lag at p99, to {BARE}", "streams", "otelext", "lag p99", 2.0),
    Target(f"CPU of 200 streams under uvicorn, to {BARE}", "streams_uvicorn", "otelext", "CPU", None),
)


@dataclass(frozen=True)
class Ended:
    """A program that has run."""

    status: int
    printed: str
    found: Mapping[str, Any]


def run(program: str, options: Sequence[str], folder: Path) -> Ended:
    """Run one program; its progress goes where ours does."""
    written = folder / f"{program}.json"
    command = [sys.executable, str(HERE / f"{program}.py"), *options, "--json", str(written)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603  # our own programs
    print(done.stdout, flush=True)
    return Ended(done.returncode, done.stdout, json.loads(written.read_text()) if written.exists() else {})


def rows(ended: Mapping[str, Ended]) -> tuple[list[str], bool]:
    """The targets as rows of a table, and whether all that were measured are met."""
    found = ["| target | at most | median | range | noise | met |", "| --- | ---: | ---: | ---: | ---: | --- |"]
    every = True
    for target in TARGETS:
        ratios = ended[target.program].found.get("ratios", {}) if target.program in ended else {}
        told = ratios.get(target.contender, {}).get(target.figure)
        if told is None:
            continue
        met = target.limit is None or told["median"] <= target.limit
        every = every and met
        noise = ratios.get(NOISE, {}).get(target.figure)
        cells = (
            target.what,
            "" if target.limit is None else f"{target.limit:.2f}",
            f"**{told['median']:.3f}**",
            f"{told['min']:.3f} to {told['max']:.3f}",
            "" if noise is None else f"{noise['median']:.3f}",
            "no target" if target.limit is None else "yes" if met else "**no**",
        )
        found.append("| " + " | ".join(cells) + " |")
    if "replay" in ended:
        kept = ended["replay"].status == 0
        every = every and kept
        found.append(
            f"| spans, counts or values lost in the replay | 0 | **{'0' if kept else 'some'}** | | | {_met(kept)} |"
        )
    if slope := ended["long_run"].found.get("slope") if "long_run" in ended else None:
        flat = ended["long_run"].status == 0
        every = every and flat
        found.append(
            f"| memory kept for 1,000 inferences, upper end of the 95 % interval, bytes | 1,000 | **{slope['high']:,.0f}** |"
            f" | | {_met(flat)} |"
        )
    return found, every


def _met(met: bool) -> str:
    return "yes" if met else "**no**"


def page(ended: Mapping[str, Ended], targets: Sequence[str]) -> str:
    """Everything for the docs."""
    described = ", ".join(f"{what} {value}" if what[0].islower() else value for what, value in machine().items())
    parts = [f"Measured on: {described}.", "\n".join(targets)]
    for program, one in ended.items():
        title = program.replace("_", " ").capitalize()
        parts += [f"### {title}", f"`python benchmarks/{program}.py {' '.join(PROGRAMS[program])}`".replace(" `", "`")]
        parts.append(one.printed.strip())
    return "\n\n".join(parts) + "\n"


def main() -> int:
    """Run the programs."""
    parser = argparse.ArgumentParser(
        prog="python benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="DIR", help="keep each program's figures there")
    parser.add_argument("--write", type=Path, metavar="FILE", help="replace the figures in this page")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="draw the curves of growth.py there")
    parser.add_argument(
        "--only", nargs="+", choices=list(PROGRAMS), default=list(PROGRAMS), help="these programs alone"
    )
    options = parser.parse_args()
    begin = time.monotonic()
    ended: dict[str, Ended] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.json or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for number, program in enumerate(options.only, 1):
            print(f"==> {number} of {len(options.only)}: {program}.py", file=sys.stderr, flush=True)
            more = ("--pictures", str(options.pictures)) if options.pictures and program == "growth" else ()
            ended[program] = run(program, (*PROGRAMS[program], *more), folder)
    targets, met = rows(ended)
    print("\n".join(targets))
    print(f"\n{len(ended)} programs in {(time.monotonic() - begin) / 60:.1f} minutes")
    failed = [program for program, one in ended.items() if one.status]
    if options.write:
        before = options.write.read_text()
        figures = f"{BEGIN}\n{page(ended, targets)}{END}"
        options.write.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: figures, before, flags=re.DOTALL))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
        return 1
    return 0 if met else 2


if __name__ == "__main__":
    sys.exit(main())
