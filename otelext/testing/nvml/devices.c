/* GPUs and MIG devices: how many, which, and what they are called. */
#define _POSIX_C_SOURCE 200809L
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "library.h"

/* A handle's address says which device it is, and is the same in every run of nvmlInit. */
static struct nvmlDevice handles[MAX_GPUS][1 + MAX_MIGS];

nvmlDevice_t device_handle(Which which)
{
    nvmlDevice_t handle = &handles[which.gpu][which.mig + 1];
    handle->which = which;
    return handle;
}

bool device_mig_on(int gpu)
{
    Which which = {gpu, -1};
    if (scenario_of(which, "mig"))
        return scenario_reading(which, "mig").number != 0;
    for (which.mig = 0; which.mig < MAX_MIGS; which.mig++)
        if (scenario_has_mig(which))
            return true;
    return false;
}

nvmlReturn_t device_check(Which which)
{
    if (which.gpu >= scenario_gpus() || scenario_reading((Which){which.gpu, -1}, "lost").number != 0)
        return NVML_ERROR_GPU_IS_LOST;
    if (which.mig >= 0 && (!device_mig_on(which.gpu) || !scenario_has_mig(which)))
        return NVML_ERROR_INVALID_ARGUMENT;
    return NVML_SUCCESS;
}

nvmlReturn_t device_which(nvmlDevice_t handle, Which *which)
{
    uintptr_t address = (uintptr_t)handle, first = (uintptr_t)handles;
    if (address < first || address >= first + sizeof handles || (address - first) % sizeof handles[0][0])
        return NVML_ERROR_INVALID_ARGUMENT;
    *which = handle->which;
    return device_check(*which);
}

static unsigned instance(Which which, const char *name, unsigned otherwise)
{
    Reading reading = scenario_reading(which, name);
    return which.mig < 0 ? UINT_MAX : reading.available ? as_uint(reading) : otherwise;
}

unsigned device_gi(Which which)
{
    return instance(which, "gi", (unsigned)which.mig + 1);
}

unsigned device_ci(Which which)
{
    return instance(which, "ci", 0);
}

static nvmlReturn_t uuid_of(Which which, char *out, size_t size)
{
    char otherwise[48];
    if (which.mig < 0)
        snprintf(otherwise, sizeof otherwise, "GPU-%08x-0000-4000-8000-000000000000", (unsigned)which.gpu);
    else
        snprintf(otherwise, sizeof otherwise, "MIG-%08x-%04x-5000-8000-000000000000", (unsigned)which.gpu,
                 (unsigned)which.mig);
    return scenario_text(which, "uuid", otherwise, out, size);
}

static nvmlReturn_t name_of(Which which, char *out, size_t size)
{
    char otherwise[96] = "NVIDIA Stand-in";
    if (which.mig >= 0) {
        nvmlReturn_t result = name_of((Which){which.gpu, -1}, otherwise, sizeof otherwise - 8);
        if (result != NVML_SUCCESS)
            return result;
        strcat(otherwise, " MIG 1g");
    }
    return scenario_text(which, "name", otherwise, out, size);
}

static nvmlReturn_t bus_of(int gpu, unsigned place[3])
{
    char text[32], otherwise[32];
    snprintf(otherwise, sizeof otherwise, "00000000:%02X:00.0", (unsigned)gpu + 1);
    nvmlReturn_t result = scenario_text((Which){gpu, -1}, "pci_bus", otherwise, text, sizeof text);
    return result != NVML_SUCCESS || parse_bus(text, place) ? result : NVML_ERROR_NOT_FOUND;
}

NVML_API nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count)
{
    ENTER();
    if (!count)
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    *count = (unsigned)scenario_gpus();
    return library_leave(NVML_SUCCESS);
}

/* With the lock held: gives the handle of a device that is there, and the lock back. */
static nvmlReturn_t found(Which which, nvmlDevice_t *device)
{
    nvmlReturn_t result = device_check(which);
    if (result == NVML_SUCCESS)
        *device = device_handle(which);
    return library_leave(result);
}

NVML_API nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *device)
{
    ENTER();
    if (!device || index >= (unsigned)scenario_gpus())
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    return found((Which){(int)index, -1}, device);
}

NVML_API nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *device)
{
    char text[96];
    ENTER();
    if (!uuid || !device)
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    for (int gpu = 0; gpu < scenario_gpus(); gpu++)
        for (int mig = -1; mig < (device_mig_on(gpu) ? MAX_MIGS : 0); mig++) {
            Which which = {gpu, mig};
            if ((mig < 0 || scenario_has_mig(which)) && uuid_of(which, text, sizeof text) == NVML_SUCCESS &&
                strcmp(text, uuid) == 0)
                return found(which, device);
        }
    return library_leave(NVML_ERROR_NOT_FOUND);
}

