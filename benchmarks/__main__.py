"""All benchmarks one after the other, and what became of the targets.

    python benchmarks [--json DIR] [--write FILE] [--pictures DIR] [--only NAME ...]

Each program prints its own tables (`python benchmarks/request_path.py --help` says what they mean); the last table is
that of the targets. Other libraries are left out, which `make bench-peers` compares. Nothing else should run meanwhile.

`--write` with `--only` replaces what these programs measured and leaves the rest of the page, if that is of the same
machine and versions; after a program that failed nothing is written.

The exit status is 0 if all targets that were measured are met, 1 if a program failed, 2 for a command line that is
wrong, and 3 if all went through and a target was missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from page import Page
from rounds import MISSED, add_only
from targets import HEAD, Ended, rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

HERE = Path(__file__).parent

PROGRAMS: Mapping[str, Sequence[str]] = {
    "request_path": ("--rounds", "11"),
    "per_token": (),
    "streams": ("--rounds", "21"),
    "streams_uvicorn": ("--rounds", "5"),
    "start": ("--rounds", "9"),
    "log_line": ("--rounds", "9"),
    "replay": ("--rounds", "3", "--repetitions", "1000"),
    "long_run": (),
    "growth": ("--rounds", "5", "--repetitions", "200"),
}
"""The programs in their order, each with what keeps all of them under a quarter of an hour."""


def run(program: str, options: Sequence[str], folder: Path) -> Ended:
    """Run one program; its progress goes where ours does."""
    written = folder / f"{program}.json"
    written.unlink(missing_ok=True)  # else an earlier run's figures would stand for those of one that failed
    command = [sys.executable, str(HERE / f"{program}.py"), *options, "--json", str(written)]
    begin = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)  # noqa: S603  # our own programs
    print(done.stdout, flush=True)
    found = json.loads(written.read_text()) if written.exists() else {}
    return Ended(done.returncode, done.stdout, found, time.monotonic() - begin)


def main() -> int:
    """Run the programs."""
    parser = argparse.ArgumentParser(
        prog="python benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="DIR", help="keep each program's figures there")
    parser.add_argument("--write", type=Path, metavar="FILE", help="replace the figures in this page")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="draw the curves of growth.py there")
    add_only(parser, list(PROGRAMS), "programs")
    options = parser.parse_args()
    page = None
    if options.write:
        try:
            page = Page(options.write)
        except (OSError, ValueError) as exc:
            parser.error(f"--write: {exc}")
        if options.only and page.elsewhere:
            parser.error(
                f"--write with --only: the figures of {options.write} are of another machine or of other versions;"
                " measure all of them anew, without --only"
            )
    begin = time.monotonic()
    ended: dict[str, Ended] = {}
    names = [name for name in PROGRAMS if not options.only or name in options.only]
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.json or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for number, program in enumerate(names, 1):
            print(f"==> {number} of {len(names)}: {program}.py", file=sys.stderr, flush=True)
            more = ("--pictures", str(options.pictures)) if options.pictures and program == "growth" else ()
            ended[program] = run(program, (*PROGRAMS[program], *more), folder)
    found = rows(ended)
    print("\n".join([*HEAD, *map(str, found)]))
    minutes = (time.monotonic() - begin) / 60
    print(f"\n{len(ended)} {'program' if len(ended) == 1 else 'programs'} in {minutes:.1f} minutes")
    if failed := [program for program, one in ended.items() if one.failed]:
        print(f"failed: {', '.join(failed)}" + ("; nothing is written" if page else ""), file=sys.stderr)
        return 1
    if page:
        commands = {name: " ".join([f"python benchmarks/{name}.py", *PROGRAMS[name]]) for name in PROGRAMS}
        page.replace(ended, commands, found, "" if options.only else f"All of it took {minutes:.1f} minutes.")
    if missed := [row.what for row in found if row.met is False]:
        print(f"missed: {'; '.join(missed)}", file=sys.stderr)
        return MISSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
