"""The table of the GPUs, drawn anew with every pass until a key ends it."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from rich.live import Live
from rich.text import Text

from otelext.cli._gpu_table import table
from otelext.cli._gpu_words import in_words
from otelext.gpu.nvml import NoNvmlError, NvmlError
from otelext.gpu.once import HangError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from otelext.gpu.lease import Holder
    from otelext.gpu.once import Look
    from otelext.gpu.snapshot import Snapshot

_HINT: Final = "; q ends"
_PATIENCE_S: Final = 0.5
_KEYS: Final = 64


def show_live(
    snapshot: Snapshot, look: Look, holder: Callable[[], Holder | None], interval: float, console: Console
) -> None:
    """Draw the table until q is pressed; while the driver fails or hangs, say so in its place.

    Args:
        snapshot: The first one.
        look: Makes the next ones.
        holder: Who has the lease now.
        interval: Seconds between two of them.
        console: A terminal.
    """
    with _keys() as pressed, Live(console=console, auto_refresh=False) as live:
        live.update(table(snapshot, holder(), console, _HINT), refresh=True)
        while not pressed(interval):
            try:
                live.update(table(look.again(_PATIENCE_S), holder(), console, _HINT), refresh=True)
            except (NoNvmlError, NvmlError, HangError) as error:
                # What was read before says nothing of now.
                live.update(Text(f"The GPUs can't be read: {in_words(error)}{_HINT}", "red"), refresh=True)


@contextmanager
def _keys() -> Iterator[Callable[[float], bool]]:
    """Gives what waits for so many seconds, or until q is pressed, and says whether it was."""
    if not sys.stdin.isatty():
        yield _slept
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    try:
        yield _pressed
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _pressed(seconds: float) -> bool:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if select.select([sys.stdin], [], [], left)[0]:
            # Past Python's buffer, in which select would miss what comes along with this key.
            keys = os.read(sys.stdin.fileno(), _KEYS)
            if not keys or b"q" in keys.lower():
                return True
    return False


def _slept(seconds: float) -> bool:
    time.sleep(seconds)
    return False
