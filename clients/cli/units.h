/* units.h - numbers, durations and vectors as people type them. False: it is none, and nothing is
 * written. Threads: any; pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "250ms", "10s", "10min", "24h", "30d"; a bare number is refused, but 0 needs no unit. */
bool units_read_ms(const char *text, uint64_t *out_ms);
bool units_read_number(const char *text, double *out_number);
bool units_read_count(const char *text, uint64_t low, uint64_t high, uint64_t *out_count);

/* "0.1,0.2,-3e-2"; *out_numbers is freed with free(). */
bool units_read_vector(const char *text, float **out_numbers, size_t *out_count);

enum { UNITS_TEXT_MAX = 32 };
/* "1.4 MiB", "3 min 20 s", "812 us": for tables. Returns `out`. */
const char *units_print_bytes(uint64_t bytes, char out[UNITS_TEXT_MAX]);
const char *units_print_ms(uint64_t milliseconds, char out[UNITS_TEXT_MAX]);
const char *units_print_us(uint64_t microseconds, char out[UNITS_TEXT_MAX]);
