"""GPUs and MIG devices of the stand-in, by pynvml."""

from __future__ import annotations

import ctypes

import pynvml
import pytest

SLICED = """
gpu0.name = NVIDIA A100-SXM4-80GB
gpu0.mig1.uuid = MIG-of-one
gpu0.mig1.gi = 9
gpu0.mig1.ci = 2
gpu0.mig3.name = NVIDIA A100-SXM4-80GB MIG 2g.20gb
gpu1.uuid = GPU-1234
"""


def test_gpus_that_are_only_counted_have_names_that_differ(stand_in) -> None:
    stand_in.write("gpus = 3")
    gpus = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
    for identity in (pynvml.nvmlDeviceGetUUID, pynvml.nvmlDeviceGetSerial, pynvml.nvmlDeviceGetIndex):
        assert len({identity(gpu) for gpu in gpus}) == 3
    assert len({pynvml.nvmlDeviceGetPciInfo(gpu).busId for gpu in gpus}) == 3
    assert {pynvml.nvmlDeviceGetName(gpu) for gpu in gpus} == {"NVIDIA Stand-in"}


def test_a_gpu_is_found_by_its_uuid_and_by_its_bus(stand_in, error) -> None:
    stand_in.write("gpu0.fan = 1\ngpu1.uuid = GPU-1234\ngpu1.pci_bus = 0000:C1:00.0\ngpu1.serial = 77")
    gpu = pynvml.nvmlDeviceGetHandleByUUID("GPU-1234")
    assert pynvml.nvmlDeviceGetIndex(gpu) == 1
    assert pynvml.nvmlDeviceGetSerial(gpu) == "77"
    for bus in ("00000000:C1:00.0", "0000:c1:00.0", "C1:00.0"):
        assert pynvml.nvmlDeviceGetIndex(pynvml.nvmlDeviceGetHandleByPciBusId(bus)) == 1
    info = pynvml.nvmlDeviceGetPciInfo(gpu)
    assert (info.busId, info.busIdLegacy) == ("00000000:C1:00.0", "0000:C1:00.0")
    assert (info.domain, info.bus, info.device) == (0, 0xC1, 0)
    assert error(pynvml.nvmlDeviceGetHandleByUUID, "GPU-12") == pynvml.NVML_ERROR_NOT_FOUND
    assert error(pynvml.nvmlDeviceGetHandleByPciBusId, "00000000:C2:00.0") == pynvml.NVML_ERROR_NOT_FOUND
    assert error(pynvml.nvmlDeviceGetHandleByPciBusId, "left") == pynvml.NVML_ERROR_INVALID_ARGUMENT
    assert error(pynvml.nvmlDeviceGetHandleByIndex, 2) == pynvml.NVML_ERROR_INVALID_ARGUMENT


def test_a_name_may_be_an_error_or_too_long_for_its_place(stand_in, error) -> None:
    gpu = stand_in.gpu(f"gpu0.serial = !NOT_SUPPORTED\ngpu0.name = {'x' * 100}")
    assert error(pynvml.nvmlDeviceGetSerial, gpu) == pynvml.NVML_ERROR_NOT_SUPPORTED
    assert error(pynvml.nvmlDeviceGetName, gpu) == pynvml.NVML_ERROR_INSUFFICIENT_SIZE


def test_a_lost_gpu_answers_nothing_and_comes_back(stand_in, error) -> None:
    text = "gpu0.fan = 5\ngpu1.fan = 6\ngpu1.uuid = GPU-1\ngpu1.lost = 0 @5 1 @10 0"
    stand_in.write(text)
    gpu = pynvml.nvmlDeviceGetHandleByIndex(1)
    stand_in.write(text, at=6)
    for function, argument in (
        (pynvml.nvmlDeviceGetFanSpeed, gpu),
        (pynvml.nvmlDeviceGetUUID, gpu),
        (pynvml.nvmlDeviceGetHandleByIndex, 1),
        (pynvml.nvmlDeviceGetHandleByUUID, "GPU-1"),
    ):
        assert error(function, argument) == pynvml.NVML_ERROR_GPU_IS_LOST
    assert pynvml.nvmlDeviceGetFanSpeed(pynvml.nvmlDeviceGetHandleByIndex(0)) == 5
    assert pynvml.nvmlDeviceGetCount() == 2
    stand_in.write(text, at=11)
    assert pynvml.nvmlDeviceGetFanSpeed(gpu) == 6


def test_a_gpu_that_is_taken_out_of_the_scenario_is_lost(stand_in, error) -> None:
    gpu = stand_in.gpu("gpu0.fan = 5")
    stand_in.write("gpus = 0")
    assert error(pynvml.nvmlDeviceGetFanSpeed, gpu) == pynvml.NVML_ERROR_GPU_IS_LOST


