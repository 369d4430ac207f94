/* The scenario over time: which file holds now, which second it is, and what a reading gives then. */
#define _POSIX_C_SOURCE 200809L
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "scenario.h"

enum { CHECK_MS = 10, MOST_BYTES = 4 << 20 };

static Scenario *current;
static struct stat seen;
static long long loaded_ns, checked_ns;

static long long monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static bool same_file(const struct stat *left, const struct stat *right)
{
    return left->st_ino == right->st_ino && left->st_size == right->st_size &&
           left->st_mtim.tv_sec == right->st_mtim.tv_sec && left->st_mtim.tv_nsec == right->st_mtim.tv_nsec;
}

static char *content(int file, size_t size)
{
    char *text = malloc(size + 1);
    size_t got = 0;
    ssize_t count;
    if (!text)
        return NULL;
    while (got < size && (count = read(file, text + got, size - got)) > 0)
        got += (size_t)count;
    text[got] = '\0';
    return text;
}

bool scenario_refresh(void)
{
    const char *path = getenv("OTELEXT_NVML_SCENARIO");
    long long now = monotonic_ns();
    struct stat found;
    if (!loaded_ns)
        loaded_ns = now;
    if (!path || (current && now - checked_ns < CHECK_MS * 1000000LL))
        return current != NULL;
    checked_ns = now;
    if (current && (stat(path, &found) || same_file(&found, &seen)))
        return true;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return current != NULL;
    /* An empty file is one that is just being written anew: what was read before holds a moment longer. */
    if (!fstat(file, &found) && found.st_size > 0 && found.st_size <= MOST_BYTES) {
        char *text = content(file, (size_t)found.st_size);
        Scenario *parsed = text ? scenario_parse(text, path) : NULL;
        if (parsed) {
            scenario_free(current);
            current = parsed;
            seen = found;
        }
        free(text);
    }
    close(file);
    return current != NULL;
}

void scenario_forget(void)
{
    scenario_free(current);
    current = NULL;
    loaded_ns = 0;
}

double scenario_now(void)
{
    const Entry *start = scenario_entry("start");
    bool named = start && start->steps[0].kind == NUMBER;
    return (double)(monotonic_ns() - (named ? (long long)start->steps[0].number : loaded_ns)) / 1e9;
}

int scenario_gpus(void)
{
    return current->gpus;
}

const char *scenario_driver(void)
{
    const Entry *entry = scenario_entry("driver.version");
    return entry ? entry->text : "570.86.15";
}

const Entry *scenario_entry(const char *key)
{
    return scenario_find(current, key);
}

const Entry *scenario_entries(size_t *count)
{
    *count = current->count;
    return current->entries;
}

static void key_of(Which which, const char *name, char key[KEY_SIZE])
{
    if (which.mig < 0)
        snprintf(key, KEY_SIZE, "gpu%d.%s", which.gpu, name);
    else
        snprintf(key, KEY_SIZE, "gpu%d.mig%d.%s", which.gpu, which.mig, name);
}

const Entry *scenario_of(Which which, const char *name)
{
    char key[KEY_SIZE];
    key_of(which, name, key);
    return scenario_entry(key);
}

const Step *entry_step(const Entry *entry, double at)
{
    const Step *step = entry->steps;
    for (size_t i = 1; i < entry->count && entry->steps[i].at <= at; i++)
        step = &entry->steps[i];
    return step;
}

/* Over the seconds between in which there is a value, which are counted as well. */
static long double integral(const Entry *entry, double from, double to, double *covered)
{
    long double sum = 0;
    *covered = 0;
    for (size_t i = 0; entry && i < entry->count; i++) {
        double begin = entry->steps[i].at, end = i + 1 < entry->count ? entry->steps[i + 1].at : to;
        begin = begin > from ? begin : from;
        end = end < to ? end : to;
        if (entry->steps[i].kind == NUMBER && end > begin) {
            sum += entry->steps[i].number * (end - begin);
            *covered += end - begin;
        }
    }
    return sum;
}

static Reading reading_at(Which which, const char *name, double at)
{
    const Entry *entry = scenario_of(which, name);
    if (!entry)
        return (Reading){.code = NVML_ERROR_NOT_SUPPORTED};
    const Step *step = entry_step(entry, at);
    if (step->kind == ERROR)
        return (Reading){.code = step->error};
    if (step->kind == NOT_AVAILABLE)
        return (Reading){.available = false};
    if (step->kind == NUMBER)
        return (Reading){.available = true, .number = step->number};
    Reading base = reading_at(which, "energy.base", at);
    double covered;
    long double sum = base.number + integral(scenario_of(which, "power"), 0, at, &covered);
    return (Reading){.available = true, .number = sum > 0 ? sum : 0};
}

Reading scenario_reading(Which which, const char *name)
{
    return reading_at(which, name, scenario_now());
}

Reading scenario_mean(Which which, const char *name, double from, double to)
{
    Reading last = reading_at(which, name, to);
    double covered;
    long double sum = integral(scenario_of(which, name), from, to, &covered);
    if (last.code == NVML_SUCCESS && last.available && covered > 0)
        last.number = sum / covered;
    return last;
}

nvmlReturn_t scenario_text(Which which, const char *name, const char *otherwise, char *out, size_t size)
{
    const Entry *entry = scenario_of(which, name);
    const char *text = entry ? entry->text : otherwise;
    if (entry && entry->count && entry->steps[0].kind == ERROR)
        return entry->steps[0].error;
    if (strlen(text) >= size)
        return NVML_ERROR_INSUFFICIENT_SIZE;
    strcpy(out, text);
    return NVML_SUCCESS;
}

bool scenario_has_mig(Which which)
{
    char prefix[KEY_SIZE];
    key_of(which, "", prefix);
    for (size_t i = 0; i < current->count; i++)
        if (strncmp(current->entries[i].key, prefix, strlen(prefix)) == 0)
            return true;
    return false;
}
