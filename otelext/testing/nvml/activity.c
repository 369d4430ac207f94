/* GPM: what the parts of a GPU did between two samples. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "library.h"

struct nvmlGpmSample {
    Which which;
    bool taken;
    double at;
};

static const struct {
    unsigned id;
    const char *name, *title;
} METRICS[] = {
    {1, "gpm.graphics", "Graphics engine utilization"}, /* NVML_GPM_METRIC_GRAPHICS_UTIL */
    {2, "gpm.sm", "SM utilization"},                    /* NVML_GPM_METRIC_SM_UTIL */
    {5, "gpm.tensor", "Tensor core utilization"},       /* NVML_GPM_METRIC_ANY_TENSOR_UTIL */
};

enum { COUNT = sizeof METRICS / sizeof METRICS[0] };

static bool offered(Which which)
{
    for (size_t i = 0; i < COUNT; i++)
        if (scenario_of(which, METRICS[i].name))
            return true;
    return false;
}

/* A GPU offers GPM where it, or one of its MIG devices, has such a reading. */
static bool offered_by_gpu(int gpu)
{
    for (int mig = -1; mig < MAX_MIGS; mig++)
        if (offered((Which){gpu, mig}))
            return true;
    return false;
}

NVML_API nvmlReturn_t nvmlGpmQueryDeviceSupport(nvmlDevice_t device, nvmlGpmSupport_t *support)
{
    ENTER_DEVICE(device, support);
    if (support->version != NVML_GPM_SUPPORT_VERSION)
        return library_leave(NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    support->isSupportedDevice = offered_by_gpu(which.gpu);
    return library_leave(NVML_SUCCESS);
}

NVML_API nvmlReturn_t nvmlGpmSampleAlloc(nvmlGpmSample_t *sample)
{
    ENTER();
    if (!sample)
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    *sample = calloc(1, sizeof **sample);
    return library_leave(*sample ? NVML_SUCCESS : NVML_ERROR_MEMORY);
}

NVML_API nvmlReturn_t nvmlGpmSampleFree(nvmlGpmSample_t sample)
{
    ENTER();
    if (!sample)
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    free(sample);
    return library_leave(NVML_SUCCESS);
}

static nvmlReturn_t take_sample(Which which, nvmlGpmSample_t sample)
{
    if (!offered(which))
        return NVML_ERROR_NOT_SUPPORTED;
    *sample = (struct nvmlGpmSample){which, true, scenario_now()};
    return NVML_SUCCESS;
}

NVML_API nvmlReturn_t nvmlGpmSampleGet(nvmlDevice_t device, nvmlGpmSample_t sample)
{
    ENTER_DEVICE(device, sample);
    return library_leave(which.mig < 0 ? take_sample(which, sample) : NVML_ERROR_INVALID_ARGUMENT);
}

NVML_API nvmlReturn_t nvmlGpmMigSampleGet(nvmlDevice_t device, unsigned gpu_instance, nvmlGpmSample_t sample)
{
    ENTER_DEVICE(device, sample);
    if (which.mig >= 0)
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    for (which.mig = 0; which.mig < MAX_MIGS; which.mig++)
        if (device_check(which) == NVML_SUCCESS && device_gi(which) == gpu_instance)
            return library_leave(take_sample(which, sample));
    return library_leave(NVML_ERROR_INVALID_ARGUMENT);
}

static void fill(nvmlGpmMetric_t *metric, nvmlGpmSample_t first, nvmlGpmSample_t last)
{
    metric->nvmlReturn = NVML_ERROR_NOT_SUPPORTED;
    for (size_t i = 0; i < COUNT; i++) {
        if (METRICS[i].id != metric->metricId)
            continue;
        Reading mean = scenario_mean(first->which, METRICS[i].name, first->at, last->at);
        metric->nvmlReturn = mean.code;
        metric->value = mean.available ? (double)mean.number : NAN;
        metric->metricInfo.shortName = METRICS[i].name;
        metric->metricInfo.longName = METRICS[i].title;
        metric->metricInfo.unit = "%";
    }
}

NVML_API nvmlReturn_t nvmlGpmMetricsGet(nvmlGpmMetricsGet_t *metrics)
{
    ENTER();
    if (!metrics)
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    if (metrics->version != NVML_GPM_METRICS_GET_VERSION)
        return library_leave(NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    nvmlGpmSample_t first = metrics->sample1, last = metrics->sample2;
    if (!first || !last || !first->taken || !last->taken || first->at > last->at ||
        memcmp(&first->which, &last->which, sizeof first->which) != 0)
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    for (unsigned i = 0; i < metrics->numMetrics; i++)
        fill(&metrics->metrics[i], first, last);
    return library_leave(NVML_SUCCESS);
}
