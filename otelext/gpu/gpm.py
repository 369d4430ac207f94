"""How busy the parts of a GPU are, where it tells: from Hopper on, between two samples.

https://docs.nvidia.com/deploy/nvml-api/group__nvmlGpmFunctions.html
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from otelext import semconv
from otelext.gpu.nvml import NOT_SUPPORTED, NvmlError

if TYPE_CHECKING:
    from otelext.gpu.nvml import Nvml
    from otelext.gpu.readings import Series

_GRAPHICS_UTIL: Final = 1
_SM_UTIL: Final = 2
_ANY_TENSOR_UTIL: Final = 5
ACTIVITY: Final[dict[int, Series]] = {
    _SM_UTIL: (semconv.GPU_SM_ACTIVITY.name, ()),
    _ANY_TENSOR_UTIL: (semconv.GPU_TENSOR_ACTIVITY.name, ()),
}
"""What a GPU tells, by NVML's number of the metric."""
UTILIZATION: Final[dict[int, Series]] = {
    _GRAPHICS_UTIL: (semconv.GPU_UTILIZATION.name, ((semconv.HW_GPU_TASK, semconv.TASK_GENERAL),)),
    **ACTIVITY,
}
"""What a MIG device tells, whose utilization nothing else does."""
FIRST: Final = "the first reading of two"
"""Why there is no value yet."""


class Gpm:
    """The samples of one device, each compared with the one before it."""

    def __init__(self, series: dict[int, Series], gpu_instance: int | None = None) -> None:
        """Begin without a sample.

        Args:
            series: What is asked for.
            gpu_instance: Of a MIG device; its samples are taken by its GPU's handle.
        """
        self.series = series
        self._gpu_instance = gpu_instance
        self._samples: list[Any] = []
        self._sampled = 0

    def read(self, nvml: Nvml, handle: Any) -> list[float | str]:
        """A share of 1 for each of the series, or why there is none.

        Raises:
            NvmlError: The device doesn't tell.
        """
        if not self._samples:
            if not nvml.call("nvmlGpmQueryDeviceSupport", handle).isSupportedDevice:
                raise NvmlError(NOT_SUPPORTED, "nvmlGpmQueryDeviceSupport")
            self._samples = [nvml.call("nvmlGpmSampleAlloc") for _ in range(2)]
        try:
            sample = self._samples[self._sampled % 2]
            if self._gpu_instance is None:
                nvml.call("nvmlGpmSampleGet", handle, sample)
            else:
                nvml.call("nvmlGpmMigSampleGet", handle, self._gpu_instance, sample)
        except NvmlError:
            self._sampled = 0
            raise
        self._sampled += 1
        if self._sampled == 1:
            return [FIRST] * len(self.series)
        return self._compared(nvml, self._samples[self._sampled % 2], sample)

    def _compared(self, nvml: Nvml, before: Any, after: Any) -> list[float | str]:
        asked = nvml.c_nvmlGpmMetricsGet_t()
        asked.version = nvml.NVML_GPM_METRICS_GET_VERSION
        asked.numMetrics = len(self.series)
        asked.sample1, asked.sample2 = before, after
        for place, number in enumerate(self.series):
            asked.metrics[place].metricId = number
        nvml.call("nvmlGpmMetricsGet", asked)
        found: list[float | str] = []
        for place in range(len(self.series)):
            one = asked.metrics[place]
            if one.nvmlReturn:
                found.append(nvml.error_name(one.nvmlReturn))
            else:
                found.append(one.value / 100 if math.isfinite(one.value) else "no number")
        return found

    def free(self, nvml: Nvml) -> None:
        """Give the samples back."""
        for sample in self._samples:
            with suppress(NvmlError):
                nvml.call("nvmlGpmSampleFree", sample)
        self._samples = []
        self._sampled = 0
