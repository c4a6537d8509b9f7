/*
 * options.h - named settings with type, default, range and meaning. Rooms own tables of rows,
 * server/settings.c lists the tables. Per key: flag > environment > file > default. `room.name` in
 * the file = `REPRISE_ROOM_NAME` in the environment = `--room-name` as a flag. Threads: set up by
 * one, then read by all.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/status.h"

enum option_type {
    OPTION_FLAG,     /* true, false                                      */
    OPTION_UINT,     /* whole number                                     */
    OPTION_SIZE,     /* bytes: 512, 64KiB, 4MiB, 1GiB                     */
    OPTION_DURATION, /* kept in microseconds: 30us, 50ms, 10s, 5min, 24h, 30d */
    OPTION_NUMBER,   /* decimal number                                   */
    OPTION_CHOICE,   /* one of the words in `choices`, separated by |    */
    OPTION_STRING,   /* any text                                         */
};

struct option_row {
    const char *name; /* "server.inflight_max"                                         */
    enum option_type type;
    const char *standard;   /* the default, as it would be typed; "" = unset (room decides)  */
    const char *low, *high; /* limits as typed, both included; NULL for words and text       */
    const char *choices;    /* OPTION_CHOICE only                                            */
    const char *unit;       /* "calls", "bytes", "entries", ...                              */
    const char *meaning;    /* one sentence                                                  */
};

struct options;
struct option_table {
    const struct option_row *rows;
    size_t count;
};

enum status options_create(const struct option_table *tables, size_t tables_count,
                           struct options **out_options);
void options_destroy(struct options **options);

/* Each reports every problem as one line to `errors` ("file:line: ..." for files, with the nearest
 * name for an unknown key) and returns STATUS_BAD_OPTION if there was any. Unknown REPRISE_*
 * variables are only warned about. */
enum status options_read_file(struct options *options, const char *path, FILE *errors);
enum status options_read_environment(struct options *options, char *const *environment,
                                     FILE *errors);
/* Takes --room-name=value, --room-name value, and --room-name / --no-room-name for flags. argv[0]
 * is skipped. */
enum status options_read_flags(struct options *options, int argc, char *const *argv, FILE *errors);

/* The name must be in a table and of that type (asserted). Unset ones are false, 0 or "". */
bool options_flag(const struct options *options, const char *name);
uint64_t options_uint(const struct options *options, const char *name); /* UINT, SIZE      */
uint64_t options_us(const struct options *options, const char *name);   /* DURATION        */
double options_number(const struct options *options, const char *name);
const char *options_text(const struct options *options, const char *name); /* CHOICE, STRING  */
/* false: "" and nobody set it */
bool options_is_set(const struct options *options, const char *name);

/* name = value (source), one a line */
void options_print(const struct options *options, FILE *out);
/* Markdown table of all rows */
void options_describe(const struct options *options, FILE *out);
