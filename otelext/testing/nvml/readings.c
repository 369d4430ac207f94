/* What a device reads. */
#define _POSIX_C_SOURCE 200809L
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "library.h"

unsigned long long as_ulonglong(Reading reading)
{
    if (!reading.available || reading.number >= 0x1p64L)
        return ULLONG_MAX;
    if (reading.number <= -0x1p63L)
        return 0;
    return reading.number < 0 ? (unsigned long long)(long long)reading.number : (unsigned long long)reading.number;
}

unsigned as_uint(Reading reading)
{
    return reading.available ? (unsigned)as_ulonglong(reading) : UINT_MAX;
}

/* With the lock held: answers with one reading, and gives the lock back. */
static nvmlReturn_t answer(Which which, const char *name, unsigned *out)
{
    Reading reading = scenario_reading(which, name);
    if (reading.code == NVML_SUCCESS)
        *out = as_uint(reading);
    return library_leave(reading.code);
}

static nvmlReturn_t answer_long(Which which, const char *name, unsigned long long *out)
{
    Reading reading = scenario_reading(which, name);
    if (reading.code == NVML_SUCCESS)
        *out = as_ulonglong(reading);
    return library_leave(reading.code);
}

NVML_API nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *utilization)
{
    ENTER_DEVICE(device, utilization);
    Reading gpu = scenario_reading(which, "utilization.gpu"), memory = scenario_reading(which, "utilization.memory");
    if (gpu.code != NVML_SUCCESS || memory.code != NVML_SUCCESS)
        return library_leave(gpu.code != NVML_SUCCESS ? gpu.code : memory.code);
    *utilization = (nvmlUtilization_t){as_uint(gpu), as_uint(memory)};
    return library_leave(NVML_SUCCESS);
}

static nvmlReturn_t memory_of(Which which, nvmlMemory_t *memory)
{
    Reading total = scenario_reading(which, "memory.total"), used = scenario_reading(which, "memory.used");
    if (total.code != NVML_SUCCESS || used.code != NVML_SUCCESS)
        return total.code != NVML_SUCCESS ? total.code : used.code;
    memory->total = as_ulonglong(total);
    memory->used = as_ulonglong(used);
    memory->free = total.available && used.available ? memory->total - memory->used : ULLONG_MAX;
    return NVML_SUCCESS;
}

NVML_API nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
    ENTER_DEVICE(device, memory);
    return library_leave(memory_of(which, memory));
}

NVML_API nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
    nvmlMemory_t found;
    nvmlReturn_t result;
    ENTER_DEVICE(device, memory);
    if (memory->version != NVML_STRUCT_VERSION(nvmlMemory_v2_t, 2))
        return library_leave(NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    if ((result = memory_of(which, &found)) != NVML_SUCCESS)
        return library_leave(result);
    memory->total = found.total;
    memory->used = found.used;
    memory->free = found.free;
    memory->reserved = 0;
    return library_leave(NVML_SUCCESS);
}

NVML_API nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, unsigned sensor, unsigned *temperature)
{
    ENTER_DEVICE(device, temperature);
    if (sensor != 0)
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    return answer(which, "temperature.gpu", temperature);
}

NVML_API nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t device, nvmlTemperature_v1_t *temperature)
{
    ENTER_DEVICE(device, temperature);
    if (temperature->version != NVML_STRUCT_VERSION(nvmlTemperature_v1_t, 1))
        return library_leave(NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
    if (temperature->sensorType != 0)
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    Reading reading = scenario_reading(which, "temperature.gpu");
    if (reading.code == NVML_SUCCESS)
        temperature->temperature = (int)as_uint(reading);
    return library_leave(reading.code);
}

NVML_API nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned *milliwatts)
{
    ENTER_DEVICE(device, milliwatts);
    return answer(which, "power", milliwatts);
}

NVML_API nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t device, unsigned long long *millijoules)
{
    ENTER_DEVICE(device, millijoules);
    return answer_long(which, "energy", millijoules);
}

NVML_API nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, unsigned type, unsigned *megahertz)
{
    static const char *const DOMAINS[] = {"clock.sm", "clock.sm", "clock.memory", "clock.video"}; /* graphics: as SM */
    ENTER_DEVICE(device, megahertz);
    if (type >= sizeof DOMAINS / sizeof DOMAINS[0])
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    return answer(which, DOMAINS[type], megahertz);
}

NVML_API nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice_t device, unsigned long long *reasons)
{
    ENTER_DEVICE(device, reasons);
    return answer_long(which, "throttle", reasons);
}

NVML_API nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t device, unsigned long long *reasons)
{
    ENTER_DEVICE(device, reasons);
    return answer_long(which, "throttle", reasons);
}

NVML_API nvmlReturn_t nvmlDeviceGetNumFans(nvmlDevice_t device, unsigned *count)
{
    ENTER_DEVICE(device, count);
    *count = scenario_of(which, "fan") != NULL;
    return library_leave(NVML_SUCCESS);
}

NVML_API nvmlReturn_t nvmlDeviceGetFanSpeed(nvmlDevice_t device, unsigned *percent)
{
    ENTER_DEVICE(device, percent);
    return answer(which, "fan", percent);
}

NVML_API nvmlReturn_t nvmlDeviceGetFanSpeed_v2(nvmlDevice_t device, unsigned fan, unsigned *percent)
{
    ENTER_DEVICE(device, percent);
    if (fan != 0)
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    return answer(which, "fan", percent);
}

NVML_API nvmlReturn_t nvmlDeviceGetPerformanceState(nvmlDevice_t device, unsigned *state)
{
    ENTER_DEVICE(device, state);
    Reading reading = scenario_reading(which, "pstate");
    if (reading.code == NVML_SUCCESS)
        *state = reading.available ? as_uint(reading) : 32; /* NVML_PSTATE_UNKNOWN */
    return library_leave(reading.code);
}

