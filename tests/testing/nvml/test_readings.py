"""What the stand-in's devices read, by pynvml."""

from __future__ import annotations

import ctypes
import os

import pynvml
import pytest

ALL_LINKS = 0xFFFFFFFF
BLANK = pynvml.NVML_VALUE_NOT_AVAILABLE_uint.value
LONG_BLANK = pynvml.NVML_VALUE_NOT_AVAILABLE_ulonglong.value

# A reading, the call that gives it as one number, and what the C type makes of NVML_VALUE_NOT_AVAILABLE.
SIMPLE = [
    ("temperature.gpu", lambda gpu: pynvml.nvmlDeviceGetTemperature(gpu, pynvml.NVML_TEMPERATURE_GPU), BLANK),
    ("temperature.gpu", lambda gpu: pynvml.nvmlDeviceGetTemperatureV(gpu, pynvml.NVML_TEMPERATURE_GPU), -1),
    ("power", pynvml.nvmlDeviceGetPowerUsage, BLANK),
    ("energy", pynvml.nvmlDeviceGetTotalEnergyConsumption, LONG_BLANK),
    ("clock.sm", lambda gpu: pynvml.nvmlDeviceGetClockInfo(gpu, pynvml.NVML_CLOCK_SM), BLANK),
    ("clock.sm", lambda gpu: pynvml.nvmlDeviceGetClockInfo(gpu, pynvml.NVML_CLOCK_GRAPHICS), BLANK),
    ("clock.memory", lambda gpu: pynvml.nvmlDeviceGetClockInfo(gpu, pynvml.NVML_CLOCK_MEM), BLANK),
    ("clock.video", lambda gpu: pynvml.nvmlDeviceGetClockInfo(gpu, pynvml.NVML_CLOCK_VIDEO), BLANK),
    ("throttle", pynvml.nvmlDeviceGetCurrentClocksEventReasons, LONG_BLANK),
    ("throttle", pynvml.nvmlDeviceGetCurrentClocksThrottleReasons, LONG_BLANK),
    ("fan", pynvml.nvmlDeviceGetFanSpeed, BLANK),
    ("fan", lambda gpu: pynvml.nvmlDeviceGetFanSpeed_v2(gpu, 0), BLANK),
    ("pstate", pynvml.nvmlDeviceGetPerformanceState, pynvml.NVML_PSTATE_UNKNOWN),
    ("ecc.corrected", lambda gpu: pynvml.nvmlDeviceGetTotalEccErrors(gpu, 0, pynvml.NVML_VOLATILE_ECC), LONG_BLANK),
    ("ecc.uncorrected", lambda gpu: pynvml.nvmlDeviceGetTotalEccErrors(gpu, 1, pynvml.NVML_VOLATILE_ECC), LONG_BLANK),
]

# A field of nvmlDeviceGetFieldValues, the reading that it is, and whether it has 64 bits.
FIELDS = [
    (pynvml.NVML_FI_DEV_ECC_SBE_VOL_TOTAL, "ecc.corrected", True),
    (pynvml.NVML_FI_DEV_ECC_DBE_VOL_TOTAL, "ecc.uncorrected", True),
    (pynvml.NVML_FI_DEV_MEMORY_TEMP, "temperature.memory", False),
    (pynvml.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, "energy", True),
    ((pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, ALL_LINKS), "nvlink.tx", True),
    ((pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, ALL_LINKS), "nvlink.rx", True),
    (pynvml.NVML_FI_DEV_POWER_AVERAGE, "power", False),
    (pynvml.NVML_FI_DEV_POWER_INSTANT, "power", False),
    (pynvml.NVML_FI_DEV_PCIE_COUNT_TX_BYTES, "pcie.tx", True),
    (pynvml.NVML_FI_DEV_PCIE_COUNT_RX_BYTES, "pcie.rx", True),
]


@pytest.mark.parametrize(("name", "call", "blank"), SIMPLE)
def test_a_reading_is_its_value_blank_error_or_unsupported(name, call, blank, stand_in, error) -> None:
    gpu = stand_in.gpu(f"gpu0.{name} = 23")
    assert call(gpu) == 23
    stand_in.write(f"gpu0.{name} = NA")
    assert call(gpu) == blank
    stand_in.write(f"gpu0.{name} = !NO_PERMISSION")
    assert error(call, gpu) == pynvml.NVML_ERROR_NO_PERMISSION
    stand_in.write("gpus = 1")
    assert error(call, gpu) == pynvml.NVML_ERROR_NOT_SUPPORTED


