/*
 * option_value.h - what was typed, as a value: units, words and limits. Pure. Threads: any.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/options.h"

enum { OPTION_PROBLEM_MAX = 288, OPTION_RANGE_MAX = 160 };

struct option_value {
    bool flag;      /* FLAG                                  */
    uint64_t whole; /* UINT, SIZE (bytes), DURATION (us)     */
    double number;  /* NUMBER; the text is kept by options.c */
};

/* STATUS_BAD_OPTION with a sentence that names the type or the limits, and *out_value untouched. */
enum status option_value_parse(const struct option_row *row, const char *text,
                               struct option_value *out_value,
                               char out_problem[OPTION_PROBLEM_MAX]);

/* What the row allows, for people: "1 to 65536 calls", "text, json", "true, false". */
void option_value_range(const struct option_row *row, char out_range[OPTION_RANGE_MAX]);
