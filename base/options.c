/*
 * options.c - named settings: the rows of all rooms in one list, and a value with its source for
 * each. The text that was typed is kept beside the value it means, for printing and for words. A
 * source that is weaker than the one that has spoken is checked all the same, so that a wrong file
 * is found even where a flag hides it. A value given at run time lies above the one of the start
 * and leaves it as it is, so that there is something to go back to.
 *
 * THREADS. Changed by one at a time, then read by all.
 * NOT HERE. The file (options_file.c), environment and flags (options_argv.c), units and limits
 * (option_value.c), spellings (option_name.c).
 */
#include "base/options.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/option_entry.h"
#include "base/option_value.h"

struct setting {
    char *text; /* as typed, our own copy; NULL: there is none */
    struct option_value value;
};

struct entry {
    const struct option_row *row;
    enum option_source source; /* of `start` */
    struct setting start;      /* always there */
    struct setting run_time;   /* in force where there is one */
};

struct options {
    size_t count;
    struct entry entries[];
};

static const char *const source_names[] = {"default", "file", "environment", "flag", "run time"};

static const struct setting *in_force(const struct entry *entry)
{
    return entry->run_time.text != NULL ? &entry->run_time : &entry->start;
}

/* Takes over the text. */
static void put_setting(struct setting *setting, char *text, const struct option_value *value)
{
    free(setting->text);
    *setting = (struct setting){text, *value};
}

/* A limit that cannot be read would otherwise show itself only to the first operator who sets the
 * option. */
static void check_limit(const struct option_row *row, const char *limit)
{
    struct option_row unlimited = *row;
    unlimited.low = unlimited.high = NULL;
    struct option_value value;
    char problem[OPTION_PROBLEM_MAX];
    enum status status =
        limit != NULL ? option_value_parse(&unlimited, limit, &value, problem) : STATUS_OK;
    assert(status == STATUS_OK);
}

static void check_row(const struct options *options, const struct option_row *row)
{
    assert(row->name != NULL);
    assert(row->standard != NULL);
    assert(row->meaning != NULL);
    assert(strchr(row->name, '.') != NULL); /* room.name */
    assert((row->choices != NULL) == (option_type(row) == OPTION_CHOICE));
    assert(options_find(options, OPTION_IN_FILE, row->name, strlen(row->name)) == options->count);
    check_limit(row, row->low);
    check_limit(row, row->high);
}

/* Rows are our own: a default that its own row would refuse is a fault. */
static enum status entry_init(struct entry *entry, const struct option_row *row)
{
    entry->row = row;
    entry->source = OPTION_BY_DEFAULT;
    entry->start.text = strdup(row->standard);
    if (entry->start.text == NULL)
        return STATUS_NO_MEMORY;
    if (row->standard[0] == '\0')
        return STATUS_OK;
    char problem[OPTION_PROBLEM_MAX];
    enum status status = option_value_parse(row, row->standard, &entry->start.value, problem);
    assert(status == STATUS_OK);
    return status;
}

enum status options_create(const struct option_table *tables, size_t tables_count,
                           struct options **out_options)
{
    size_t count = 0;
    for (size_t i = 0; i < tables_count; i++)
        count += tables[i].count;
    struct options *options = calloc(1, sizeof(*options) + count * sizeof(options->entries[0]));
    if (options == NULL)
        return STATUS_NO_MEMORY;
    for (size_t i = 0; i < tables_count; i++) {
        for (size_t j = 0; j < tables[i].count; j++) {
            check_row(options, &tables[i].rows[j]);
            struct entry *entry = &options->entries[options->count++];
            if (entry_init(entry, &tables[i].rows[j]) != STATUS_OK)
                goto destroy_options;
        }
    }
    *out_options = options;
    return STATUS_OK;

destroy_options:
    options_destroy(&options);
    return STATUS_NO_MEMORY;
}

void options_destroy(struct options **options)
{
    struct options *doomed = *options;
    if (doomed == NULL)
        return;
    *options = NULL;
    for (size_t i = 0; i < doomed->count; i++) {
        free(doomed->entries[i].start.text);
        free(doomed->entries[i].run_time.text);
    }
    free(doomed);
}

size_t options_count(const struct options *options)
{
    return options->count;
}

const struct option_row *options_row(const struct options *options, size_t place)
{
    assert(place < options->count);
    return options->entries[place].row;
}

