/*
 * options.c - named settings: the rows of all rooms in one list, and a value with its source for
 * each. The text that was typed is kept beside the value it means, for printing and for words. A
 * source that is weaker than the one that has spoken is checked all the same, so that a wrong file
 * is found even where a flag hides it.
 *
 * THREADS. Set up by one, then read by all; nothing changes afterwards.
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

struct entry {
    const struct option_row *row;
    enum option_source source;
    char *text; /* as typed, our own copy */
    struct option_value value;
};

struct options {
    size_t count;
    struct entry entries[];
};

static const char *const source_names[] = {"default", "file", "environment", "flag"};

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
    assert((row->choices != NULL) == (row->type == OPTION_CHOICE));
    assert(options_find(options, OPTION_IN_FILE, row->name, strlen(row->name)) == options->count);
    check_limit(row, row->low);
    check_limit(row, row->high);
}

/* Rows are our own: a default that its own row would refuse is a fault. */
static enum status entry_init(struct entry *entry, const struct option_row *row)
{
    entry->row = row;
    entry->source = OPTION_BY_DEFAULT;
    entry->text = strdup(row->standard);
    if (entry->text == NULL)
        return STATUS_NO_MEMORY;
    if (row->standard[0] == '\0')
        return STATUS_OK;
    char problem[OPTION_PROBLEM_MAX];
    enum status status = option_value_parse(row, row->standard, &entry->value, problem);
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
    for (size_t i = 0; i < doomed->count; i++)
        free(doomed->entries[i].text);
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
    free(entry->text);
    entry->text = copy;
    entry->value = value;
    entry->source = source;
    return STATUS_OK;
}

static const struct entry *entry_of(const struct options *options, const char *name)
{
    size_t place = options_find(options, OPTION_IN_FILE, name, strlen(name));
    assert(place < options->count);
    return &options->entries[place];
}

bool options_flag(const struct options *options, const char *name)
{
    const struct entry *entry = entry_of(options, name);
    assert(entry->row->type == OPTION_FLAG);
    return entry->value.flag;
}

uint64_t options_uint(const struct options *options, const char *name)
{
    const struct entry *entry = entry_of(options, name);
    assert(entry->row->type == OPTION_UINT || entry->row->type == OPTION_SIZE);
    return entry->value.whole;
}

uint64_t options_us(const struct options *options, const char *name)
{
    const struct entry *entry = entry_of(options, name);
    assert(entry->row->type == OPTION_DURATION);
    return entry->value.whole;
}

double options_number(const struct options *options, const char *name)
{
    const struct entry *entry = entry_of(options, name);
    assert(entry->row->type == OPTION_NUMBER);
    return entry->value.number;
}

const char *options_text(const struct options *options, const char *name)
{
    const struct entry *entry = entry_of(options, name);
    assert(entry->row->type == OPTION_CHOICE || entry->row->type == OPTION_STRING);
    return entry->text;
}

bool options_is_set(const struct options *options, const char *name)
{
    const struct entry *entry = entry_of(options, name);
    return entry->source != OPTION_BY_DEFAULT || entry->text[0] != '\0';
}

void options_print(const struct options *options, FILE *out)
{
    for (size_t i = 0; i < options->count; i++) {
        const struct entry *entry = &options->entries[i];
        const char *text = entry->text[0] != '\0' ? entry->text : "\"\"";
        (void)fprintf(out, "%s = %s (%s)\n", entry->row->name, text, source_names[entry->source]);
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
    (void)fputs("| option | default | allowed | unit | meaning |\n|---|---|---|---|---|\n", out);
    for (size_t i = 0; i < options->count; i++) {
        const struct option_row *row = options->entries[i].row;
        char range[OPTION_RANGE_MAX];
        option_value_range(row, range);
        (void)fprintf(out, "| `%s` |", row->name);
        print_cell(out, row->standard);
        print_cell(out, range);
        print_cell(out, row->unit != NULL ? row->unit : "");
        print_cell(out, row->meaning);
        (void)fputs("\n", out);
    }
}
