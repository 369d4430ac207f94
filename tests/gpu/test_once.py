"""Readings without a poller and without a lease."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from otelext.gpu.gpm import FIRST
from otelext.gpu.nvml import NoNvmlError, NvmlError
from otelext.gpu.once import HangError, Look, read_once
from otelext.testing import nvml
from tests.gpu.conftest import until

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


def test_a_gpu_that_can_not_be_reached_keeps_nothing_from_being_read(nvml_library: Path, tmp_path: Path) -> None:
    snapshot = read(nvml_library, tmp_path, GPU + "gpu1.lost = 1")
    assert snapshot.unreached == ((1, "NVML_ERROR_GPU_IS_LOST"),)
    assert "vlm.gpu.sm.activity" in {point.metric for point in snapshot.devices[0].points}


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


def test_a_call_that_hangs_is_named_and_its_answer_is_waited_for_again(nvml_library: Path, tmp_path: Path) -> None:
    scenario = nvml.write_scenario(tmp_path / "scenario", GPU + "call.nvmlDeviceGetFieldValues = hang:600")
    with nvml.loaded(nvml_library, scenario), Look() as look:
        for _ in range(2):
            with pytest.raises(HangError, match=r"nvmlDeviceGetFieldValues has not returned for \d+ s"):
                look.again(0.2)
        nvml.write_scenario(scenario, GPU)
        assert look.again().calls
        assert look.again().devices[0].points


def test_what_fails_is_begun_anew_by_the_next_pass_and_goes_on_counting(nvml_library: Path, tmp_path: Path) -> None:
    errors = GPU + "gpu0.ecc.corrected = {}\n"
    scenario = nvml.write_scenario(tmp_path / "scenario", errors.format(1))
    with nvml.loaded(nvml_library, scenario), Look() as look:
        look.again()
        nvml.write_scenario(scenario, errors.format(4))
        until(lambda: counted(look.again()) == 3, "count")
        nvml.write_scenario(scenario, errors.format(4) + "call.nvmlDeviceGetFieldValues = !UNINITIALIZED")

        def fails() -> bool:
            try:
                look.again()
            except NvmlError as error:
                return error.name == "NVML_ERROR_UNINITIALIZED"
            return False

        until(fails, "failure")
        nvml.write_scenario(scenario, errors.format(9))
        until(lambda: not fails(), "return")
        assert counted(look.again()) == 8


def counted(snapshot: Snapshot) -> float:
    """ECC errors."""
    return sum(
        point.value
        for point in snapshot.devices[0].points
        if dict(point.attributes).get("error.type") == "ecc_corrected"
    )