NVML_API nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *bus, nvmlDevice_t *device)
{
    unsigned wanted[3], place[3];
    ENTER();
    if (!bus || !device || !parse_bus(bus, wanted))
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    for (int gpu = 0; gpu < scenario_gpus(); gpu++)
        if (bus_of(gpu, place) == NVML_SUCCESS && memcmp(wanted, place, sizeof place) == 0)
            return found((Which){gpu, -1}, device);
    return library_leave(NVML_ERROR_NOT_FOUND);
}

NVML_API nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t device, unsigned *index)
{
    ENTER_DEVICE(device, index);
    *index = (unsigned)(which.mig < 0 ? which.gpu : which.mig);
    return library_leave(NVML_SUCCESS);
}

NVML_API nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned length)
{
    ENTER_DEVICE(device, uuid);
    return library_leave(uuid_of(which, uuid, length));
}

NVML_API nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned length)
{
    ENTER_DEVICE(device, name);
    return library_leave(name_of(which, name, length));
}

NVML_API nvmlReturn_t nvmlDeviceGetSerial(nvmlDevice_t device, char *serial, unsigned length)
{
    char otherwise[32];
    ENTER_DEVICE(device, serial);
    snprintf(otherwise, sizeof otherwise, "13200%08u", (unsigned)which.gpu);
    which.mig = -1;
    return library_leave(scenario_text(which, "serial", otherwise, serial, length));
}

NVML_API nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *pci)
{
    unsigned place[3];
    nvmlReturn_t result;
    ENTER_DEVICE(device, pci);
    if ((result = bus_of(which.gpu, place)) != NVML_SUCCESS)
        return library_leave(result);
    memset(pci, 0, sizeof *pci);
    pci->domain = place[0];
    pci->bus = place[1];
    pci->device = place[2];
    pci->pciDeviceId = 0x233010DE;
    pci->pciSubSystemId = 0x16C110DE;
    snprintf(pci->busId, sizeof pci->busId, "%08X:%02X:%02X.0", place[0], place[1], place[2]);
    snprintf(pci->busIdLegacy, sizeof pci->busIdLegacy, "%04X:%02X:%02X.0", place[0] & 0xFFFF, place[1] & 0xFF,
             place[2] & 0xFF);
    return library_leave(NVML_SUCCESS);
}

NVML_API nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned *mode, unsigned *pending)
{
    ENTER_DEVICE(device, mode && pending);
    if (which.mig >= 0)
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    Reading told = scenario_reading(which, "mig");
    if (!device_mig_on(which.gpu) && told.code != NVML_SUCCESS)
        return library_leave(told.code);
    *mode = *pending = device_mig_on(which.gpu);
    return library_leave(NVML_SUCCESS);
}

NVML_API nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned *count)
{
    ENTER_DEVICE(device, count);
    *count = which.mig < 0 && device_mig_on(which.gpu) ? MAX_MIGS : 0;
    return library_leave(NVML_SUCCESS);
}

NVML_API nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned index, nvmlDevice_t *mig)
{
    ENTER_DEVICE(device, mig);
    if (which.mig >= 0 || index >= MAX_MIGS)
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    if (!device_mig_on(which.gpu))
        return library_leave(NVML_ERROR_NOT_SUPPORTED);
    which.mig = (int)index;
    if (!scenario_has_mig(which))
        return library_leave(NVML_ERROR_NOT_FOUND);
    return found(which, mig);
}

NVML_API nvmlReturn_t nvmlDeviceGetDeviceHandleFromMigDeviceHandle(nvmlDevice_t mig, nvmlDevice_t *device)
{
    ENTER_DEVICE(mig, device);
    if (which.mig < 0)
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    return found((Which){which.gpu, -1}, device);
}

NVML_API nvmlReturn_t nvmlDeviceIsMigDeviceHandle(nvmlDevice_t device, unsigned *is_mig)
{
    ENTER_DEVICE(device, is_mig);
    *is_mig = which.mig >= 0;
    return library_leave(NVML_SUCCESS);
}

NVML_API nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t device, unsigned *id)
{
    ENTER_DEVICE(device, id);
    *id = device_gi(which);
    return library_leave(which.mig < 0 ? NVML_ERROR_INVALID_ARGUMENT : NVML_SUCCESS);
}

NVML_API nvmlReturn_t nvmlDeviceGetComputeInstanceId(nvmlDevice_t device, unsigned *id)
{
    ENTER_DEVICE(device, id);
    *id = device_ci(which);
    return library_leave(which.mig < 0 ? NVML_ERROR_INVALID_ARGUMENT : NVML_SUCCESS);
}
