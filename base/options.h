/*
 * options.h - named settings with type, default, range and meaning. Rooms own tables of rows,
 * server/settings.c lists the tables. Per key: flag > environment > file > default. `room.name` in
 * the file = `REPRISE_ROOM_NAME` in the environment = `--room-name` as a flag. A value that is
 * given while the process runs (options_change) stands above all four, until it is reset; only rows
 * that say OPTION_LIVE take one. Threads: changed by one at a time, then read by all.
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
/* Beside the type of a row: whoever uses it follows a change while the process runs. */
#define OPTION_LIVE 0x100u

struct option_row {
    const char *name;       /* "server.inflight_max"                                         */
    unsigned type;          /* enum option_type, | OPTION_LIVE                                   */
    const char *standard;   /* the default, as it would be typed; "" = unset (room decides)  */
    const char *low, *high; /* limits as typed, both included; NULL for words and text       */
    const char *choices;    /* OPTION_CHOICE only                                            */
    const char *unit;       /* "calls", "bytes", "entries", ...                              */
    const char *meaning;    /* one sentence                                                  */
};

static inline enum option_type option_type(const struct option_row *row)
{
    return (enum option_type)(row->type & ~OPTION_LIVE);
}

static inline bool option_is_live(const struct option_row *row)
{
    return (row->type & OPTION_LIVE) != 0;
}

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

/* ---- While the process runs ------------------------------------------------- */

/* The same values from the same sources: to try a change on. STATUS_NO_MEMORY. */
enum status options_copy(const struct options *options, struct options **out_copy);

/* From now on this value; NULL: again what it was started with. STATUS_BAD_OPTION: there is no
 * such row, it is not OPTION_LIVE, or the value is outside its limits; NO_MEMORY. The failure's
 * field is the option's name. */
enum status options_change(struct options *options, const char *name, const char *value,
                           struct failure *failure);

/* What the sources say now, read into `fresh`, of rows that are OPTION_LIVE; values given at run
 * time stay above it. `differs` is told of each other row that would need a restart. NO_MEMORY:
 * some have been taken, some not. */
enum status options_take(struct options *options, const struct options *fresh,
                         void (*differs)(void *context, const char *name), void *context);

/* Weakest first. */
enum option_source {
    OPTION_BY_DEFAULT,
    OPTION_BY_FILE,
    OPTION_BY_ENVIRONMENT,
    OPTION_BY_FLAG,
    OPTION_AT_RUN_TIME
};

const char *option_source_name(enum option_source source); /* "default", "run time" */

struct option_view {
    const struct option_row *row;
    enum option_source source;
    const char *value; /* as typed; "": unset                        */
    const char *start; /* what a reset brings back, and the source's */
};
size_t options_count(const struct options *options);
struct option_view options_view(const struct options *options, size_t place);

/* The text without what is nobody's to read: the login of a URL, and what its query calls a key, a
 * token, a secret, a password or a signature, become ***. As far as it fits; returns `out`. */
enum { OPTION_SHOWN_MAX = 1024 };
const char *option_show(const char *text, char out[OPTION_SHOWN_MAX]);

/* name = value (source), one a line; shown as option_show does */
void options_print(const struct options *options, FILE *out);
/* Markdown table of all rows */
void options_describe(const struct options *options, FILE *out);
