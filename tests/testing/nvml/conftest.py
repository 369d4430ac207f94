"""The stand-in in this process, driven by a scenario that a test writes and writes anew."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pynvml
import pytest

from otelext.testing import nvml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class StandIn:
    """A scenario that is in force, and pynvml initialised with it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, text: str, *, at: float = 0.0) -> None:
        """Puts a scenario in force, in which so many seconds have passed."""
        start = time.perf_counter_ns() - round(at * 1e9)
        nvml.write_scenario(self.path, f"start = {start}\n{text}\n")
        time.sleep(0.011)  # for as long the library doesn't look at the file again

    def gpu(self, text: str, *, at: float = 0.0) -> pynvml.c_nvmlDevice_t:
        """GPU 0 of this scenario."""
        self.write(text, at=at)
        return pynvml.nvmlDeviceGetHandleByIndex(0)


@pytest.fixture
def stand_in(nvml_library: Path, tmp_path: Path) -> Iterator[StandIn]:
    path = nvml.write_scenario(tmp_path / "scenario", "gpus = 0")
    with nvml.loaded(nvml_library, path):
        pynvml.nvmlInit()
        yield StandIn(path)


@pytest.fixture
def error() -> Callable[..., int]:
    """Which NVML error a call ends with; 0 for none."""

    def of(function: Callable[..., object], *arguments: object) -> int:
        try:
            function(*arguments)
        except pynvml.NVMLError as raised:
            return int(raised.value)
        return 0

    return of
