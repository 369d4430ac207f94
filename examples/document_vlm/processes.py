"""Processes that the demo starts, watches and always ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from typing_extensions import Self

_T = TypeVar("_T")
_POLL_SECONDS: Final = 0.1
_TAIL_LINES: Final = 15


class ProcessDied(RuntimeError):
    """A process ended before it was told to, or was not ready in time."""


class Process:
    """A child process in a group of its own, with its output in a file.

    Args:
        name: For messages.
        command: Program and arguments.
        output: File for its standard output and standard error.
        environment: Its whole environment.

    Raises:
        ProcessDied: It can't be started.
    """

    def __init__(self, name: str, command: Sequence[str], output: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self._output = output
        with output.open("wb") as file:
            try:
                # Ctrl-C in a terminal goes to the whole foreground group: the children are ended in order instead.
                self._child = subprocess.Popen(  # noqa: S603  # the demo's own programs
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    env=dict(environment),
                    start_new_session=True,
                )
            except OSError as error:
                raise ProcessDied(f"{name} can't be started: {error}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def output(self) -> str:
        """What it has written so far."""
        return self._output.read_text(errors="replace")

    def check(self) -> None:
        """Make sure that it is running.

        Raises:
            ProcessDied: It is not; the message ends with the last lines of its output.
        """
        status = self._child.poll()
        if status is not None:
            raise ProcessDied(f"{self.name} ended with exit status {status}. {self._tail()}")

    def wait_for(self, question: Callable[[], _T | None], what: str, seconds: float) -> _T:
        """Ask until there is an answer.

        Args:
            question: Returns None while there is none.
            what: What is waited for, for the message.
            seconds: How long at most.

        Raises:
            ProcessDied: The process ended, or time is over.
        """
        deadline = time.monotonic() + seconds
        while True:
            answer = question()
            if answer is not None:
                return answer
            self.check()
            if time.monotonic() > deadline:
                raise ProcessDied(f"{self.name}: {what} is missing after {seconds:g} s. {self._tail()}")
            time.sleep(_POLL_SECONDS)

    def stop(self, seconds: float = 20.0) -> int:
        """End it with SIGTERM, after `seconds` with SIGKILL, and whatever it has started; its exit status."""
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        return self._child.wait()

    @staticmethod
    def run(command: Sequence[str]) -> int:
        """Run a program to its end, with the demo's own standard output; its exit status."""
        return subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode  # noqa: S603

    def _tail(self) -> str:
        lines = self.output().splitlines()[-_TAIL_LINES:]
        return "It wrote nothing." if not lines else "\n".join(["Its last lines:", *(f"  {line}" for line in lines)])
