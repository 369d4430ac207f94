"""Resident memory of this process, as Linux's `/proc` tells it, and what is in use of it."""

from __future__ import annotations

import asyncio
import ctypes
import os
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def resident() -> int:
    """What it is now, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class _Mallinfo2(ctypes.Structure):
    """glibc's `struct mallinfo2`: https://man7.org/linux/man-pages/man3/mallinfo.3.html."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


_mallinfo2 = getattr(ctypes.CDLL(None), "mallinfo2", None)
if _mallinfo2 is not None:
    _mallinfo2.restype = _Mallinfo2


def in_use() -> int:
    """Bytes that glibc's malloc has given out and not got back; 0 where it is another one or older than 2.33.

    Those of Python's own allocator, which takes whole arenas past it, are not among them.
    """
    if _mallinfo2 is None:
        return 0
    told = _mallinfo2()
    return int(told.uordblks + told.hblkhd)


@asynccontextmanager
async def watched() -> AsyncIterator[list[int]]:
    """What it was meanwhile, ten times a second."""
    seen: list[int] = []

    async def watch() -> None:
        while True:
            seen.append(resident())
            await asyncio.sleep(0.1)

    watching = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
