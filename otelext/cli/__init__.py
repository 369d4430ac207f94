"""The command line: every public module here is a command, a thin file around a room that does the work.

Comes in: arguments and the environment. Goes out: text, JSON and an exit code: 0 done, 1 not, 2 used wrongly.
May import every room; click and rich (extra `cli`) are loaded when a command runs.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Entry point of the script `otelext`."""
    try:
        from otelext.cli._root import root  # noqa: PLC0415 (click is an extra)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in {"click", "rich"}:
            raise
        sys.stderr.write(f'otelext needs the package {error.name}: pip install "otelext[cli]"\n')
        sys.exit(1)
    root(prog_name="otelext")
