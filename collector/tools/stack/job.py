"""One tool on its way from module to programs."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from .servers import BUILDER_FOLDER, FLAGS, MODULE_FILES

if TYPE_CHECKING:
    from pathlib import Path

    from .cache import Place

LAST_LINES: Final = 30


class BuildFailed(Exception):
    """A step ended with an error; the message holds the end of its log and the log's path."""


def say(text: str) -> None:
    """Print a line at once, to standard error: standard output is for what --print asks for."""
    sys.stderr.write(f"==> {text}\n")
    sys.stderr.flush()


def clock(since: float) -> str:
    """Minutes and seconds since that moment of the monotonic clock."""
    minutes, seconds = divmod(int(time.monotonic() - since), 60)
    return f"{minutes}:{seconds:02}"


class Job:
    """The steps of one build, in a scratch folder of its own; `every` is the time between signs of life, in seconds."""

    def __init__(self, place: Place, title: str, scratch: Path, every: float) -> None:
        self.place = place
        self.tool = place.tool
        self.title = title
        self.every = every
        self.scratch = scratch
        # The builder writes into the output_path of its configuration, which is ./dist.
        self.sources = scratch / "dist" if self.tool.components else self.tool.folder
        self.packages = scratch / "packages"
        # `tool` stands for the packages that go.mod names so.
        self.target = (*self.tool.flags, "." if self.tool.components else "tool")

    async def download(self, turn: asyncio.Lock) -> None:
        """Fetch the modules, when it is this job's turn. Raises BuildFailed."""
        async with turn:
            self.place.log.write_bytes(b"")
            self.packages.touch()
            if self.tool.components:
                await self._generate(self.tool.components)
            # Unlike `go mod download` it fetches no module that only other modules' tests need.
            await self._run("downloading modules", "list", "-deps", *self.target, listed=self.packages)

    async def _generate(self, components: Path) -> None:
        _copy_modules(BUILDER_FOLDER, self.scratch)
        builder = "go.opentelemetry.io/collector/cmd/builder"
        # It would run `go mod tidy`, which wants test dependencies that can't be had: the module files are ours.
        options = (f"--config={components}", "--skip-compilation", "--skip-get-modules")
        await self._run("generating the sources", "run", *FLAGS, builder, *options, folder=self.scratch)
        _copy_modules(self.tool.folder, self.sources)

    async def compile(self) -> None:
        """Build all programs, then move them to their place in one step. Raises BuildFailed."""
        started = time.monotonic()
        built = self.scratch / "bin"
        built.mkdir()
        output = built / self.tool.binaries[0] if self.tool.components else f"{built}/"
        await self._run("compiling", "build", "-v", "-o", str(output), *self.target)
        names = sorted(path.name for path in built.iterdir())
        if names != sorted(self.tool.binaries):
            raise BuildFailed(f"{self.title}: go.mod builds {names}, expected were {sorted(self.tool.binaries)}")
        size = sum(path.stat().st_size for path in built.iterdir())
        built.rename(self.place.folder)
        say(f"{self.title}: built in {clock(started)}, {size / 1e6:.0f} MB")

    async def _run(self, doing: str, *command: str, folder: Path | None = None, listed: Path | None = None) -> None:
        say(f"{self.title}: {doing}")
        started = time.monotonic()
        log = self.place.log
        before = _lines(log)
        with log.open("ab") as errors, (listed or log).open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                "go",
                *command,
                cwd=folder or self.sources,
                env=self.place.go.environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                start_new_session=True,  # a group, so that the compilers that Go starts end with it
            )
        ending = asyncio.ensure_future(process.wait())
        try:
            while not (await asyncio.wait([ending], timeout=self.every))[0]:
                total = _lines(self.packages)
                far = f", {_lines(log) - before} of {total} packages" if total and not listed else ""
                say(f"{self.title}: {doing}, {clock(started)}{far}")
        finally:
            if not ending.done():
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
                await ending
        if code := ending.result():
            last = log.read_text(errors="replace").splitlines()[-LAST_LINES:]
            raise BuildFailed("\n    ".join([f"{self.title}: {doing} failed ({code}); the end of {log}:", *last]))


def _copy_modules(source: Path, target: Path) -> None:
    for name in MODULE_FILES:
        shutil.copyfile(source / name, target / name)


def _lines(path: Path) -> int:
    return path.read_bytes().count(b"\n")
