"""The command line: `make stack`, or `python3 -m collector.tools.stack` in the root of a checkout."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

from .building import build
from .cache import Place, cache_folder
from .job import BuildFailed, clock, say
from .servers import TOOLS
from .toolchain import NoGo, find_go

if TYPE_CHECKING:
    from collections.abc import Sequence


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m collector.tools.stack",
        description="Build the real servers (Collector, Prometheus, Jaeger, Loki, Alertmanager) and telemetrygen from "
        "their public Go modules. What is built already is kept: a second run is instant. `make stack ARGS=...` hands options on.",
        epilog=f"The programs go to {cache_folder()} (OTELEXT_STACK_CACHE names another folder), each tool's into a "
        "folder named after its version and everything that decides what is built. From nothing it takes 12 "
        "minutes on two idle cores, 4 GB of memory and 13 GB of disk, most of it Go's own caches. To clean: remove that "
        "folder; `go clean -cache` and `go clean -modcache` empty Go's caches, for all that is built with Go.",
    )
    names = [tool.name for tool in TOOLS]
    parser.add_argument("--only", action="append", choices=names, metavar="TOOL", help=f"one of {', '.join(names)}")
    parser.add_argument(
        "--print",
        choices=["json", "path"],
        help="print where the programs are: a JSON object of names and paths, or their folders as PATH takes them",
    )
    parser.add_argument(
        "--every", type=float, default=30.0, metavar="SECONDS", help="between signs of life (default: %(default)g)"
    )
    options = parser.parse_args(arguments)
    if not options.every > 0:
        parser.error(f"argument --every: {options.every:g} is not above 0")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 built, 1 a build failed, 2 no Go that could, 128 + the signal that ended it."""
    options = _options(arguments)
    started = time.monotonic()
    try:
        go = find_go()
        places = [Place.of(tool, go) for tool in TOOLS if not options.only or tool.name in options.only]
        missing = sum(not place.filled for place in places)
        if missing and (number := build(places, options.every)):
            say(f"ended by {signal.Signals(number).name}; the next run goes on from here")
            return 128 + number
    except (NoGo, BuildFailed) as error:
        sys.stderr.write(f"stack: {error}\n")
        return 2 if isinstance(error, NoGo) else 1
    except OSError as error:
        sys.stderr.write(f"stack: {error} (OTELEXT_STACK_CACHE names another folder for the servers)\n")
        return 1
    say(f"the servers are in {cache_folder()}" + (f", after {clock(started)}" if missing else ""))
    if options.print == "json":
        paths = {name: str(path) for place in places for name, path in place.programs.items()}
        sys.stdout.write(json.dumps(paths, indent=2) + "\n")
    elif options.print == "path":
        sys.stdout.write(os.pathsep.join(str(place.folder) for place in places) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
