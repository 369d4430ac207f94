"""What reading GPUs costs: the poller's CPU and calls, and what a hanging driver costs whoever reads the metrics.

    python benchmarks/gpu.py [--gpus N] [--interval S] [--seconds S] [--json FILE]

The host is played by the stand-in of `otelext.testing.nvml`, whose calls cost next to nothing, so that the CPU is that of
otelext and of NVIDIA's bindings; a real driver's calls come on top. The passes are made as quickly as they go, and the
CPU of one is set against the interval. A collection is that of an SDK reader with all of the GPUs' instruments, with a
driver that answers and with one that hangs, by turns.

The exit status is 0, or 3 where something is over its target.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from rounds import MISSED

from otelext import semconv
from otelext.gpu.nvml import Nvml
from otelext.gpu.observed import Observed
from otelext.gpu.poller import Poller
from otelext.gpu.session import Session
from otelext.testing import nvml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.metrics import CallbackOptions

    Read = Callable[[], Iterable[tuple[float, dict[str, str]]]]

SHARE_LIMIT = 0.001
"""Of a core, for 8 GPUs read every 5 s."""
CALLS_LIMIT = 12
"""NVML calls a GPU and pass, without the one for the events of all."""
HANG_LIMIT = 1.5
"""A collection with a hanging driver to one with a healthy one, medians; there is less to read where readings are stale."""
GPU = """
gpu{n}.utilization.gpu = 50
gpu{n}.utilization.memory = 20
gpu{n}.memory.total = 85899345920
gpu{n}.memory.used = 42949672960
gpu{n}.temperature.gpu = 60
gpu{n}.temperature.memory = 70
gpu{n}.power = 350000
gpu{n}.energy = from_power
gpu{n}.clock.sm = 1980
gpu{n}.clock.memory = 2619
gpu{n}.throttle = 0
gpu{n}.fan = 30
gpu{n}.pstate = 0
gpu{n}.ecc.corrected = 0
gpu{n}.ecc.uncorrected = 0
gpu{n}.pcie.rx = 1
gpu{n}.pcie.tx = 1
gpu{n}.nvlink.rx = 1
gpu{n}.nvlink.tx = 1
gpu{n}.gpm.sm = 50
gpu{n}.gpm.tensor = 20
gpu{n}.process.self = 1073741824
gpu{n}.xid = 0
"""


class Holding:
    """A lease that this process has."""

    def hold(self) -> bool:
        """It has it."""
        return True

    def release(self) -> None:
        """Nothing."""

    def after_fork(self) -> None:
        """Nothing."""


def passes(seconds: float) -> tuple[float, float]:
    """CPU seconds of a pass, and NVML calls but for that which takes the events of all."""
    session = Session(opened(), {}, 10**10, "")
    session.read(everything=True)
    calls = made = 0
    begin, until = time.process_time(), time.monotonic() + seconds
    while time.monotonic() < until:
        snapshot, _ = session.read(everything=True)
        calls += snapshot.calls - 1
        made += 1
    return (time.process_time() - begin) / made, calls / made


def opened() -> Nvml:
    """NVML, initialised."""
    found = Nvml()
    found.open()
    return found


def observations(read: Read, _: CallbackOptions) -> list[Observation]:
    """What an instrument's callback gives."""
    return [Observation(value, attributes) for value, attributes in read()]


def collections(scenario: Path, healthy: str, hanging: str, rounds: int) -> dict[str, list[float]]:
    """Seconds that a reader takes for all instruments, with a driver that answers and with one that hangs."""
    poller = Poller(0.2, share=lambda: (Holding(), None))
    reader = InMemoryMetricReader()
    meter = MeterProvider(metric_readers=[reader]).get_meter(semconv.SCOPE_NAME)
    for name, read in Observed(poller).reads.items():
        meter.create_observable_gauge(name, [partial(observations, read)])
    poller.start()
    found: dict[str, list[float]] = {"healthy": [], "hanging": []}
    for _ in range(rounds):
        for state, text in (("healthy", healthy), ("hanging", hanging)):
            nvml.write_scenario(scenario, text)
            # Until it has noticed: a call that hangs makes the age grow, one that returns sets it back.
            while ((poller.age_s or 0) > 0.3) != (state == "hanging") or poller.snapshot is None:  # over an interval
                time.sleep(0.01)
            begin = time.perf_counter()
            reader.get_metrics_data()
            found[state].append(time.perf_counter() - begin)
    nvml.write_scenario(scenario, healthy)
    poller.stop(5)
    return found


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gpus", type=int, default=8, help="GPUs of the host (default: %(default)s)")
    parser.add_argument(
        "--interval", type=float, default=5.0, help="seconds between two readings (default: %(default)s)"
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="how long passes are made (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=11, help="collections of each kind (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args()
    healthy = "".join(GPU.format(n=n) for n in range(options.gpus))
    hanging = healthy + "call.nvmlDeviceGetUtilizationRates = hang:60\n"
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        library = nvml.build(folder)
        scenario = nvml.write_scenario(folder / "scenario", healthy)
        with nvml.loaded(library, scenario):
            cpu, calls = passes(options.seconds)
            taken = collections(scenario, healthy, hanging, options.rounds)
    share = cpu / options.interval
    medians = {state: statistics.median(times) for state, times in taken.items()}
    ratio = medians["hanging"] / medians["healthy"]
    found: dict[str, Any] = {
        "gpus": options.gpus,
        "interval_s": options.interval,
        "cpu_s": cpu,
        "share": share,
        "calls": calls / options.gpus,
        "collection_s": medians,
        "hanging_to_healthy": ratio,
    }
    print(f"| {options.gpus} GPUs every {options.interval:g} s | found | at most |")
    print("| --- | ---: | ---: |")
    print(f"| the poller's CPU, share of a core | {share * 100:.4f} % | {SHARE_LIMIT * 100:g} % |")
    print(f"| NVML calls a GPU and pass | {calls / options.gpus:.2f} | {CALLS_LIMIT} |")
    print(f"| CPU of a pass | {cpu * 1e3:.2f} ms | |")
    print(f"| a reader's collection, healthy driver | {medians['healthy'] * 1e3:.2f} ms | |")
    print(f"| a reader's collection, hanging driver, to that | {ratio:.2f} | {HANG_LIMIT:g} |")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2))
    missed = share > SHARE_LIMIT or calls / options.gpus > CALLS_LIMIT or ratio > HANG_LIMIT
    return MISSED if missed else 0


if __name__ == "__main__":
    sys.exit(main())
