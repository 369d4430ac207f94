"""One reading, without a thread and without a lease."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otelext.gpu.gpm import FIRST
from otelext.gpu.nvml import NoNvmlError, NvmlError
from otelext.gpu.once import read_once
from otelext.testing import nvml

if TYPE_CHECKING:
    from pathlib import Path

    from otelext.gpu.snapshot import Snapshot

GPU = "gpu0.power = 70000\ngpu0.gpm.sm = 40\ngpu0.gpm.tensor = 20\ngpu0.process.77 = 1024\n"


def read(library: Path, folder: Path, scenario: str, apart: float = 0.01) -> Snapshot:
    with nvml.loaded(library, nvml.write_scenario(folder / "scenario", scenario)):
        return read_once(apart)


def test_everything_is_read_once(nvml_library: Path, tmp_path: Path) -> None:
    snapshot = read(nvml_library, tmp_path, GPU)
    (gpu,) = snapshot.devices
    found = {point.metric: point.value for point in gpu.points}
    assert found["hw.power"] == 70
    assert found["vlm.gpu.sm.activity"] == pytest.approx(0.4)
    assert snapshot.processes == {gpu.device.uuid: {77: 1024}}


def test_a_single_pass_says_that_activity_needs_two(nvml_library: Path, tmp_path: Path) -> None:
    (gpu,) = read(nvml_library, tmp_path, GPU, apart=0).devices
    assert {one.why for one in gpu.missing if one.metric == "vlm.gpu.sm.activity"} == {FIRST}


def test_a_machine_without_a_gpu_says_so(nvml_library: Path, tmp_path: Path) -> None:
    with pytest.raises(NoNvmlError, match="no GPU"):
        read(nvml_library, tmp_path, "gpus = 0")


def test_a_driver_that_fails_says_which_call_gave_what(nvml_library: Path, tmp_path: Path) -> None:
    with pytest.raises(NvmlError, match="nvmlInit: NVML_ERROR_DRIVER_NOT_LOADED"):
        read(nvml_library, tmp_path, "gpu0.power = 1\ncall.nvmlInitWithFlags = !DRIVER_NOT_LOADED")


def test_a_failure_leaves_nothing_initialised(nvml_library: Path, tmp_path: Path) -> None:
    with nvml.loaded(nvml_library, nvml.write_scenario(tmp_path / "scenario", "gpus = 0")):
        with pytest.raises(NoNvmlError):
            read_once()
        import pynvml

        with pytest.raises(pynvml.NVMLError, match="Uninitialized"):
            pynvml.nvmlDeviceGetCount()
