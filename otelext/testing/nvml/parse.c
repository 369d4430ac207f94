/* From the scenario's text to sorted entries. */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenario.h"

/* Names that may follow `gpu0.` and, but for those of ONLY_GPU, `gpu0.mig0.`. */
static const char *const TEXTS[] = {"name", "pci_bus", "serial", "uuid", NULL};
static const char *const READINGS[] = {
    "clock.memory",       "clock.sm",           "clock.video",     "ecc.corrected", "ecc.uncorrected",    "energy",
    "energy.base",        "fan",                "gpm.graphics",    "gpm.sm",        "gpm.tensor",         "lost",
    "memory.total",       "memory.used",        "nvlink.rx",       "nvlink.tx",     "pcie.rx",            "pcie.tx",
    "power",              "process",            "pstate",          "temperature.gpu", "temperature.memory", "throttle",
    "utilization.gpu",    "utilization.memory", "xid",             NULL,
};
static const char *const ONLY_GPU[] = {"lost", "mig", "pci_bus", "serial", "xid", NULL};
static const char *const ONLY_MIG[] = {"ci", "gi", NULL};
static const char *const FUNCTIONS[] = {
    "nvmlDeviceGetClockInfo",
    "nvmlDeviceGetComputeInstanceId",
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetCount_v2",
    "nvmlDeviceGetCurrentClocksEventReasons",
    "nvmlDeviceGetCurrentClocksThrottleReasons",
    "nvmlDeviceGetDeviceHandleFromMigDeviceHandle",
    "nvmlDeviceGetFanSpeed",
    "nvmlDeviceGetFanSpeed_v2",
    "nvmlDeviceGetFieldValues",
    "nvmlDeviceGetGpuInstanceId",
    "nvmlDeviceGetGraphicsRunningProcesses_v3",
    "nvmlDeviceGetHandleByIndex_v2",
    "nvmlDeviceGetHandleByPciBusId_v2",
    "nvmlDeviceGetHandleByUUID",
    "nvmlDeviceGetIndex",
    "nvmlDeviceGetMaxMigDeviceCount",
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetMigDeviceHandleByIndex",
    "nvmlDeviceGetMigMode",
    "nvmlDeviceGetName",
    "nvmlDeviceGetNumFans",
    "nvmlDeviceGetPcieThroughput",
    "nvmlDeviceGetPciInfo_v3",
    "nvmlDeviceGetPerformanceState",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetSerial",
    "nvmlDeviceGetSupportedEventTypes",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetTemperatureV",
    "nvmlDeviceGetTotalEccErrors",
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceIsMigDeviceHandle",
    "nvmlDeviceRegisterEvents",
    "nvmlEventSetCreate",
    "nvmlEventSetFree",
    "nvmlEventSetWait_v2",
    "nvmlGpmMetricsGet",
    "nvmlGpmMigSampleGet",
    "nvmlGpmQueryDeviceSupport",
    "nvmlGpmSampleAlloc",
    "nvmlGpmSampleFree",
    "nvmlGpmSampleGet",
    "nvmlInitWithFlags",
    "nvmlShutdown",
    "nvmlSystemGetCudaDriverVersion_v2",
    "nvmlSystemGetDriverVersion",
    "nvmlSystemGetNVMLVersion",
    NULL,
};

typedef struct {
    const char *path;
    int line;
} Place;

