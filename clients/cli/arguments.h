/*
 * arguments.h - what was typed, read against tables of flags. Everything wrong is named, with the
 * nearest flag. Values are borrowed from argv. Threads: the one that reads; afterwards any may
 * look.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct flag_row {
    const char *name;    /* "model", typed as --model                                  */
    const char *value;   /* what stands behind it in the help, "NAME"; NULL: a switch  */
    bool repeats;        /* may be given more than once                                */
    const char *meaning; /* one line for the help                                      */
};

struct flag_table {
    const struct flag_row *rows;
    size_t count;
};

enum { ARGUMENTS_TABLES_MAX = 4 };

struct arguments_given {
    const struct flag_row *row;
    const char *value; /* NULL for a switch */
};

struct arguments {
    struct arguments_given *given;
    size_t given_count;
    const char **words; /* what is no flag, in order */
    size_t words_count;
};

/* Reads argv[0..argc); `tables` ends with a row of count 0 or after ARGUMENTS_TABLES_MAX. `--` ends
 * the flags, `-` is a word, `-o` stands for `--output`. On false every fault has been written to
 * `errors`, and nothing is held. */
bool arguments_read(const struct flag_table *tables, int argc, const char *const *argv,
                    FILE *errors, struct arguments *out_arguments);
void arguments_deinit(struct arguments *arguments);

/* The value of a flag that does not repeat, NULL if it was not given. */
const char *arguments_text(const struct arguments *arguments, const char *name);
bool arguments_has(const struct arguments *arguments, const char *name);
/* Of a flag that repeats: how many, and the one at `index`. */
size_t arguments_count(const struct arguments *arguments, const char *name);
const char *arguments_at(const struct arguments *arguments, const char *name, size_t index);

/* The row of that name, without its dashes; NULL if no table has it. */
const struct flag_row *arguments_find_row(const struct flag_table *tables, const char *name,
                                          size_t length);
