"""`otelext gpu` on a terminal: the table that goes on until a key ends it."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Any

import pytest

from otelext.testing import nvml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

GPU = "gpu0.name = NVIDIA H100 80GB HBM3\n"
_DEADLINE_S = 30.0


class Terminal:
    """A terminal with `otelext gpu` in it."""

    def __init__(self, process: subprocess.Popen[bytes], master: int, slave: int, scenario: Path) -> None:
        self.process = process
        self.said = ""
        self._master = master
        self._slave = slave
        self._scenario = scenario

    def write(self, scenario: str) -> None:
        """Put another scenario in force."""
        nvml.write_scenario(self._scenario, scenario)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def modes(self) -> list[Any]:
        """The terminal's settings."""
        return termios.tcgetattr(self._slave)

    def shows(self, text: str) -> None:
        """Wait until it is drawn, from now on."""
        self.said = ""
        until = time.monotonic() + _DEADLINE_S
        while text not in self.said:
            assert time.monotonic() < until, self.said
            self._read(0.2)

    def ends(self) -> int:
        """Its exit code; what it still draws is read, as a terminal does."""
        until = time.monotonic() + _DEADLINE_S
        while self.process.poll() is None:
            assert time.monotonic() < until, self.said
            self._read(0.05)
        return self.process.returncode

    def _read(self, seconds: float) -> None:
        if select.select([self._master], [], [], seconds)[0]:
            self.said += os.read(self._master, 65536).decode(errors="replace")


@pytest.fixture
def terminal(nvml_library: Path, tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts the command on a terminal."""
    with contextlib.ExitStack() as stack:

        def start(scenario: str) -> Terminal:
            path = nvml.write_scenario(tmp_path / "scenario", scenario)
            master, slave = pty.openpty()
            stack.callback(os.close, master)
            stack.callback(os.close, slave)
            size = {"TERM": "xterm", "COLUMNS": "120", "LINES": "24"}
            process = subprocess.Popen(
                [sys.executable, "-m", "otelext.cli", "gpu", "--interval", "0.1", "--folder", str(tmp_path / "host")],
                env={**os.environ, **nvml.environment(nvml_library, path), **size},
                stdin=slave,
                stdout=slave,
                stderr=slave,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            return Terminal(process, master, slave, path)

        yield start


def test_the_table_follows_what_is_read_until_q(terminal: Callable[..., Terminal]) -> None:
    live = terminal(GPU + "gpu0.temperature.gpu = 41")
    live.shows("41")
    assert "H100" in live.said
    live.write(GPU + "gpu0.temperature.gpu = 67")
    live.shows("67")
    assert "no process exports them; q ends" in live.said
    live.type("xq")
    assert live.ends() == 0
    assert live.modes()[3] & termios.ICANON
    assert live.modes()[3] & termios.ECHO


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_the_terminal_is_as_it_was(terminal: Callable[..., Terminal], number: int) -> None:
    live = terminal(GPU)
    live.shows("q ends")
    assert live.modes()[3] & termios.ISIG  # Ctrl-C is a signal all the while
    live.process.send_signal(number)
    assert live.ends() == 0
    assert "Traceback" not in live.said
    assert "\x1b[?25h" in live.said  # the cursor is back
    assert live.modes()[3] & termios.ICANON


def test_a_driver_that_hangs_is_named_in_place_of_old_values_and_q_still_ends(
    terminal: Callable[..., Terminal],
) -> None:
    live = terminal(GPU + "gpu0.temperature.gpu = 41")
    live.shows("41")
    live.write(GPU + "gpu0.temperature.gpu = 41\ncall.nvmlDeviceGetTemperature = hang:600")
    live.shows("can't be read: the driver hangs: nvmlDeviceGetTemperature has not returned for 2 s")
    live.type("q")
    assert live.ends() == 0
    live.said = live.said[live.said.rindex("can't be read") :]
    assert "41" not in live.said


def test_a_driver_that_is_back_is_read_again(terminal: Callable[..., Terminal]) -> None:
    live = terminal(GPU + "gpu0.temperature.gpu = 41")
    live.shows("41")
    live.write(GPU + "call.nvmlDeviceGetTemperature = !UNKNOWN\ncall.nvmlDeviceGetUtilizationRates = !UNINITIALIZED")
    live.shows("can't be read: nvmlDeviceGetUtilizationRates: NVML_ERROR_UNINITIALIZED")
    live.write(GPU + "gpu0.temperature.gpu = 42")
    live.shows("42")


def test_a_gpu_that_is_lost_is_named_with_its_error(terminal: Callable[..., Terminal]) -> None:
    live = terminal(GPU + "gpu1.temperature.gpu = 41")
    live.shows("41")
    live.write(GPU + "gpu1.lost = 1")
    live.shows("GPU 1 is lost: NVML_ERROR_GPU_IS_LOST")
    live.shows("GPU 1 had errors: gpu_lost 1")
    assert "41" not in live.said