@pytest.mark.parametrize(("field", "name", "long"), FIELDS)
def test_a_field_is_its_value_blank_error_or_unsupported(field, name, long, stand_in) -> None:
    def read() -> tuple[int, int]:
        (value,) = pynvml.nvmlDeviceGetFieldValues(gpu, [field])
        kind = pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG if long else pynvml.NVML_VALUE_TYPE_UNSIGNED_INT
        assert value.valueType == kind
        return value.nvmlReturn, value.value.ullVal if long else value.value.uiVal

    gpu = stand_in.gpu(f"gpu0.{name} = 23")
    assert read() == (0, 23)
    stand_in.write(f"gpu0.{name} = NA")
    assert read() == (0, LONG_BLANK if long else BLANK)
    stand_in.write(f"gpu0.{name} = !NO_PERMISSION")
    assert read() == (pynvml.NVML_ERROR_NO_PERMISSION, 0)
    stand_in.write("gpus = 1")
    assert read() == (pynvml.NVML_ERROR_NOT_SUPPORTED, 0)


def test_a_batch_answers_each_field_for_itself(stand_in) -> None:
    gpu = stand_in.gpu("gpu0.power = 70000\ngpu0.field.186 = !NOT_SUPPORTED\ngpu0.field.91 = 18\ngpu0.nvlink.tx = 5")
    one_link = (pynvml.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, 0)
    values = pynvml.nvmlDeviceGetFieldValues(gpu, [185, 186, 91, 82, one_link])
    unsupported = pynvml.NVML_ERROR_NOT_SUPPORTED
    assert [value.nvmlReturn for value in values] == [0, unsupported, 0, unsupported, unsupported]
    assert (values[0].value.uiVal, values[2].value.ullVal) == (70000, 18)
    assert all(value.timestamp > 0 for value in values)
    assert pynvml.nvmlDeviceGetPowerUsage(gpu) == 70000


def test_counters_hold_every_unsigned_64_bit_value_and_wrap(stand_in) -> None:
    for at, expected in ((0, 2**64 - 2), (6, 3)):
        gpu = stand_in.gpu("gpu0.pcie.tx = 18446744073709551614 @5 3", at=at)
        (value,) = pynvml.nvmlDeviceGetFieldValues(gpu, [pynvml.NVML_FI_DEV_PCIE_COUNT_TX_BYTES])
        assert value.value.ullVal == expected


def test_utilization_and_memory_are_told_together(stand_in, error) -> None:
    gpu = stand_in.gpu("gpu0.utilization.gpu = 97\ngpu0.utilization.memory = NA\ngpu0.memory.total = 8e10")
    rates = pynvml.nvmlDeviceGetUtilizationRates(gpu)
    assert (rates.gpu, rates.memory) == (97, BLANK)
    assert error(pynvml.nvmlDeviceGetMemoryInfo, gpu) == pynvml.NVML_ERROR_NOT_SUPPORTED
    gpu = stand_in.gpu("gpu0.utilization.gpu = 97\ngpu0.memory.total = 8e10\ngpu0.memory.used = 1e10")
    assert error(pynvml.nvmlDeviceGetUtilizationRates, gpu) == pynvml.NVML_ERROR_NOT_SUPPORTED
    for version in (None, pynvml.nvmlMemory_v2):
        memory = pynvml.nvmlDeviceGetMemoryInfo(gpu, version)
        assert (memory.total, memory.used, memory.free) == (80_000_000_000, 10_000_000_000, 70_000_000_000)


def test_structs_of_another_version_are_refused(stand_in, error) -> None:
    gpu = stand_in.gpu("gpu0.memory.total = 2\ngpu0.memory.used = 1\ngpu0.temperature.gpu = 1\ngpu0.gpm.sm = 1")
    mismatch = pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH
    assert error(pynvml.nvmlDeviceGetMemoryInfo, gpu, pynvml.nvmlMemory_v2 + 8) == mismatch
    temperature = pynvml.c_nvmlTemperature_v1_t(version=2)
    assert pynvml.nvmlLib.nvmlDeviceGetTemperatureV(gpu, ctypes.byref(temperature)) == mismatch
    support = pynvml.c_nvmlGpmSupport_t(version=9)
    assert pynvml.nvmlLib.nvmlGpmQueryDeviceSupport(gpu, ctypes.byref(support)) == mismatch
    assert error(pynvml.nvmlGpmMetricsGet, pynvml.c_nvmlGpmMetricsGet_t(version=0)) == mismatch