static bool complain(Place place, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Always false, so that a check can end with it. One write a line: other threads write to standard error too. */
static bool complain(Place place, const char *format, ...)
{
    char said[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(said, sizeof said, format, arguments);
    va_end(arguments);
    fprintf(stderr, "otelext stand-in for NVML: %s, line %d is left out: %s\n", place.path, place.line, said);
    return false;
}

static bool among(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

static bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool ends(const char *text, const char *suffix)
{
    size_t length = strlen(text), rest = strlen(suffix);
    return length >= rest && strcmp(text + length - rest, suffix) == 0;
}

/* Reads the digits at *text and what must follow them; -1 where they aren't there or exceed the most. */
static int number_before(const char **text, const char *after, int most)
{
    const char *digit = *text;
    long number = 0;
    if (!isdigit((unsigned char)*digit))
        return -1;
    for (; isdigit((unsigned char)*digit); digit++)
        if ((number = number * 10 + (*digit - '0')) > most)
            return -1;
    if (!starts(digit, after))
        return -1;
    *text = digit + strlen(after);
    return (int)number;
}

static bool digits_only(const char *text)
{
    return *text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 11;
}

/* Whether the key is one of ours; *gpu is the GPU it names, or -1; *text that its value is no number over time. */
static bool known_key(Place place, const char *key, int *gpu, bool *text)
{
    const char *name = key;
    int mig = -1;
    *gpu = -1;
    *text = false;
    if (strcmp(key, "start") == 0 || strcmp(key, "gpus") == 0)
        return true;
    if (strcmp(key, "driver.version") == 0)
        return *text = true;
    if (starts(key, "call."))
        return among(key + 5, FUNCTIONS) || complain(place, "the stand-in has no function '%s'", key + 5);
    if (!starts(key, "gpu"))
        return complain(place, "'%s' is none of start, gpus, driver.version, gpuN.*, call.*", key);
    name += 3;
    if ((*gpu = number_before(&name, ".", MAX_GPUS - 1)) < 0)
        return complain(place, "'%s' must be gpuN.NAME with N from 0 to %d", key, MAX_GPUS - 1);
    if (starts(name, "mig") && isdigit((unsigned char)name[3])) {
        name += 3;
        if ((mig = number_before(&name, ".", MAX_MIGS - 1)) < 0)
            return complain(place, "'%s' must be gpuN.migK.NAME with K from 0 to %d", key, MAX_MIGS - 1);
    }
    if (mig >= 0 ? among(name, ONLY_GPU) : among(name, ONLY_MIG))
        return complain(place, "'%s' is of a %s, not of a %s", name, mig < 0 ? "MIG device" : "physical GPU",
                        mig < 0 ? "physical GPU" : "MIG device");
    if ((*text = among(name, TEXTS)))
        return true;
    if (among(name, READINGS) || among(name, ONLY_GPU) || among(name, ONLY_MIG))
        return true;
    if (starts(name, "process.") && (strcmp(name + 8, "self") == 0 || digits_only(name + 8)))
        return true;
    if (starts(name, "field.") && digits_only(name + 6))
        return true;
    return complain(place, "there is no reading '%s'", name);
}

static bool finite_number(const char *word, long double *number)
{
    char *end;
    *number = strtold(word, &end);
    return end != word && *end == '\0' && isfinite(*number);
}

static bool parse_value(Place place, const char *key, const char *word, Step *step)
{
    bool call = starts(key, "call.");
    step->kind = NUMBER;
    if (*word == '!') {
        step->kind = ERROR;
        step->error = error_by_name(word + 1, strlen(word + 1));
        return step->error > 0 || complain(place, "'%s' is no NVML error; write one as !NOT_SUPPORTED", word);
    }
    if (call) {
        const char *seconds = starts(word, "hang:") || starts(word, "slow:") ? word + 5 : NULL;
        step->kind = seconds ? WAIT : OK;
        if (seconds ? finite_number(seconds, &step->number) && step->number >= 0 : strcmp(word, "ok") == 0)
            return true;
        return complain(place, "'%s' must be ok, hang:SECONDS, slow:SECONDS or an error such as !UNKNOWN", word);
    }
    if (strcmp(word, "NA") == 0) {
        step->kind = NOT_AVAILABLE;
        return true;
    }
    if (strcmp(word, "from_power") == 0 && ends(key, ".energy")) {
        step->kind = FROM_POWER;
        return true;
    }
    return finite_number(word, &step->number) ||
           complain(place, "'%s' must be a number, NA or an error such as !NOT_SUPPORTED", word);
}

/* VALUE [@SECONDS VALUE]... */
static bool parse_steps(Place place, Entry *entry)
{
    char *rest = NULL, *copy = strdup(entry->text);
    bool good = copy != NULL;
    double at = -INFINITY;
    for (char *word = copy ? strtok_r(copy, " \t", &rest) : NULL; word && good; word = strtok_r(NULL, " \t", &rest)) {
        if (*word == '@') {
            long double seconds;
            if (entry->count == 0)
                good = complain(place, "'%s' must be preceded by the value that holds before", word);
            else if (!finite_number(word + 1, &seconds) || (double)seconds <= at)
                good = complain(place, "'%s' must be @SECONDS, later than the one before", word);
            else if ((at = (double)seconds), !(word = strtok_r(NULL, " \t", &rest)))
                good = complain(place, "a value must follow the last @SECONDS");
            if (!good)
                break;
        } else if (entry->count > 0) {
            good = complain(place, "'%s' must be preceded by @SECONDS", word);
            break;
        }
        Step *grown = realloc(entry->steps, (entry->count + 1) * sizeof *grown);
        if (!grown)
            good = false;
        else {
            entry->steps = grown;
            grown[entry->count] = (Step){.at = at};
            good = parse_value(place, entry->key, word, &grown[entry->count++]);
        }
    }
    free(copy);
    return good;
}

static void entry_clear(Entry *entry)
{
    free(entry->text);
    free(entry->steps);
    *entry = (Entry){0};
}

static char *trimmed(char *text)
{
    char *end;
    text += strspn(text, " \t\r");
    for (end = text + strlen(text); end > text && strchr(" \t\r", end[-1]); end--)
        ;
    *end = '\0';
    return text;
}

bool parse_bus(const char *text, unsigned place[3])
{
    unsigned function;
    if (sscanf(text, "%x:%x:%x.%x", &place[0], &place[1], &place[2], &function) >= 3)
        return true;
    place[0] = 0;
    return sscanf(text, "%x:%x.%x", &place[1], &place[2], &function) >= 2;
}

/* Fills the entry; false if the line holds none, or none that is right. */
static bool parse_line(Place place, char *line, Entry *entry, int *gpu)
{
    char *equals, *key, *value;
    unsigned bus[3];
    bool text;
    for (char *hash = line; (hash = strchr(hash, '#')); hash++)
        if (hash == line || isspace((unsigned char)hash[-1])) {
            *hash = '\0';
            break;
        }
    line = trimmed(line);
    if (!*line)
        return false;
    if (!(equals = strchr(line, '=')))
        return complain(place, "'%.60s' must be key = value", line);
    *equals = '\0';
    key = trimmed(line);
    value = trimmed(equals + 1);
    if (strlen(key) >= KEY_SIZE)
        return complain(place, "'%.60s...' is too long for a key", key);
    if (!known_key(place, key, gpu, &text))
        return false;
    if (!*value)
        return complain(place, "'%s' must have a value", key);
    strcpy(entry->key, key);
    if (!(entry->text = strdup(value)))
        return false;
    if (text && (*value != '!' || *gpu < 0)) /* a device's name may be an error */
        return !ends(key, ".pci_bus") || parse_bus(value, bus) ||
               complain(place, "'%s' must be a PCI bus such as 00000000:01:00.0", value);
    if (!parse_steps(place, entry))
        return false;
    bool whole = entry->count == 1 && entry->steps[0].kind == NUMBER && entry->steps[0].number >= 0;
    if (strcmp(key, "gpus") == 0 && !(whole && entry->steps[0].number <= MAX_GPUS))
        return complain(place, "'%s' must be a number of GPUs from 0 to %d", value, MAX_GPUS);
    if (strcmp(key, "start") == 0 && !(whole && entry->steps[0].number < 0x1p63L))
        return complain(place, "'%s' must be nanoseconds of CLOCK_MONOTONIC", value);
    return true;
}

static int by_key(const void *left, const void *right)
{
    return strcmp(((const Entry *)left)->key, ((const Entry *)right)->key);
}

/* A later line replaces an earlier one, so that a test can append. */
static bool put(Scenario *scenario, const Entry *entry)
{
    for (size_t i = 0; i < scenario->count; i++)
        if (by_key(&scenario->entries[i], entry) == 0) {
            entry_clear(&scenario->entries[i]);
            scenario->entries[i] = *entry;
            return true;
        }
    Entry *grown = realloc(scenario->entries, (scenario->count + 1) * sizeof *grown);
    if (!grown)
        return false;
    grown[scenario->count++] = *entry;
    scenario->entries = grown;
    return true;
}

Scenario *scenario_parse(char *text, const char *path)
{
    Scenario *scenario = calloc(1, sizeof *scenario);
    Place place = {path, 0};
    const Entry *gpus;
    if (!scenario)
        return NULL;
    for (char *line = text, *end; line; line = end) {
        Entry entry = {0};
        int gpu = -1;
        if ((end = strchr(line, '\n')))
            *end++ = '\0';
        place.line++;
        if (!parse_line(place, line, &entry, &gpu) || !put(scenario, &entry))
            entry_clear(&entry);
        else if (gpu >= scenario->gpus)
            scenario->gpus = gpu + 1;
    }
    if (scenario->count)
        qsort(scenario->entries, scenario->count, sizeof(Entry), by_key);
    if ((gpus = scenario_find(scenario, "gpus")))
        scenario->gpus = (int)gpus->steps[0].number;
    return scenario;
}

void scenario_free(Scenario *scenario)
{
    if (!scenario)
        return;
    for (size_t i = 0; i < scenario->count; i++)
        entry_clear(&scenario->entries[i]);
    free(scenario->entries);
    free(scenario);
}

const Entry *scenario_find(const Scenario *scenario, const char *key)
{
    Entry wanted;
    if (!scenario->count || strlen(key) >= KEY_SIZE)
        return NULL;
    strcpy(wanted.key, key);
    return bsearch(&wanted, scenario->entries, scenario->count, sizeof(Entry), by_key);
}