size_t options_find(const struct options *options, enum option_spelling spelling, const char *typed,
                    size_t length)
{
    size_t place = 0;
    while (place < options->count &&
           !option_name_matches(options->entries[place].row->name, spelling, typed, length))
        place++;
    return place;
}

/* Near enough: a third of its letters may be wrong, two in a short name. */
const char *options_nearest(const struct options *options, enum option_spelling spelling,
                            const char *typed, size_t length, char out_spelt[OPTION_NAME_MAX])
{
    size_t limit = length / 3 > 2 ? length / 3 : 2;
    const char *nearest = NULL;
    for (size_t i = 0; i < options->count; i++) {
        char spelt[OPTION_NAME_MAX];
        option_name_spell(options->entries[i].row->name, spelling, spelt);
        size_t distance = option_name_distance(typed, length, spelt, strlen(spelt));
        if (distance > limit || (nearest != NULL && distance == limit))
            continue;
        limit = distance;
        nearest = memcpy(out_spelt, spelt, sizeof(spelt));
    }
    return nearest;
}

enum status options_offer(struct options *options, size_t place, const char *text,
                          enum option_source source, const char *where, FILE *errors)
{
    assert(place < options->count);
    assert(source != OPTION_BY_DEFAULT);
    struct entry *entry = &options->entries[place];
    struct option_value value;
    char problem[OPTION_PROBLEM_MAX];
    enum status status = option_value_parse(entry->row, text, &value, problem);
    if (status != STATUS_OK) {
        (void)fprintf(errors, "%s: %s: %s\n", where, entry->row->name, problem);
        return status;
    }
    if (source < entry->source)
        return STATUS_OK;
    char *copy = strdup(text);
    if (copy == NULL)
        return STATUS_NO_MEMORY;
    put_setting(&entry->start, copy, &value);
    entry->source = source;
    return STATUS_OK;
}

/* ---- While the process runs ------------------------------------------------- */

static enum status copy_setting(const struct setting *from, struct setting *to)
{
    if (from->text == NULL)
        return STATUS_OK;
    char *text = strdup(from->text);
    if (text == NULL)
        return STATUS_NO_MEMORY;
    put_setting(to, text, &from->value);
    return STATUS_OK;
}

enum status options_copy(const struct options *options, struct options **out_copy)
{
    const size_t size = sizeof(*options) + options->count * sizeof(options->entries[0]);
    struct options *copy = calloc(1, size);
    if (copy == NULL)
        return STATUS_NO_MEMORY;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < options->count && status == STATUS_OK; i++) {
        const struct entry *from = &options->entries[i];
        struct entry *to = &copy->entries[copy->count++];
        to->row = from->row;
        to->source = from->source;
        status = copy_setting(&from->start, &to->start);
        if (status == STATUS_OK)
            status = copy_setting(&from->run_time, &to->run_time);
    }
    if (status == STATUS_OK)
        *out_copy = copy;
    else
        options_destroy(&copy);
    return status;
}

static enum status refuse_unknown(const struct options *options, const char *name,
                                  struct failure *failure)
{
    char spelt[OPTION_NAME_MAX];
    const char *nearest = options_nearest(options, OPTION_IN_FILE, name, strlen(name), spelt);
    return failure_set(failure, STATUS_BAD_OPTION, name, "there is no such option%s%s%s",
                       nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                       nearest != NULL ? "?" : "");
}

enum status options_change(struct options *options, const char *name, const char *value,
                           struct failure *failure)
{
    const size_t place = options_find(options, OPTION_IN_FILE, name, strlen(name));
    if (place == options->count)
        return refuse_unknown(options, name, failure);
    struct entry *entry = &options->entries[place];
    if (!option_is_live(entry->row))
        return failure_set(failure, STATUS_BAD_OPTION, name, "it changes with a restart only");
    struct option_value parsed = {0};
    if (value == NULL) {
        put_setting(&entry->run_time, NULL, &parsed);
        return STATUS_OK;
    }
    char problem[OPTION_PROBLEM_MAX];
    const enum status status = option_value_parse(entry->row, value, &parsed, problem);
    if (status != STATUS_OK)
        return failure_set(failure, status, name, "%s", problem);
    char *text = strdup(value);
    if (text == NULL)
        return failure_set(failure, STATUS_NO_MEMORY, name, "%s", status_text(STATUS_NO_MEMORY));
    put_setting(&entry->run_time, text, &parsed);
    return STATUS_OK;
}

