"""`otelext gpu`, on a host that the stand-in plays."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from otelext.gpu.lease import Lease
from otelext.testing import nvml

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HOST = """
gpu0.uuid = GPU-0
gpu0.name = NVIDIA H100 80GB HBM3
gpu0.pci_bus = 00000000:1B:00.0
gpu0.utilization.gpu = 87
gpu0.utilization.memory = 20
gpu0.memory.total = 85899345920
gpu0.memory.used = 42949672960
gpu0.temperature.gpu = 88
gpu0.power = 350000
gpu0.energy = from_power
gpu0.clock.sm = 1980
gpu0.throttle = 36
gpu0.pcie.rx = 5
gpu0.fan = !NO_PERMISSION
gpu0.gpm.sm = 40
gpu0.process.4711 = 1024
gpu1.uuid = GPU-1
gpu1.power = 100000
gpu1.mig0.uuid = MIG-a
gpu1.mig0.memory.total = 1073741824
gpu1.mig0.memory.used = 536870912
gpu1.mig0.gpm.graphics = 30
gpu1.mig1.uuid = MIG-b
gpu1.mig1.memory.total = 1073741824
gpu1.mig1.memory.used = 0
"""


@pytest.fixture
def run(nvml_library: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*arguments: str, scenario: str = HOST, **env: str) -> subprocess.CompletedProcess[str]:
        path = nvml.write_scenario(tmp_path / "scenario", scenario)
        variables = {"OTELEXT_GPU_FOLDER": str(tmp_path / "host"), "COLUMNS": "80", "PYTHONIOENCODING": "utf-8", **env}
        return subprocess.run(
            [sys.executable, "-m", "otelext.cli", "gpu", *arguments],
            env={**os.environ, **nvml.environment(nvml_library, path), **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_a_line_a_device_with_units_for_people(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = run("--once")
    assert (done.returncode, done.stderr) == (0, "")
    text = done.stdout
    for expected in ("87 %", "40.0/80.0", "88", "350", "1980", "sw_power_cap", "MIG-a", "0.5/1.0", "30 %"):
        assert expected in text, text
    assert "no process exports them" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "tensor" not in text


def test_a_wide_terminal_shows_whether_busy_is_efficient(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    header, _, first, *_ = run("--once", COLUMNS="120").stdout.splitlines()
    assert header.split()[:5] == ["name", "busy", "SM", "tensor", "memory"]
    assert "87 %   40 %        -" in first


def test_mig_devices_stand_below_their_gpu_with_what_cuda_takes_for_them(
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    uuid = "MIG-1a2b3c4d-5e6f-7890-abcd-ef0123456789"
    scenario = HOST.replace("gpu1.mig0.uuid = MIG-a", f"gpu1.mig0.uuid = {uuid}") + "gpu0.mig = 0"
    lines = run("--once", scenario=scenario).stdout.splitlines()
    (gpu,) = (i for i, line in enumerate(lines) if line.startswith("1 "))
    assert lines[gpu + 1].strip().startswith("MIG 1g MIG-1a2b3c4d ")
    assert lines[gpu + 2].strip().startswith("MIG 1g MIG-b ")


def test_a_gpu_that_cannot_be_reached_is_shown_with_the_reason(
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    scenario = HOST + "gpu2.lost = 1"
    why = "NVML_ERROR_GPU_IS_LOST: the GPU has fallen off its bus"
    assert f"GPU 2 can't be reached: {why}" in run("--once", scenario=scenario).stdout
    assert f"2 can't be reached: {why}" in run("--explain", scenario=scenario).stdout
    found = json.loads(run("--json", scenario=scenario).stdout)
    assert found["unreached"] == [{"index": 2, "why": "NVML_ERROR_GPU_IS_LOST"}]
    assert len(found["devices"]) == 4


def test_ascii_terminals_get_ascii(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = run("--once", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "#########   87 %" in done.stdout


def test_a_pipe_gets_one_table(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert run().stdout.count("driver ") == 1


def test_json_has_all_of_it(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    found = json.loads(run("--json").stdout)
    assert found["driver"]
    assert found["lease"] is None
    assert found["processes"]["GPU-0"] == {"4711": 1024}
    first = found["devices"][0]
    assert first["attributes"] == {
        "hw.id": "GPU-0",
        "hw.name": "NVIDIA H100 80GB HBM3",
        "hw.type": "gpu",
        "vlm.gpu.index": "0",
        "vlm.gpu.pci_bus": "00000000:1B:00.0",
    }
    assert {"metric": "hw.power", "value": 350.0, "unit": "W", "attributes": {}} in first["readings"]
    assert {"metric": "hw.fan.speed_ratio", "attributes": {}, "why": "NVML_ERROR_NO_PERMISSION"} in first["missing"]
    assert [one["attributes"].get("hw.parent") for one in found["devices"]] == [None, None, "GPU-1", "GPU-1"]


def test_the_holder_of_the_lease_is_named(run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    (tmp_path / "host").mkdir()
    lease = Lease(tmp_path / "host", "claims-reader")
    assert lease.hold()
    try:
        assert f"exported by process {os.getpid()} (claims-reader, since" in " ".join(run("--once").stdout.split())
        assert json.loads(run("--json").stdout)["lease"]["pid"] == os.getpid()
    finally:
        lease.release()


def test_looking_does_not_take_the_lease_and_makes_no_folder(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    run("--once")
    assert not (tmp_path / "host").exists()


def test_each_reading_that_is_missing_is_explained(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    text = run("--explain").stdout
    assert "hw.fan.speed_ratio: NVML_ERROR_NO_PERMISSION: this user may not read it" in text
    assert "vlm.gpu.performance_state: NVML_ERROR_NOT_SUPPORTED: this GPU, or its mode, does not tell it" in text
    assert "hw.errors error.type=ecc_corrected,ecc_uncorrected,xid_*: NVML_ERROR_NOT_SUPPORTED" in text
    assert "hw.power" not in text


def test_an_error_without_words_of_ours_is_named_all_the_same(
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    text = run("--explain", scenario=HOST + "gpu0.fan = !ALREADY_INITIALIZED").stdout
    assert "hw.fan.speed_ratio: NVML_ERROR_ALREADY_INITIALIZED: an error that NVIDIA's manual" in text


def readings(text: str) -> Any:
    """What stays the same from one look to the next."""
    return [
        (one["attributes"], [each for each in one["readings"] if each["metric"] != "hw.energy"], one["missing"])
        for one in json.loads(text)["devices"]
    ]


def test_a_recorded_host_is_played_as_it_was(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    file = tmp_path / "recorded"
    done = run("--record", str(file))
    assert done.returncode == 0, done.stderr
    assert "4 devices" in done.stdout
    before = run("--json").stdout
    after = run("--json", scenario=file.read_text())
    assert not after.stderr  # the stand-in understood every line
    assert readings(after.stdout) == readings(before)


def test_a_record_over_time_has_a_step_a_change(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    file = tmp_path / "recorded"
    # Begins to grow when the library is loaded, and goes on for longer than a start takes.
    growing = " ".join(f"@{second / 10:g} {second}" for second in range(1, 300))
    scenario = HOST + f"gpu0.temperature.gpu = 0 {growing}"
    done = run("--record", str(file), "--seconds", "1.5", "--interval", "0.5", scenario=scenario)
    assert (done.returncode, done.stderr) == (0, "")
    assert "4 devices, 4 passes" in done.stdout
    (hot,) = (line for line in file.read_text().splitlines() if line.startswith("gpu0.temperature.gpu"))
    _, _, first, *steps = hot.split()
    seconds = [float(step.removeprefix("@")) for step in steps[::2]]
    values = [int(value) for value in (first, *steps[1::2])]
    assert len(values) == 4
    assert values == sorted(set(values))
    assert all(0.5 * i <= second < 0.5 * i + 10 for i, second in enumerate(seconds, 1))
    assert "gpu0.power = 350000\n" in file.read_text()
    assert not run("--json", scenario=file.read_text()).stderr


def test_a_record_is_not_overwritten_unless_told(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    file = tmp_path / "recorded"
    file.write_text("mine")
    done = run("--record", str(file))
    assert done.returncode == 2
    assert "--force" in done.stderr
    assert file.read_text() == "mine"
    assert run("--record", str(file), "--force").returncode == 0


@pytest.mark.parametrize(
    ("scenario", "variables", "why"),
    [
        ("gpus = 0", {}, "there is no GPU here"),
        (HOST, {"LD_LIBRARY_PATH": "/nowhere"}, "libnvidia-ml.so.1 is not installed here"),
        (HOST + "call.nvmlInitWithFlags = !NO_PERMISSION", {}, "NVML_ERROR_NO_PERMISSION: this user may not read it"),
        ("gpu0.uuid = !NO_PERMISSION", {}, "NVML_ERROR_NO_PERMISSION: this user may not read it"),
        (HOST + "call.nvmlInitWithFlags = !DRIVER_NOT_LOADED", {}, "NVIDIA's kernel driver is not loaded"),
    ],
)
def test_nothing_to_read_is_a_sentence_and_status_1(
    run: Callable[..., subprocess.CompletedProcess[str]],
    scenario: str,
    variables: dict[str, str],
    why: str,
) -> None:
    done = run("--once", scenario=scenario, **variables)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: there is no GPU telemetry here: ")
    assert why in done.stderr


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--explain", "--json"], "exclude each other"),
        (["--json", "--record", "FILE"], "exclude each other"),
        (["--seconds", "3"], "belong to --record"),
        (["--force"], "belong to --record"),
        (["--interval", "0"], "0.0 is not in the range"),
        (["--interval", "nan"], "nan is no number of seconds"),
        (["--record", "FILE", "--seconds", "inf"], "inf is not in the range"),
    ],
)
def test_wrong_use_is_named(
    run: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, arguments: list[str], why: str
) -> None:
    done = run(*(str(tmp_path / "file") if each == "FILE" else each for each in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr


def test_json_is_printed_once_said_or_not(run: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert json.loads(run("--once", "--json").stdout)["devices"]
