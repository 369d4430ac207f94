/* What every call begins and ends with. */
#ifndef OTELEXT_NVML_LIBRARY_H
#define OTELEXT_NVML_LIBRARY_H

#include "scenario.h"

struct nvmlDevice {
    Which which;
};

/* Takes the lock, if the call may go on: initialised, neither told to fail nor of another version than the driver.
 * A call that the scenario lets wait does so without the lock, until its time is over or the file says otherwise. */
nvmlReturn_t library_enter(const char *function);
/* Gives the lock back, and the result. */
nvmlReturn_t library_leave(nvmlReturn_t result);
/* Waits a moment without the lock; the library may be shut down when it has it again. */
nvmlReturn_t library_rest(void);

/* Begins a function: returns from it where `library_enter` says so. */
#define ENTER()                                               \
    do {                                                      \
        nvmlReturn_t entered = library_enter(__func__);       \
        if (entered != NVML_SUCCESS)                          \
            return entered;                                   \
    } while (0)

nvmlDevice_t device_handle(Which which);
/* Which device a handle is; GPU_IS_LOST and INVALID_ARGUMENT where it is none any more. */
nvmlReturn_t device_which(nvmlDevice_t handle, Which *which);
nvmlReturn_t device_check(Which which);
bool device_mig_on(int gpu);
/* Of a MIG device: its GPU instance and compute instance. */
unsigned device_gi(Which which);
unsigned device_ci(Which which);

/* Begins a function of a device, which it declares as `which`; returns where the device or the place for the answer
 * is missing. */
#define ENTER_DEVICE(handle, out)                                            \
    Which which;                                                             \
    ENTER();                                                                 \
    do {                                                                     \
        nvmlReturn_t there = device_which(handle, &which);                   \
        if (there == NVML_SUCCESS && !(out))                                 \
            there = NVML_ERROR_INVALID_ARGUMENT;                             \
        if (there != NVML_SUCCESS)                                           \
            return library_leave(there);                                     \
    } while (0)

/* A reading as the C types that NVML gives, NVML_VALUE_NOT_AVAILABLE included. */
unsigned as_uint(Reading reading);
unsigned long long as_ulonglong(Reading reading);

#endif
