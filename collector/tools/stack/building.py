"""All that is missing, built by one process at a time."""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, BinaryIO

from .cache import cache_folder
from .job import Job, clock, say

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

    from .cache import Place


def build(places: Sequence[Place], every: float) -> int:
    """Build what is missing, with a line of progress a step, and each `every` seconds while one runs.

    Returns 0, or the number of the signal that ended it. Raises BuildFailed, and OSError where the cache can't be used.
    """
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    # The lock ends with the process that holds it.
    with (cache / "lock").open("ab") as lock:
        return asyncio.run(_until_signalled(_build(places, every, lock)))


async def _build(places: Sequence[Place], every: float, lock: BinaryIO) -> None:
    await _acquire(lock, every)
    with ExitStack() as scratch:
        jobs = _jobs(places, every, scratch)
        # Each compiles on all cores, hence one after the other; the modules of the next ones arrive meanwhile.
        turn = asyncio.Lock()
        downloads = [asyncio.create_task(job.download(turn)) for job in jobs]
        tasks = [*downloads, asyncio.create_task(_compile(jobs, downloads))]
        try:
            await asyncio.gather(*tasks)
        finally:  # whichever failed, the others need not go on
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _compile(jobs: Sequence[Job], downloads: Sequence[asyncio.Task[None]]) -> None:
    for job, download in zip(jobs, downloads, strict=True):
        await download
        await job.compile()


def _jobs(places: Sequence[Place], every: float, scratch: ExitStack) -> list[Job]:
    cache = cache_folder()
    for left_by_a_killed_build in cache.glob("*.building-*"):
        shutil.rmtree(left_by_a_killed_build)
    jobs: list[Job] = []
    for number, place in enumerate(places, 1):
        if not place.filled:
            title = f"{number} of {len(places)}, {place.tool.name} {place.tool.version}"
            folder = TemporaryDirectory(prefix=f"{place.folder.name}.building-", dir=cache)
            jobs.append(Job(place, title, Path(scratch.enter_context(folder)), every))
    return jobs


async def _acquire(lock: BinaryIO, every: float) -> None:
    started = time.monotonic()
    said: float | None = None
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if said is None or time.monotonic() - said >= every:
                said = time.monotonic()
                say(f"waiting for another build that fills {cache_folder()}, {clock(started)}")
            await asyncio.sleep(0.2)
        else:
            return


async def _until_signalled(work: Coroutine[None, None, None]) -> int:
    """Await it to its end and return 0, or end it with all that it started and return the number of the signal."""
    task = asyncio.ensure_future(work)
    numbers: list[int] = []

    def stop(number: int) -> None:
        numbers.append(number)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            asyncio.get_running_loop().add_signal_handler(number, stop, number)
    try:
        await task
    except asyncio.CancelledError:
        return numbers[0]
    return 0
