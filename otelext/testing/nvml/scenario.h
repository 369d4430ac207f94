/* The scenario: a text file that says what each call answers, and when. Its format: the docstring of __init__.py. */
#ifndef OTELEXT_NVML_SCENARIO_H
#define OTELEXT_NVML_SCENARIO_H

#include <stdbool.h>
#include <stddef.h>

#include "abi.h"

enum { MAX_GPUS = 64, MAX_MIGS = 7, KEY_SIZE = 96 };

typedef enum { NUMBER, ERROR, NOT_AVAILABLE, FROM_POWER, OK, WAIT } Kind;

/* What holds from a second on. A long double takes every unsigned 64-bit counter. */
typedef struct {
    double at;
    Kind kind;
    long double number; /* of NUMBER; of WAIT the seconds */
    nvmlReturn_t error; /* of ERROR */
} Step;

typedef struct {
    char key[KEY_SIZE];
    char *text; /* the value as written */
    Step *steps;
    size_t count;
} Entry;

/* A file, parsed: entries sorted by key. */
typedef struct {
    Entry *entries;
    size_t count;
    int gpus;
} Scenario;

/* Parses the text, which it changes; says on standard error what is wrong with a line, and goes on without it. */
Scenario *scenario_parse(char *text, const char *path);
void scenario_free(Scenario *scenario);
/* Domain, bus and device of `00000000:01:00.0`, and of the shorter forms that NVML takes as well. */
bool parse_bus(const char *text, unsigned place[3]);
const Entry *scenario_find(const Scenario *scenario, const char *key);

/* A GPU, or with mig >= 0 one of its MIG devices. */
typedef struct {
    int gpu, mig;
} Which;

/* What a reading gives now. */
typedef struct {
    nvmlReturn_t code;
    bool available; /* false: NVML_VALUE_NOT_AVAILABLE, which is a success */
    long double number;
} Reading;

/* All of these want the library's lock held. */

/* Reads the file if it changed; false while none could be read yet. */
bool scenario_refresh(void);
/* As if nothing had been read yet, and no time had passed. */
void scenario_forget(void);
/* Seconds of the scenario that have passed. */
double scenario_now(void);
int scenario_gpus(void);
/* The driver's version that the file names. */
const char *scenario_driver(void);
/* The line of this key, or NULL. */
const Entry *scenario_entry(const char *key);
const Entry *scenario_of(Which which, const char *name);
/* The entries, of which a loop picks those that begin with a prefix. */
const Entry *scenario_entries(size_t *count);

/* The step that holds at a second. */
const Step *entry_step(const Entry *entry, double at);
Reading scenario_reading(Which which, const char *name);
/* Mean of a reading between two seconds; what it gives at the end where they are one. */
Reading scenario_mean(Which which, const char *name, double from, double to);
/* Copies a text reading, or the default where the file has none. */
nvmlReturn_t scenario_text(Which which, const char *name, const char *otherwise, char *out, size_t size);
/* Whether the file names anything of this MIG device. */
bool scenario_has_mig(Which which);

/* An error by name without NVML_ERROR_, or -1. */
nvmlReturn_t error_by_name(const char *name, size_t length);
const char *error_text(nvmlReturn_t code);

#endif
