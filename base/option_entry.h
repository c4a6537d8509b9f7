/*
 * option_entry.h - how the sources (options_file.c, options_argv.c) hand values to options.c. Not
 * for other folders.
 */
#pragma once
#include <stddef.h>
#include <stdio.h>

#include "base/option_name.h"
#include "base/options.h"

/* The place of the row with this spelling, or options_count() if there is none. */
size_t options_find(const struct options *options, enum option_spelling spelling, const char *typed,
                    size_t length);
const struct option_row *options_row(const struct options *options, size_t place);

/* The spelt name nearest to what was typed, if it is near enough to be meant; else NULL. */
const char *options_nearest(const struct options *options, enum option_spelling spelling,
                            const char *typed, size_t length, char out_spelt[OPTION_NAME_MAX]);

/* Checks the text and keeps it unless a stronger source has spoken. Reports a problem as one line
 * after `where`. */
enum status options_offer(struct options *options, size_t place, const char *text,
                          enum option_source source, const char *where, FILE *errors);

/* Keeps the first failure of several, so that all of them can be reported. */
static inline void options_note(enum status *first, enum status status)
{
    if (*first == STATUS_OK)
        *first = status;
}