enum status options_take(struct options *options, const struct options *fresh,
                         void (*differs)(void *context, const char *name), void *context)
{
    assert(options->count == fresh->count);
    for (size_t i = 0; i < options->count; i++) {
        struct entry *entry = &options->entries[i];
        const struct entry *from = &fresh->entries[i];
        assert(entry->row == from->row);
        const bool same = strcmp(entry->start.text, from->start.text) == 0;
        if (!option_is_live(entry->row)) {
            if (!same)
                differs(context, entry->row->name);
            continue;
        }
        if (!same && copy_setting(&from->start, &entry->start) != STATUS_OK)
            return STATUS_NO_MEMORY;
        entry->source = from->source;
    }
    return STATUS_OK;
}

struct option_view options_view(const struct options *options, size_t place)
{
    assert(place < options->count);
    const struct entry *entry = &options->entries[place];
    return (struct option_view){
        .row = entry->row,
        .source = entry->run_time.text != NULL ? OPTION_AT_RUN_TIME : entry->source,
        .value = in_force(entry)->text,
        .start = entry->start.text,
    };
}

const char *option_source_name(enum option_source source)
{
    return source_names[source];
}

/* ---- Values ----------------------------------------------------------------- */

static const struct entry *entry_of(const struct options *options, const char *name)
{
    size_t place = options_find(options, OPTION_IN_FILE, name, strlen(name));
    assert(place < options->count);
    return &options->entries[place];
}

bool options_flag(const struct options *options, const char *name)
{
    const struct entry *entry = entry_of(options, name);
    assert(option_type(entry->row) == OPTION_FLAG);
    return in_force(entry)->value.flag;
}

uint64_t options_uint(const struct options *options, const char *name)
{
    const struct entry *entry = entry_of(options, name);
    assert(option_type(entry->row) == OPTION_UINT || option_type(entry->row) == OPTION_SIZE);
    return in_force(entry)->value.whole;
}

uint64_t options_us(const struct options *options, const char *name)
{
    const struct entry *entry = entry_of(options, name);
    assert(option_type(entry->row) == OPTION_DURATION);
    return in_force(entry)->value.whole;
}

double options_number(const struct options *options, const char *name)
{
    const struct entry *entry = entry_of(options, name);
    assert(option_type(entry->row) == OPTION_NUMBER);
    return in_force(entry)->value.number;
}

const char *options_text(const struct options *options, const char *name)
{
    const struct entry *entry = entry_of(options, name);
    assert(option_type(entry->row) == OPTION_CHOICE || option_type(entry->row) == OPTION_STRING);
    return in_force(entry)->text;
}

bool options_is_set(const struct options *options, const char *name)
{
    const struct entry *entry = entry_of(options, name);
    return entry->run_time.text != NULL || entry->source != OPTION_BY_DEFAULT ||
           entry->start.text[0] != '\0';
}

void options_print(const struct options *options, FILE *out)
{
    for (size_t i = 0; i < options->count; i++) {
        const struct option_view view = options_view(options, i);
        char shown[OPTION_SHOWN_MAX];
        const char *text = view.value[0] != '\0' ? option_show(view.value, shown) : "\"\"";
        (void)fprintf(out, "%s = %s (%s)\n", view.row->name, text, source_names[view.source]);
    }
}

/* A bar would end the cell. */
static void print_cell(FILE *out, const char *text)
{
    (void)fputs(" ", out);
    for (; *text != '\0'; text++)
        (void)fprintf(out, *text == '|' ? "\\%c" : "%c", *text);
    (void)fputs(" |", out);
}

void options_describe(const struct options *options, FILE *out)
{
    (void)fputs("| option | default | allowed | unit | changes | meaning |\n"
                "|---|---|---|---|---|---|\n",
                out);
    for (size_t i = 0; i < options->count; i++) {
        const struct option_row *row = options->entries[i].row;
        char range[OPTION_RANGE_MAX];
        option_value_range(row, range);
        (void)fprintf(out, "| `%s` |", row->name);
        print_cell(out, row->standard);
        print_cell(out, range);
        print_cell(out, row->unit != NULL ? row->unit : "");
        print_cell(out, option_is_live(row) ? "live" : "at a restart");
        print_cell(out, row->meaning);
        (void)fputs("\n", out);
    }
}
