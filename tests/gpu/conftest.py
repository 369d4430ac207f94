"""Pollers of the stand-in, in this process."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from otelext.gpu.observed import Observed
from otelext.gpu.poller import Poller
from otelext.testing import nvml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

INTERVAL = 0.05


class Holding:
    """A lease that this process has."""

    def hold(self) -> bool:
        return True

    def after_fork(self) -> None:
        """Nothing."""

    def release(self) -> None:
        """Nothing."""


class Host:
    """A host with the GPUs of a scenario, and a poller that reads them."""

    def __init__(self, scenario: Path) -> None:
        self.scenario = scenario
        self.poller: Poller = Poller()

    def write(self, text: str) -> None:
        """Put another scenario in force; its second 0 is now."""
        nvml.write_scenario(self.scenario, f"start = {time.perf_counter_ns()}\n{text}\n")

    def points(self, metric: str) -> list[tuple[float, dict[str, str]]]:
        """What an export would have of a metric, attributes with `_` for `.`."""
        found = Observed(self.poller).reads[metric]()
        return [(value, dotless(attributes.items())) for value, attributes in found]

    def values(self, metric: str, **attributes: str) -> list[float]:
        """The values of the points that have these attributes."""
        return [value for value, own in self.points(metric) if attributes.items() <= own.items()]

    def value(self, metric: str, **attributes: str) -> float:
        """The only one."""
        (found,) = self.values(metric, **attributes)
        return found

    def missing(self, metric: str) -> set[str]:
        """Why a metric's readings are missing."""
        assert self.poller.snapshot is not None
        return {
            one.why for readings in self.poller.snapshot.devices for one in readings.missing if one.metric == metric
        }

    def passes(self, number: int = 2) -> None:
        """Wait for so many passes that begin from now on."""
        for _ in range(number):
            last = self.poller.snapshot
            until(lambda last=last: self.poller.snapshot is not last, "pass")  # type: ignore[misc]


def dotless(attributes: Any) -> dict[str, str]:
    return {key.replace(".", "_"): value for key, value in attributes}


def until(condition: Callable[[], Any], what: str, timeout: float = 20.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {timeout} s"
        time.sleep(0.005)


@pytest.fixture
def host(nvml_library: Path, tmp_path: Path) -> Iterator[Callable[..., Host]]:
    """Starts a poller on a scenario."""
    with ExitStack() as stack:

        def start(text: str, **arguments: Any) -> Host:
            made = Host(tmp_path / "scenario")
            made.write(text)
            stack.enter_context(nvml.loaded(nvml_library, made.scenario))
            made.poller = Poller(**{"interval": INTERVAL, "share": lambda: (Holding(), None), **arguments})
            made.poller.start()
            stack.callback(made.poller.stop, 10.0)
            stack.callback(made.write, "gpus = 0")  # ends a call that hangs
            until(lambda: made.poller.snapshot is not None, "first pass")
            return made

        yield start
