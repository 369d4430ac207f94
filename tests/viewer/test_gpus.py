"""The GPUs' part of the report, of what services sent."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from otelext import semconv
from otelext.viewer.report import build_report
from otelext.viewer.signals import METRICS
from otelext.viewer.terminal_gpu import draw_gpus
from tests.viewer import messages
from tests.viewer.running import run_cli, start_viewer
from tests.viewer.service import MODEL, Service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    from otelext.viewer.gpus import Gpus
    from otelext.viewer.store import Store
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
        "H100 80GB",
        "MIG 1g MIG-a",
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
    assert report(viewer) == {
        "devices": [],
        "energy": {"by_model": [], "idle_j": None, "sources": []},
        "exporters": [],
    }
    viewer.stop()
    assert "No GPU telemetry was received: the service sees no NVIDIA GPU or doesn't read it, or another" in text
    assert "Energy of inferences" not in text


def of(store: Store, *requests: ExportMetricsServiceRequest, services: tuple[str, ...] = ()) -> Gpus:
    """The GPUs' part of a report of what was received."""
    for request in requests:
        store.submit(METRICS.flatten(request, time.time_ns()).rows).result(30)
    with store.reading() as reader:
        return build_report(reader, services=services)["gpus"]


def drawn(gpus: Gpus, **console: Any) -> str:
    out = io.StringIO()
    draw_gpus(gpus, Console(file=out, width=80, color_system=None, **console))
    return out.getvalue()


def busy(*values: float, **more: Any) -> ExportMetricsServiceRequest:
    return messages.gauge(semconv.GPU_UTILIZATION.name, *values, attributes=GPU, **more)


def test_a_device_that_moved_to_another_place_is_one(store: Store) -> None:
    now = time.time_ns()
    moved = {**GPU, "vlm.gpu.index": "3"}
    (gpu,) = of(
        store,
        busy(0.1, 0.1, 0.4, time_ns=now - 60 * 10**9),
        messages.gauge(semconv.GPU_UTILIZATION.name, 0.8, attributes=moved, time_ns=now),
        messages.gauge(semconv.GPU_UTILIZATION.name, 0.1, attributes=GPU, time_ns=now - 90 * 10**9),
    )["devices"]
    assert gpu["index"] == "3"
    assert gpu["utilization_mean"] == pytest.approx(1.5 / 5)
    assert gpu["utilization_max"] == 0.8


def test_other_hardware_is_no_gpu(store: Store) -> None:
    cpu = {"hw.id": "cpu0", "hw.type": "cpu"}
    found = of(
        store,
        messages.gauge(semconv.HW_TEMPERATURE.name, 70, attributes=cpu),
        messages.gauge(semconv.HW_POWER.name, 200, attributes={"hw.name": "a sensor"}),
        *(
            messages.counter(metric.name, 9, start_ns=1, time_ns=time.time_ns(), attributes=cpu)
            for metric in (semconv.HW_ENERGY, semconv.HW_ERRORS)
        ),
    )
    assert (found["devices"], found["exporters"]) == ([], [])


def test_what_no_value_was_recorded_of_is_not_zero(store: Store) -> None:
    (gpu,) = of(store, busy(0.5, 0.7), busy(0.0, flags=1, time_ns=time.time_ns() - 9))["devices"]
    assert gpu["utilization_mean"] == pytest.approx(0.6)


def test_the_utilization_of_an_encoder_is_not_the_gpu_s(store: Store) -> None:
    encoder = messages.gauge(semconv.GPU_UTILIZATION.name, 1.0, attributes={**GPU, semconv.HW_GPU_TASK: "encoder"})
    (gpu,) = of(store, busy(0.5), encoder)["devices"]
    assert gpu["utilization_max"] == 0.5


def test_a_service_whose_host_s_gpus_another_one_exports_is_told_which(store: Store) -> None:
    mine = messages.counter(semconv.INFERENCES.name, 1, start_ns=1, time_ns=time.time_ns())
    found = of(store, mine, busy(0.5, service="claims"), services=("documents",))
    assert (found["devices"], found["exporters"]) == ([], ["claims"])
    text = " ".join(drawn(found).split())
    assert "One process exports all GPUs of its host, here of claims: ask for it with --service" in text
    assert "sees no NVIDIA GPU" not in text
    (gpu,) = of(store, services=("claims",))["devices"]
    assert gpu["utilization_max"] == 0.5


def test_gpus_of_several_hosts_are_told_apart(store: Store) -> None:
    throttled = {semconv.GPU_THROTTLE_REASON: "hw_slowdown"}
    uuids = "GPU-1a2b3c4d-0000", "GPU-5e6f7a8b-0000"
    found = of(
        store,
        *(
            messages.gauge(semconv.GPU_THROTTLING.name, 0, 1, attributes={**GPU, "hw.id": uuid, **throttled})
            for uuid in uuids
        ),
    )
    text = drawn(found)
    for uuid in uuids:
        assert f"GPU 0 {uuid[:12]} was held back: hw_slowdown in 50.0 % of the readings." in text
        assert text.count(uuid[:12]) == 2


def test_an_ascii_terminal_gets_ascii(store: Store) -> None:
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    draw_gpus(of(store, busy(0.5)), Console(file=out, width=80, color_system=None))  # raises where it isn't


def test_mig_devices_stand_below_their_gpu(store: Store) -> None:
    def used(uuid: str, index: str, parent: str | None) -> ExportMetricsServiceRequest:
        attributes = {"hw.id": uuid, "hw.name": "NVIDIA A100 MIG 1g.10gb", "vlm.gpu.index": index}
        return messages.gauge(
            semconv.GPU_MEMORY_USAGE.name, 1, attributes={**attributes, **({"hw.parent": parent} if parent else {})}
        )

    found = of(
        store,
        used("MIG-a", "1", "GPU-1"),
        used("MIG-b", "0", "GPU-7"),
        used("GPU-1", "1", None),
        used("GPU-9", "0", None),
        used("GPU-7", "0", None),
    )
    assert [one["id"] for one in found["devices"]] == ["GPU-7", "MIG-b", "GPU-9", "GPU-1", "MIG-a"]


def test_energy_without_tokens_is_told_without_a_division(store: Store) -> None:
    def energy(joules: float, **attributes: str) -> ExportMetricsServiceRequest:
        return messages.counter(
            semconv.ENERGY.name,
            joules,
            start_ns=time.time_ns() - 10**10,
            time_ns=time.time_ns(),
            attributes={semconv.ENERGY_SOURCE: "power", **attributes},
        )

    found = of(store, energy(50, **{semconv.ENERGY_STATE: "active", semconv.REQUEST_MODEL: "tiny"}))
    (row,) = found["energy"]["by_model"]
    assert (row["joules"], row["per_output_token_j"]) == (50, None)
    assert found["energy"]["idle_j"] is None
    text = drawn(found)
    assert "by their power, integrated between readings" in text
    assert "no inference active" not in text
