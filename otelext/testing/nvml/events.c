/* Xid errors, as events that a set waits for. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <time.h>

#include "library.h"

struct nvmlEventSet {
    bool registered[MAX_GPUS];
    unsigned told[MAX_GPUS]; /* how many of a GPU's events are over */
};

/* The event that follows so many others, or NULL where it has not come yet. A step of 0 is none. */
static const Step *event_after(int gpu, unsigned others)
{
    const Entry *entry = scenario_of((Which){gpu, -1}, "xid");
    double now = scenario_now();
    for (size_t i = 0; entry && i < entry->count && entry->steps[i].at <= now; i++)
        if (entry->steps[i].kind == NUMBER && entry->steps[i].number != 0 && others-- == 0)
            return &entry->steps[i];
    return NULL;
}

NVML_API nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set)
{
    ENTER();
    if (!set)
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    *set = calloc(1, sizeof **set);
    return library_leave(*set ? NVML_SUCCESS : NVML_ERROR_MEMORY);
}

NVML_API nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set)
{
    ENTER();
    if (!set)
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    free(set);
    return library_leave(NVML_SUCCESS);
}

/* The error that a GPU's Xid line gives now, NOT_SUPPORTED without one. */
static nvmlReturn_t offered(Which which)
{
    return which.mig < 0 ? scenario_reading(which, "xid").code : NVML_ERROR_NOT_SUPPORTED;
}

NVML_API nvmlReturn_t nvmlDeviceGetSupportedEventTypes(nvmlDevice_t device, unsigned long long *types)
{
    ENTER_DEVICE(device, types);
    *types = offered(which) == NVML_SUCCESS ? nvmlEventTypeXidCriticalError : 0;
    return library_leave(NVML_SUCCESS);
}

NVML_API nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long types, nvmlEventSet_t set)
{
    nvmlReturn_t result;
    ENTER_DEVICE(device, set);
    if (types & ~(unsigned long long)nvmlEventTypeXidCriticalError)
        return library_leave(NVML_ERROR_NOT_SUPPORTED);
    if (!types || set->registered[which.gpu])
        return library_leave(NVML_SUCCESS);
    if ((result = offered(which)) != NVML_SUCCESS)
        return library_leave(result);
    set->registered[which.gpu] = true;
    while (event_after(which.gpu, set->told[which.gpu]))
        set->told[which.gpu]++;
    return library_leave(NVML_SUCCESS);
}

static nvmlReturn_t next_event(nvmlEventSet_t set, nvmlEventData_t *event)
{
    for (int gpu = 0; gpu < MAX_GPUS; gpu++) {
        const Step *step = set->registered[gpu] ? event_after(gpu, set->told[gpu]) : NULL;
        if (!step)
            continue;
        set->told[gpu]++;
        *event = (nvmlEventData_t){
            .device = device_handle((Which){gpu, -1}),
            .eventType = nvmlEventTypeXidCriticalError,
            .eventData = (unsigned long long)step->number,
            .gpuInstanceId = ~0U,
            .computeInstanceId = ~0U,
        };
        return NVML_SUCCESS;
    }
    for (int gpu = 0; gpu < MAX_GPUS; gpu++)
        if (set->registered[gpu] && device_check((Which){gpu, -1}) != NVML_SUCCESS)
            return NVML_ERROR_GPU_IS_LOST;
    return NVML_ERROR_TIMEOUT;
}

static long long milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

NVML_API nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *event, unsigned timeout_ms)
{
    long long begun = milliseconds();
    nvmlReturn_t result, rested = NVML_SUCCESS;
    ENTER();
    if (!set || !event)
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    while ((result = next_event(set, event)) == NVML_ERROR_TIMEOUT && milliseconds() - begun < timeout_ms)
        if ((rested = library_rest()) != NVML_SUCCESS)
            return library_leave(rested);
    return library_leave(result);
}
