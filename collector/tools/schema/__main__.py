"""The command line: `python3 -m collector.tools.schema` in the root of a checkout."""

from __future__ import annotations

import argparse
import difflib
import sys
from typing import TYPE_CHECKING

from collector.tools.stack import NoGo
from collector.tools.stack.toolchain import find_go

from .program import COMPONENTS, Failed, printed

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code: 0 written or current, 1 not current or the program failed, 2 no Go that could."""
    parser = argparse.ArgumentParser(
        prog="python3 -m collector.tools.schema",
        description="Write what the Collector's components take to otelext/pipeline/components.json, from their modules.",
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 where the file is not current")
    options = parser.parse_args(arguments)
    try:
        found = printed(find_go())
    except (NoGo, Failed) as error:
        sys.stderr.write(f"schema: {error}\n")
        return 2 if isinstance(error, NoGo) else 1
    if not options.check:
        COMPONENTS.write_bytes(found)
    elif (changes := changed(found)) is not None:
        sys.stderr.write(f"schema: {COMPONENTS} is not current:\n{changes}\nrun python3 -m collector.tools.schema\n")
        return 1
    return 0


def changed(found: bytes) -> str | None:
    """What differs from the file, a line of it cut to a terminal's width; None where nothing does."""
    before = COMPONENTS.read_bytes() if COMPONENTS.exists() else b""
    if before == found:
        return None
    lines = difflib.unified_diff(before.decode().splitlines(), found.decode().splitlines(), "stored", "found", n=0)
    return "\n".join(line[:160] for line in lines)


if __name__ == "__main__":
    sys.exit(main())
