"""The Go program, run from its sources."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from collector.tools.stack.servers import FLAGS, TOOLS

if TYPE_CHECKING:
    from collector.tools.stack.toolchain import Go

FOLDER: Final = Path(__file__).resolve().parent
COMPONENTS: Final = FOLDER.parents[2] / "otelext" / "pipeline" / "components.json"


class Failed(Exception):
    """The program does not compile, its modules can't be had, or it ended with an error; the message is what Go said."""


def printed(go: Go) -> bytes:
    """Compile the program and return what it prints, the contents of `COMPONENTS`. Raises Failed.

    From nothing it takes about as long as the Collector; where that is built, a minute or two, as what both have in
    common is compiled with the same flags; and seconds from then on.
    """
    (collector,) = (tool for tool in TOOLS if tool.name == "collector")
    command = ["go", "run", *FLAGS, f"-tags={collector.tags}", "-ldflags=-s -w", "."]
    ended = subprocess.run(command, cwd=FOLDER, env=go.environment, capture_output=True, check=False)  # noqa: S603
    if ended.returncode:
        raise Failed(ended.stderr.decode(errors="replace").strip())
    return ended.stdout
