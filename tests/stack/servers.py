"""Real servers as child processes that tests stop, kill and start again on the same data."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import TypeVar

    from typing_extensions import Self

    from tests.stack.composition import Command

    _T = TypeVar("_T")

READY_S = 60.0


def until(question: Callable[[], _T], what: str | Callable[[], str], seconds: float = 30.0) -> _T:
    """Ask until the answer is true; fails the test when time is over, with what was missing and the last answer."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        in_time = time.monotonic() < deadline
        missing = what if in_time or isinstance(what, str) else what()
        assert in_time, f"{missing} is missing after {seconds:g} s; the last answer was {answer!r}"
        time.sleep(0.05)
    return answer


def get(url: str, **parameters: Any) -> httpx.Response:
    """Ask a server of these tests, past every proxy."""
    return httpx.get(url, params=parameters or None, trust_env=False, timeout=30)


class Server:
    """One server: its command, where it says that it is ready, and its output below `logs`."""

    def __init__(self, name: str, command: Command, ready: str, logs: Path) -> None:
        self.name = name
        self.command = command
        self.log = logs / f"{name}.log"
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        if self.is_running:
            self.kill()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def start(self, *, wait: bool = True) -> None:
        """Start it, on the data that it left if it ran before."""
        assert not self.is_running, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self.command.binary, *self.command.arguments],
                env=self.command.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if wait:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        def is_ready() -> bool:
            assert self.is_running, f"{self.name} ended:\n{self.output[-4000:]}"
            try:
                return get(self._ready).status_code == 200
            except httpx.TransportError:
                return False

        until(is_ready, f"{self.name} at {self._ready}", READY_S)

    def stop(self, seconds: float = 60.0) -> int:
        """End it in order."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(seconds)

    def kill(self) -> None:
        """End it as the kernel does when memory is short."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(30)

    def memory(self) -> int:
        """Its resident memory, in bytes."""
        return self._status("VmRSS")

    def anonymous_memory(self) -> int:
        """What of it the kernel can't drop when a container reaches its limit: all but mapped files, in bytes."""
        return self._status("RssAnon")

    def _status(self, name: str) -> int:
        with open(f"/proc/{self.pid}/status") as status:  # noqa: PTH123
            fields = dict(line.split(":", 1) for line in status)
        return int(fields[name].split()[0]) * 1024

    def cpu_seconds(self) -> float:
        """Seconds of processor time that it took so far."""
        with open(f"/proc/{self.pid}/stat") as stat:  # noqa: PTH123
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