NVML_API nvmlReturn_t nvmlDeviceGetPcieThroughput(nvmlDevice_t device, unsigned counter, unsigned *kilobytes)
{
    ENTER_DEVICE(device, kilobytes);
    (void)counter; /* measures for 20 ms, so that nobody who polls calls it */
    return library_leave(NVML_ERROR_NOT_SUPPORTED);
}

NVML_API nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, unsigned type, unsigned counter,
                                                  unsigned long long *count)
{
    ENTER_DEVICE(device, count);
    if (type > 1 || counter > 1)
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    if (counter == 1) /* aggregate, over the life of the board */
        return library_leave(NVML_ERROR_NOT_SUPPORTED);
    return answer_long(which, type == 0 ? "ecc.corrected" : "ecc.uncorrected", count);
}

/* Fields of a batch that are readings of their own, too. */
static const struct {
    unsigned id;
    const char *name;
    bool is_long, by_link;
} FIELDS[] = {
    {3, "ecc.corrected", true, false},       /* NVML_FI_DEV_ECC_SBE_VOL_TOTAL */
    {4, "ecc.uncorrected", true, false},     /* NVML_FI_DEV_ECC_DBE_VOL_TOTAL */
    {82, "temperature.memory", false, false}, /* NVML_FI_DEV_MEMORY_TEMP */
    {83, "energy", true, false},             /* NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION */
    {138, "nvlink.tx", true, true},          /* NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX */
    {139, "nvlink.rx", true, true},          /* NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX */
    {185, "power", false, false},            /* NVML_FI_DEV_POWER_AVERAGE */
    {186, "power", false, false},            /* NVML_FI_DEV_POWER_INSTANT */
    {197, "pcie.tx", true, false},           /* NVML_FI_DEV_PCIE_COUNT_TX_BYTES */
    {198, "pcie.rx", true, false},           /* NVML_FI_DEV_PCIE_COUNT_RX_BYTES */
};

static void fill(Which which, nvmlFieldValue_t *field)
{
    char own[24];
    const char *name = own;
    bool is_long = true;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(own, sizeof own, "field.%u", field->fieldId);
    for (size_t i = 0; i < sizeof FIELDS / sizeof FIELDS[0]; i++)
        if (FIELDS[i].id == field->fieldId) {
            is_long = FIELDS[i].is_long;
            /* The scope is a link's number, or all of them; a scenario knows their sum alone. */
            if (!scenario_of(which, own) && (!FIELDS[i].by_link || field->scopeId == UINT_MAX))
                name = FIELDS[i].name;
        }
    Reading reading = scenario_reading(which, name);
    field->timestamp = now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
    field->latencyUsec = 0;
    field->valueType = is_long ? NVML_VALUE_TYPE_UNSIGNED_LONG_LONG : NVML_VALUE_TYPE_UNSIGNED_INT;
    field->nvmlReturn = reading.code;
    memset(&field->value, 0, sizeof field->value);
    if (reading.code != NVML_SUCCESS)
        return;
    if (is_long)
        field->value.ullVal = as_ulonglong(reading);
    else
        field->value.uiVal = as_uint(reading);
}

NVML_API nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int count, nvmlFieldValue_t *values)
{
    ENTER_DEVICE(device, values && count > 0);
    for (int i = 0; i < count; i++)
        fill(which, &values[i]);
    return library_leave(NVML_SUCCESS);
}

/* Adds the processes of one device; those with an error do not run now. Counts on where there is no room. */
static void add_processes(Which which, nvmlProcessInfo_t *infos, unsigned room, unsigned *found)
{
    char prefix[KEY_SIZE];
    size_t count;
    const Entry *entries = scenario_entries(&count);
    if (which.mig < 0)
        snprintf(prefix, sizeof prefix, "gpu%d.process.", which.gpu);
    else
        snprintf(prefix, sizeof prefix, "gpu%d.mig%d.process.", which.gpu, which.mig);
    for (size_t i = 0; i < count; i++) {
        if (strncmp(entries[i].key, prefix, strlen(prefix)) != 0)
            continue;
        const char *pid = entries[i].key + strlen(prefix);
        Reading memory = scenario_reading(which, entries[i].key + strlen(prefix) - strlen("process."));
        if (memory.code != NVML_SUCCESS)
            continue;
        if (infos && *found < room)
            infos[*found] = (nvmlProcessInfo_t){
                .pid = strcmp(pid, "self") == 0 ? (unsigned)getpid() : (unsigned)strtoul(pid, NULL, 10),
                .usedGpuMemory = as_ulonglong(memory),
                .gpuInstanceId = device_gi(which),
                .computeInstanceId = device_ci(which),
            };
        ++*found;
    }
}

NVML_API nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t device, unsigned *count,
                                                              nvmlProcessInfo_t *infos)
{
    unsigned found = 0;
    ENTER_DEVICE(device, count && (infos || *count == 0));
    unsigned room = *count;
    Reading told = scenario_reading(which, "process");
    if (scenario_of(which, "process") && told.code != NVML_SUCCESS)
        return library_leave(told.code);
    add_processes(which, infos, room, &found);
    if (which.mig < 0 && device_mig_on(which.gpu))
        for (which.mig = 0; which.mig < MAX_MIGS; which.mig++)
            add_processes(which, infos, room, &found);
    *count = found;
    return library_leave(found > room ? NVML_ERROR_INSUFFICIENT_SIZE : NVML_SUCCESS);
}

NVML_API nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t device, unsigned *count,
                                                               nvmlProcessInfo_t *infos)
{
    ENTER_DEVICE(device, count);
    (void)infos;
    *count = 0;
    return library_leave(NVML_SUCCESS);
}
