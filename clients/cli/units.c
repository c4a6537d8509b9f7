/*
 * units.c - numbers with units, read strictly and printed shortly. Owns nothing. Threads: any;
 * pure. Durations have the units of the server's options; there a bare number would be a guess, so
 * here too.
 */
#include "clients/cli/units.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct unit {
    const char *name;
    uint64_t ms;
};

static const struct unit durations[] = {
    {"ms", 1}, {"s", 1000}, {"min", 60 * 1000}, {"h", 3600 * 1000}, {"d", 24 * 3600 * 1000},
};

bool units_read_ms(const char *text, uint64_t *out_ms)
{
    if (text[0] < '0' || text[0] > '9')
        return false;
    char *end = NULL;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    if (errno != 0)
        return false;
    if (number == 0 && *end == '\0') {
        *out_ms = 0;
        return true;
    }
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        if (strcmp(end, durations[i].name) != 0)
            continue;
        if (number > UINT64_MAX / durations[i].ms)
            return false;
        *out_ms = number * durations[i].ms;
        return true;
    }
    return false;
}

bool units_read_number(const char *text, double *out_number)
{
    char *end = NULL;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(number) || text[0] == ' ')
        return false;
    *out_number = number;
    return true;
}

bool units_read_count(const char *text, uint64_t low, uint64_t high, uint64_t *out_count)
{
    assert(low <= high);
    if (text[0] < '0' || text[0] > '9')
        return false;
    char *end = NULL;
    errno = 0;
    uint64_t number = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || number < low || number > high)
        return false;
    *out_count = number;
    return true;
}

bool units_read_vector(const char *text, float **out_numbers, size_t *out_count)
{
    size_t count = 1;
    for (const char *at = text; *at != '\0'; at++)
        count += *at == ',';
    float *numbers = calloc(count, sizeof(*numbers));
    if (numbers == NULL)
        return false;
    const char *at = text;
    for (size_t i = 0; i < count; i++) {
        char *end = NULL;
        numbers[i] = strtof(at, &end);
        bool clean = end != at && *end == (i + 1 < count ? ',' : '\0') && isfinite(numbers[i]);
        if (!clean) {
            free(numbers);
            return false;
        }
        at = end + 1;
    }
    *out_numbers = numbers;
    *out_count = count;
    return true;
}

const char *units_print_bytes(uint64_t bytes, char out[UNITS_TEXT_MAX])
{
    static const char *const names[] = {"KiB", "MiB", "GiB", "TiB"};
    if (bytes < 1024) {
        (void)snprintf(out, UNITS_TEXT_MAX, "%" PRIu64 " B", bytes);
        return out;
    }
    double size = (double)bytes / 1024;
    size_t unit = 0;
    while (size >= 1024 && unit + 1 < sizeof(names) / sizeof(names[0])) {
        size /= 1024;
        unit += 1;
    }
    (void)snprintf(out, UNITS_TEXT_MAX, "%.1f %s", size, names[unit]);
    return out;
}

/* The two largest units that say anything. */
const char *units_print_ms(uint64_t milliseconds, char out[UNITS_TEXT_MAX])
{
    static const struct unit names[] = {
        {"d", 24 * 3600 * 1000}, {"h", 3600 * 1000}, {"min", 60 * 1000}, {"s", 1000}, {"ms", 1}};
    size_t unit = 0;
    while (unit < 4 && milliseconds < names[unit].ms)
        unit += 1;
    uint64_t whole = milliseconds / names[unit].ms;
    uint64_t rest = milliseconds % names[unit].ms;
    uint64_t next = unit < 3 ? rest / names[unit + 1].ms : 0; /* beside seconds nothing more */
    if (next > 0)
        (void)snprintf(out, UNITS_TEXT_MAX, "%" PRIu64 " %s %" PRIu64 " %s", whole,
                       names[unit].name, next, names[unit + 1].name);
    else
        (void)snprintf(out, UNITS_TEXT_MAX, "%" PRIu64 " %s", whole, names[unit].name);
    return out;
}

const char *units_print_us(uint64_t microseconds, char out[UNITS_TEXT_MAX])
{
    if (microseconds < 10000)
        (void)snprintf(out, UNITS_TEXT_MAX, "%" PRIu64 " us", microseconds);
    else
        (void)snprintf(out, UNITS_TEXT_MAX, "%.1f ms", (double)microseconds / 1000);
    return out;
}
