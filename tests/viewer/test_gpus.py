"""The GPUs' part of the report, of what services sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from otelext import semconv
from tests.viewer.running import run_cli, start_viewer
from tests.viewer.service import MODEL, Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.viewer.running import RunningViewer

GPU = {"hw.id": "GPU-0", "hw.name": "NVIDIA H100 80GB HBM3", "vlm.gpu.index": "0", "hw.type": "gpu"}
MIG = {"hw.id": "MIG-a", "hw.name": "H100 MIG 1g", "vlm.gpu.index": "0", "hw.parent": "GPU-0", "hw.type": "gpu"}


def told(service: Service, busy: float, used: float, watts: float, hot: float, *, capped: bool) -> None:
    service.tell(semconv.GPU_UTILIZATION, busy, **GPU)
    service.tell(semconv.GPU_MEMORY_USAGE, used * 2**30, **GPU)
    service.tell(semconv.GPU_MEMORY_LIMIT, 80 * 2**30, **GPU)
    service.tell(semconv.HW_POWER, watts, **GPU)
    service.tell(semconv.HW_TEMPERATURE, hot, **GPU, **{semconv.HW_SENSOR_LOCATION: "gpu"})
    service.tell(semconv.HW_TEMPERATURE, 99, **GPU, **{semconv.HW_SENSOR_LOCATION: "memory"})
    service.tell(semconv.GPU_THROTTLING, float(capped), **GPU, **{semconv.GPU_THROTTLE_REASON: "sw_power_cap"})
    service.tell(semconv.GPU_THROTTLING, 0, **GPU, **{semconv.GPU_THROTTLE_REASON: "hw_slowdown"})
    service.meters.force_flush()


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningViewer]:
    """A viewer that has seen a host with a GPU, exported by one process and then by another one."""
    viewer = start_viewer(tmp_path_factory.mktemp("gpus"))
    one, other = Service(viewer), Service(viewer)
    for _ in range(4):
        one.infer(output_tokens=25)
    energy = {semconv.REQUEST_MODEL: MODEL, semconv.ENERGY_STATE: "active", semconv.ENERGY_SOURCE: "counter"}
    one.add(semconv.ENERGY, 50, **energy)
    one.add(semconv.ENERGY, 30, **{semconv.ENERGY_STATE: "idle", semconv.ENERGY_SOURCE: "counter"})
    one.add(semconv.HW_ENERGY, 60, **GPU, **{semconv.ENERGY_SOURCE: "counter"})
    one.add(semconv.HW_ERRORS, 2, **GPU, **{semconv.ERROR_TYPE: "xid_79"})
    one.tell(semconv.GPU_MEMORY_USAGE, 2**30, **MIG)
    one.tell(semconv.GPU_MEMORY_LIMIT, 2**31, **MIG)
    told(one, 0.5, 40, 100, 60, capped=False)
    other.add(semconv.HW_ENERGY, 40, **GPU, **{semconv.ENERGY_SOURCE: "counter"})
    told(other, 0.9, 60, 300, 80, capped=True)
    one.stop()
    other.stop()
    yield viewer
    viewer.stop()


def report(viewer: RunningViewer) -> Any:
    import json

    return json.loads(run_cli("report", "--url", viewer.url, "--json").stdout)["gpus"]


def test_a_device_is_one_whoever_exported_it(used: RunningViewer) -> None:
    gpu, mig = report(used)["devices"]
    assert gpu["id"] == "GPU-0"
    assert gpu["utilization_max"] == pytest.approx(0.9)
    assert 0.5 < gpu["utilization_mean"] < 0.9
    assert gpu["memory_used_max"] == 60 * 2**30
    assert gpu["memory_limit"] == 80 * 2**30
    assert gpu["temperature_max"] == 80  # the die's; the memory's was 99
    assert 100 < gpu["power_mean"] < 300
    assert gpu["energy_j"] == pytest.approx(100)
    ((throttled),) = gpu["throttled"]
    assert throttled["reason"] == "sw_power_cap"
    assert 0 < throttled["share"] < 1
    assert gpu["errors"] == [{"type": "xid_79", "count": 2}]
    assert (mig["id"], mig["parent"], mig["memory_used_max"]) == ("MIG-a", "GPU-0", 2**30)
    assert mig["utilization_mean"] is None


def test_joules_an_output_token_are_one_division(used: RunningViewer) -> None:
    energy = report(used)["energy"]
    assert energy == {
        "by_model": [
            {"model": MODEL, "joules": 50.0, "output_tokens": 100.0, "per_output_token_j": pytest.approx(0.5)}
        ],
        "idle_j": 30.0,
        "sources": ["counter"],
    }


def test_the_report_draws_it_within_80_columns(used: RunningViewer) -> None:
    text = run_cli("report", "--url", used.url).stdout
    for expected in (
        "GPUs: 1",
        "60.0/80.0",
        "90.0 %",
        "0 MIG",
        "GPU 0 was held back: sw_power_cap in ",
        "GPU 0 had errors: xid_79 2.",
        "Energy of inferences",
        "by the GPUs' own energy counters",
        "0.5",
        "no inference active",
    ):
        assert expected in text, text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_without_a_gpu_a_sentence_says_so(tmp_path: Path) -> None:
    viewer = start_viewer(tmp_path)
    service = Service(viewer)
    service.infer()
    service.stop()
    text = " ".join(run_cli("report", "--url", viewer.url).stdout.split())
    assert report(viewer) == {"devices": [], "energy": {"by_model": [], "idle_j": None, "sources": []}}
    viewer.stop()
    assert "No GPU telemetry was received: the service sees no NVIDIA GPU, or doesn't read it." in text
    assert "Energy of inferences" not in text
