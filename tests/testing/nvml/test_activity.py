"""GPM of the stand-in, by pynvml: what the parts of a GPU did between two samples."""

from __future__ import annotations

import math

import pynvml
import pytest

SM, TENSOR, GRAPHICS, DRAM = (
    pynvml.NVML_GPM_METRIC_SM_UTIL,
    pynvml.NVML_GPM_METRIC_ANY_TENSOR_UTIL,
    pynvml.NVML_GPM_METRIC_GRAPHICS_UTIL,
    pynvml.NVML_GPM_METRIC_DRAM_BW_UTIL,
)


def between(first, last, *ids) -> list[pynvml.c_nvmlGpmMetric_t]:
    asked = pynvml.c_nvmlGpmMetricsGet_t(version=pynvml.NVML_GPM_METRICS_GET_VERSION, numMetrics=len(ids))
    asked.sample1, asked.sample2 = first, last
    for place, metric in enumerate(ids):
        asked.metrics[place].metricId = metric
    return list(pynvml.nvmlGpmMetricsGet(asked).metrics[: len(ids)])


def sample(gpu) -> pynvml.c_nvmlGpmSample_t:
    return pynvml.nvmlGpmSampleGet(gpu, pynvml.nvmlGpmSampleAlloc())


def test_each_metric_is_its_mean_between_two_samples(stand_in) -> None:
    text = "gpu0.gpm.sm = 20 @10 80\ngpu0.gpm.tensor = NA\ngpu0.gpm.graphics = !NO_DATA"
    gpu = stand_in.gpu(text, at=0)
    assert pynvml.nvmlGpmQueryDeviceSupport(gpu).isSupportedDevice == 1
    first = sample(gpu)
    stand_in.write(text, at=20)
    last = sample(gpu)
    sm, tensor, graphics, dram = between(first, last, SM, TENSOR, GRAPHICS, DRAM)
    assert (sm.nvmlReturn, sm.value) == (0, pytest.approx(50, abs=1))
    assert sm.metricInfo.unit == b"%"
    assert tensor.nvmlReturn == 0
    assert math.isnan(tensor.value)
    assert (graphics.nvmlReturn, dram.nvmlReturn) == (pynvml.NVML_ERROR_NO_DATA, pynvml.NVML_ERROR_NOT_SUPPORTED)
    pynvml.nvmlGpmSampleFree(first)
    pynvml.nvmlGpmSampleFree(last)


def test_time_in_which_a_metric_fails_does_not_count_into_its_mean(stand_in) -> None:
    text = "gpu0.gpm.sm = !NO_DATA @10 60"
    first = sample(stand_in.gpu(text))
    last = sample(stand_in.gpu(text, at=20))
    assert between(first, last, SM)[0].value == pytest.approx(60)


def test_mig_devices_are_sampled_by_their_gpu_instance(stand_in, error) -> None:
    gpu = stand_in.gpu("gpu0.mig0.gpm.sm = 30\ngpu0.mig0.gi = 7\ngpu0.mig1.gpm.sm = 40\ngpu0.mig1.gi = 8")
    assert pynvml.nvmlGpmQueryDeviceSupport(gpu).isSupportedDevice == 1
    means = []
    for instance in (7, 8):
        first, last = (pynvml.nvmlGpmMigSampleGet(gpu, instance, pynvml.nvmlGpmSampleAlloc()) for _ in range(2))
        means.append(between(first, last, SM)[0].value)
    assert means == [30, 40]
    unused = pynvml.nvmlGpmSampleAlloc()
    assert error(pynvml.nvmlGpmSampleGet, gpu, unused) == pynvml.NVML_ERROR_NOT_SUPPORTED
    assert error(pynvml.nvmlGpmMigSampleGet, gpu, 9, unused) == pynvml.NVML_ERROR_INVALID_ARGUMENT
    mig = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, 0)
    assert error(pynvml.nvmlGpmSampleGet, mig, unused) == pynvml.NVML_ERROR_INVALID_ARGUMENT


def test_samples_that_do_not_belong_together_are_refused(stand_in, error) -> None:
    gpu = stand_in.gpu("gpu0.gpm.sm = 30\ngpu1.gpm.sm = 30")
    first, last = sample(gpu), sample(gpu)
    other = sample(pynvml.nvmlDeviceGetHandleByIndex(1))
    for pair in ((last, first), (first, other), (first, pynvml.nvmlGpmSampleAlloc()), (None, last)):
        assert error(between, *pair, SM) == pynvml.NVML_ERROR_INVALID_ARGUMENT


def test_a_gpu_without_such_readings_offers_no_gpm(stand_in, error) -> None:
    gpu = stand_in.gpu("gpu0.fan = 1")
    assert pynvml.nvmlGpmQueryDeviceSupport(gpu).isSupportedDevice == 0
    assert error(sample, gpu) == pynvml.NVML_ERROR_NOT_SUPPORTED