def test_energy_from_power_is_the_integral_of_its_steps(stand_in) -> None:
    text = "gpu0.power = 100000 @10 300000 @20 !NO_DATA @30 NA @40 50000\ngpu0.energy = from_power\ngpu0.energy.base = 7000"
    for second, joules in ((0, 7), (5, 507), (10, 1007), (15, 2507), (20, 4007), (35, 4007), (42, 4107)):
        millijoules = pynvml.nvmlDeviceGetTotalEnergyConsumption(stand_in.gpu(text, at=second))
        # The call comes a moment after the scenario's second: 300 W over 0.2 s at the most.
        assert joules <= millijoules / 1000 <= joules + 60


def test_energy_from_power_is_zero_before_second_0_and_without_power(stand_in) -> None:
    assert pynvml.nvmlDeviceGetTotalEnergyConsumption(stand_in.gpu("gpu0.energy = from_power", at=9)) == 0
    gpu = stand_in.gpu("gpu0.power = 100\ngpu0.energy = from_power", at=-60)
    assert pynvml.nvmlDeviceGetTotalEnergyConsumption(gpu) == 0


def test_processes_come_and_go_and_self_is_the_caller(stand_in, error) -> None:
    text = "gpu0.process.self = 5e9\ngpu0.process.77 = NA\ngpu0.process.88 = !NOT_FOUND @5 1000"

    def running(at: float) -> dict[int, int | None]:
        gpu = stand_in.gpu(text, at=at)
        return {p.pid: p.usedGpuMemory for p in pynvml.nvmlDeviceGetComputeRunningProcesses(gpu)}

    assert running(0) == {os.getpid(): 5_000_000_000, 77: None}
    assert running(6) == {os.getpid(): 5_000_000_000, 77: None, 88: 1000}
    assert pynvml.nvmlDeviceGetGraphicsRunningProcesses(stand_in.gpu(text)) == []
    assert pynvml.nvmlDeviceGetComputeRunningProcesses(stand_in.gpu("gpus = 1")) == []
    gpu = stand_in.gpu(text + "\ngpu0.process = !NO_PERMISSION")
    assert error(pynvml.nvmlDeviceGetComputeRunningProcesses, gpu) == pynvml.NVML_ERROR_NO_PERMISSION


def test_a_gpu_lists_the_processes_of_its_mig_devices(stand_in) -> None:
    gpu = stand_in.gpu("gpu0.process.5 = 1\ngpu0.mig2.process.6 = 2\ngpu0.mig2.gi = 11\ngpu0.mig2.ci = 3")
    mig = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 2)
    listed = [
        [(p.pid, p.gpuInstanceId, p.computeInstanceId) for p in pynvml.nvmlDeviceGetComputeRunningProcesses(device)]
        for device in (gpu, mig)
    ]
    assert listed == [[(5, 0xFFFFFFFF, 0xFFFFFFFF), (6, 11, 3)], [(6, 11, 3)]]


def test_too_small_a_place_for_processes_says_how_many_there_are(stand_in) -> None:
    gpu = stand_in.gpu("gpu0.process.5 = 1\ngpu0.process.6 = 2\ngpu0.process.7 = 3")
    count, places = ctypes.c_uint(2), (pynvml.c_nvmlProcessInfo_v3_t * 3)()
    result = pynvml.nvmlLib.nvmlDeviceGetComputeRunningProcesses_v3(gpu, ctypes.byref(count), places)
    assert (result, count.value) == (pynvml.NVML_ERROR_INSUFFICIENT_SIZE, 3)
    assert [place.pid for place in places] == [5, 6, 0]


def test_arguments_out_of_range_and_what_is_never_supported(stand_in, error) -> None:
    gpu = stand_in.gpu("gpu0.fan = 1\ngpu0.temperature.gpu = 1\ngpu0.ecc.corrected = 1")
    invalid, unsupported = pynvml.NVML_ERROR_INVALID_ARGUMENT, pynvml.NVML_ERROR_NOT_SUPPORTED
    assert error(pynvml.nvmlDeviceGetTemperature, gpu, 1) == invalid
    assert error(pynvml.nvmlDeviceGetTemperatureV, gpu, 1) == invalid
    assert error(pynvml.nvmlDeviceGetClockInfo, gpu, 4) == invalid
    assert error(pynvml.nvmlDeviceGetFanSpeed_v2, gpu, 1) == invalid
    assert error(pynvml.nvmlDeviceGetTotalEccErrors, gpu, 2, 0) == invalid
    assert error(pynvml.nvmlDeviceGetTotalEccErrors, gpu, 0, pynvml.NVML_AGGREGATE_ECC) == unsupported
    assert error(pynvml.nvmlDeviceGetPcieThroughput, gpu, pynvml.NVML_PCIE_UTIL_TX_BYTES) == unsupported
    assert pynvml.nvmlDeviceGetNumFans(gpu) == 1
    assert pynvml.nvmlDeviceGetNumFans(stand_in.gpu("gpus = 1")) == 0
