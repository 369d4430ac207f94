/* Loading, initialisation, the lock, and what the scenario does to every call. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "library.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int initialised;
static char loaded_driver[80];

static void take(void)
{
    pthread_mutex_lock(&lock);
}

static void give(void)
{
    pthread_mutex_unlock(&lock);
}

/* A library belongs to the driver that it was installed with: the one that the scenario names at the load. */
static void remember_driver(void)
{
    if (!loaded_driver[0] && scenario_refresh())
        snprintf(loaded_driver, sizeof loaded_driver, "%s", scenario_driver());
}

__attribute__((constructor)) static void load(void)
{
    /* A child forked while another thread is in a call would otherwise find the lock taken for ever. */
    pthread_atfork(take, give, give);
    take();
    remember_driver();
    give();
}

/* As if the library had just been loaded: for several tests in one process, which can't unload it. */
NVML_API void otelext_nvml_reload(void)
{
    take();
    initialised = 0;
    loaded_driver[0] = '\0';
    scenario_forget();
    remember_driver();
    give();
}

static void sleep_slice(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* With the lock held: what becomes of the call by the scenario alone. Waits without the lock. */
static nvmlReturn_t follow(const char *function)
{
    char key[KEY_SIZE];
    double begun = seconds();
    snprintf(key, sizeof key, "call.%s", function);
    while (scenario_refresh()) {
        const Entry *entry = scenario_entry(key);
        const Step *step = entry ? entry_step(entry, scenario_now()) : NULL;
        if (step && step->kind == ERROR)
            return step->error;
        if (!step || step->kind != WAIT || seconds() - begun >= (double)step->number)
            return NVML_SUCCESS;
        give();
        sleep_slice();
        take();
    }
    const char *path = getenv("OTELEXT_NVML_SCENARIO");
    fprintf(stderr, "otelext stand-in for NVML: OTELEXT_NVML_SCENARIO must name a file with a scenario, not '%s'\n",
            path ? path : "");
    return NVML_ERROR_DRIVER_NOT_LOADED;
}

static nvmlReturn_t begin(const char *function, bool needs_initialised, bool needs_driver)
{
    nvmlReturn_t result;
    take();
    result = needs_initialised && !initialised ? NVML_ERROR_UNINITIALIZED : follow(function);
    if (result == NVML_SUCCESS && needs_initialised && !initialised) /* shut down while it waited */
        result = NVML_ERROR_UNINITIALIZED;
    if (result == NVML_SUCCESS) {
        remember_driver();
        if (needs_driver && strcmp(loaded_driver, scenario_driver()) != 0)
            result = NVML_ERROR_LIB_RM_VERSION_MISMATCH;
    }
    if (result != NVML_SUCCESS)
        give();
    return result;
}

nvmlReturn_t library_enter(const char *function)
{
    return begin(function, true, true);
}

nvmlReturn_t library_leave(nvmlReturn_t result)
{
    give();
    return result;
}

nvmlReturn_t library_rest(void)
{
    give();
    sleep_slice();
    take();
    if (!initialised)
        return NVML_ERROR_UNINITIALIZED;
    scenario_refresh();
    return NVML_SUCCESS;
}

NVML_API nvmlReturn_t nvmlInitWithFlags(unsigned flags)
{
    nvmlReturn_t result = begin(__func__, false, true);
    (void)flags;
    if (result != NVML_SUCCESS)
        return result;
    initialised++;
    return library_leave(NVML_SUCCESS);
}

NVML_API nvmlReturn_t nvmlShutdown(void)
{
    nvmlReturn_t result = begin(__func__, true, false);
    if (result != NVML_SUCCESS)
        return result;
    initialised--;
    return library_leave(NVML_SUCCESS);
}

NVML_API const char *nvmlErrorString(nvmlReturn_t result)
{
    return error_text(result);
}

static nvmlReturn_t copied(const char *text, char *out, unsigned size)
{
    if (!out)
        return NVML_ERROR_INVALID_ARGUMENT;
    if (strlen(text) >= size)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(out, text);
    return NVML_SUCCESS;
}

NVML_API nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned length)
{
    ENTER();
    return library_leave(copied(loaded_driver, version, length));
}

NVML_API nvmlReturn_t nvmlSystemGetNVMLVersion(char *version, unsigned length)
{
    char text[sizeof loaded_driver + 8];
    nvmlReturn_t result = begin(__func__, false, false); /* tells of the library itself */
    if (result != NVML_SUCCESS)
        return result;
    snprintf(text, sizeof text, "12.%s", loaded_driver);
    return library_leave(copied(text, version, length));
}

NVML_API nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *version)
{
    ENTER();
    if (!version)
        return library_leave(NVML_ERROR_INVALID_ARGUMENT);
    *version = 12080;
    return library_leave(NVML_SUCCESS);
}