def test_a_handle_that_nobody_gave_out_is_an_invalid_argument(stand_in, error) -> None:
    stand_in.write("gpus = 1")
    for handle in (None, ctypes.c_void_p(8)):
        assert error(pynvml.nvmlDeviceGetFanSpeed, handle) == pynvml.NVML_ERROR_INVALID_ARGUMENT


def test_mig_devices_are_found_from_their_gpu_gaps_included(stand_in) -> None:
    gpu = stand_in.gpu(SLICED)
    assert pynvml.nvmlDeviceGetMigMode(gpu) == [1, 1]
    found = {}
    for index in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu)):
        try:
            found[index] = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index)
        except pynvml.NVMLError_NotFound:
            continue
    assert list(found) == [1, 3]
    assert [pynvml.nvmlDeviceGetUUID(mig) for mig in found.values()] == [
        "MIG-of-one",
        "MIG-00000000-0003-5000-8000-000000000000",
    ]
    assert [pynvml.nvmlDeviceGetName(mig) for mig in found.values()] == [
        "NVIDIA A100-SXM4-80GB MIG 1g",
        "NVIDIA A100-SXM4-80GB MIG 2g.20gb",
    ]
    assert [pynvml.nvmlDeviceGetGpuInstanceId(mig) for mig in found.values()] == [9, 4]
    assert [pynvml.nvmlDeviceGetComputeInstanceId(mig) for mig in found.values()] == [2, 0]
    assert [pynvml.nvmlDeviceGetIndex(mig) for mig in found.values()] == [1, 3]


def test_a_mig_device_knows_its_gpu(stand_in, error) -> None:
    gpu = stand_in.gpu(SLICED)
    mig = pynvml.nvmlDeviceGetHandleByUUID("MIG-of-one")
    assert pynvml.nvmlDeviceIsMigDeviceHandle(mig).value == 1
    assert pynvml.nvmlDeviceIsMigDeviceHandle(gpu).value == 0
    parent = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(mig)
    assert pynvml.nvmlDeviceGetUUID(parent) == pynvml.nvmlDeviceGetUUID(gpu)
    for function in (
        pynvml.nvmlDeviceGetGpuInstanceId,
        pynvml.nvmlDeviceGetComputeInstanceId,
        pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle,
    ):
        assert error(function, gpu) == pynvml.NVML_ERROR_INVALID_ARGUMENT
    assert error(pynvml.nvmlDeviceGetMigMode, mig) == pynvml.NVML_ERROR_INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("gpus = 1", pynvml.NVML_ERROR_NOT_SUPPORTED),
        ("gpu0.mig = 0", [0, 0]),
        ("gpu0.mig = 1", [1, 1]),
        ("gpu0.mig = 0\ngpu0.mig0.gi = 1", [0, 0]),
        ("gpu0.mig0.gi = 1", [1, 1]),
    ],
)
def test_whether_mig_is_on_and_supported(text, mode, stand_in, error) -> None:
    gpu = stand_in.gpu(text)
    on = mode == [1, 1]
    assert (error(pynvml.nvmlDeviceGetMigMode, gpu) or pynvml.nvmlDeviceGetMigMode(gpu)) == mode
    assert pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu) == (7 if on else 0)
    there = on and "mig0" in text
    missing = pynvml.NVML_ERROR_NOT_FOUND if on else pynvml.NVML_ERROR_NOT_SUPPORTED
    assert error(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, gpu, 0) == (0 if there else missing)


def test_a_mig_device_that_a_new_layout_lacks_is_an_invalid_argument(stand_in, error) -> None:
    gpu = stand_in.gpu("gpu0.mig0.memory.used = 1\ngpu0.mig0.memory.total = 2")
    mig = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 0)
    assert pynvml.nvmlDeviceGetMemoryInfo(mig).used == 1
    stand_in.write("gpu0.mig1.memory.used = 1")
    assert error(pynvml.nvmlDeviceGetMemoryInfo, mig) == pynvml.NVML_ERROR_INVALID_ARGUMENT
    assert error(pynvml.nvmlDeviceGetHandleByUUID, "MIG-00000000-0000-5000-8000-000000000000") == (
        pynvml.NVML_ERROR_NOT_FOUND
    )


def test_a_mig_device_is_lost_with_its_gpu(stand_in, error) -> None:
    text = "gpu0.mig0.fan = 1\ngpu0.lost = 0 @5 1"
    mig = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(stand_in.gpu(text), 0)
    stand_in.write(text, at=6)
    assert error(pynvml.nvmlDeviceGetName, mig) == pynvml.NVML_ERROR_GPU_IS_LOST
