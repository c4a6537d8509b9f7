/*
 * arguments.c - flags and words. Owns the lists that arguments_read makes, never the texts in them.
 * getopt_long was rejected: it guesses at abbreviations, says little about what is wrong, and keeps
 * its state in globals. Threads: one reads; afterwards any may look.
 */
#include "clients/cli/arguments.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "clients/cli/nearest.h"

const struct flag_row *arguments_find_row(const struct flag_table *tables, const char *name,
                                          size_t length)
{
    for (size_t t = 0; t < ARGUMENTS_TABLES_MAX && tables[t].count > 0; t++) {
        for (size_t i = 0; i < tables[t].count; i++) {
            const struct flag_row *row = &tables[t].rows[i];
            if (strlen(row->name) == length && memcmp(row->name, name, length) == 0)
                return row;
        }
    }
    return NULL;
}

static void complain_unknown(const struct flag_table *tables, const char *flag, size_t length,
                             FILE *errors)
{
    char typed[64];
    const char *best = NULL;
    (void)snprintf(typed, sizeof(typed), "%.*s", (int)(length < 63 ? length : 63), flag);
    for (size_t t = 0; t < ARGUMENTS_TABLES_MAX && tables[t].count > 0; t++) {
        for (size_t i = 0; i < tables[t].count; i++)
            nearest_consider(typed, tables[t].rows[i].name, &best);
    }
    if (best != NULL)
        (void)fprintf(errors, "reprise: there is no flag --%s; did you mean --%s?\n", typed, best);
    else
        (void)fprintf(errors, "reprise: there is no flag --%s\n", typed);
}

/* One argument that begins with a dash, apart into name and value. */
struct typed_flag {
    const char *name;
    size_t length;
    const char *value; /* behind '='; NULL: none */
};

/* False: it is no flag but a word. */
static bool read_flag(const char *argument, struct typed_flag *out_flag)
{
    if (argument[0] != '-' || argument[1] == '\0')
        return false;
    const char *name = argument + (argument[1] == '-' ? 2 : 1);
    const char *equals = strchr(name, '=');
    size_t length = equals != NULL ? (size_t)(equals - name) : strlen(name);
    *out_flag = (struct typed_flag){name, length, equals != NULL ? equals + 1 : NULL};
    if (argument[1] != '-' && length == 1 && name[0] == 'o')
        *out_flag = (struct typed_flag){"output", strlen("output"), out_flag->value};
    return true;
}

static bool already_given(const struct arguments *arguments, const struct flag_row *row)
{
    for (size_t i = 0; i < arguments->given_count; i++) {
        if (arguments->given[i].row == row)
            return true;
    }
    return false;
}

/* Takes one flag; *index moves on over a value of its own. False: written to errors. */
static bool take_flag(const struct flag_table *tables, int argc, const char *const *argv,
                      int *index, FILE *errors, struct arguments *arguments)
{
    struct typed_flag flag = {0};
    (void)read_flag(argv[*index], &flag);
    const struct flag_row *row = arguments_find_row(tables, flag.name, flag.length);
    if (row == NULL) {
        complain_unknown(tables, flag.name, flag.length, errors);
        return false;
    }
    if (row->value == NULL && flag.value != NULL) {
        (void)fprintf(errors, "reprise: --%s takes no value\n", row->name);
        return false;
    }
    if (row->value != NULL && flag.value == NULL) {
        bool is_there = *index + 1 < argc && strncmp(argv[*index + 1], "--", 2) != 0;
        if (!is_there) {
            (void)fprintf(errors, "reprise: --%s needs a value: --%s %s\n", row->name, row->name,
                          row->value);
            return false;
        }
        *index += 1;
        flag.value = argv[*index];
    }
    if (!row->repeats && already_given(arguments, row)) {
        (void)fprintf(errors, "reprise: --%s is given twice\n", row->name);
        return false;
    }
    arguments->given[arguments->given_count++] = (struct arguments_given){row, flag.value};
    return true;
}

bool arguments_read(const struct flag_table *tables, int argc, const char *const *argv,
                    FILE *errors, struct arguments *out_arguments)
{
    assert(argc >= 0);
    struct arguments arguments = {0};
    arguments.given = calloc((size_t)argc + 1, sizeof(*arguments.given));
    arguments.words = calloc((size_t)argc + 1, sizeof(*arguments.words));
    bool clean = arguments.given != NULL && arguments.words != NULL;
    if (!clean) {
        (void)fprintf(errors, "reprise: out of memory\n");
        arguments_deinit(&arguments);
        return false;
    }
    bool flags_ended = false;
    struct typed_flag flag;
    for (int i = 0; i < argc; i++) {
        if (!flags_ended && strcmp(argv[i], "--") == 0)
            flags_ended = true;
        else if (!flags_ended && read_flag(argv[i], &flag))
            clean = take_flag(tables, argc, argv, &i, errors, &arguments) && clean;
        else
            arguments.words[arguments.words_count++] = argv[i];
    }
    if (clean)
        *out_arguments = arguments;
    else
        arguments_deinit(&arguments);
    return clean;
}

void arguments_deinit(struct arguments *arguments)
{
    free(arguments->given);
    free(arguments->words);
    *arguments = (struct arguments){0};
}

const char *arguments_text(const struct arguments *arguments, const char *name)
{
    return arguments_at(arguments, name, 0);
}

bool arguments_has(const struct arguments *arguments, const char *name)
{
    return arguments_count(arguments, name) > 0;
}

size_t arguments_count(const struct arguments *arguments, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < arguments->given_count; i++)
        count += strcmp(arguments->given[i].row->name, name) == 0;
    return count;
}

const char *arguments_at(const struct arguments *arguments, const char *name, size_t index)
{
    size_t seen = 0;
    for (size_t i = 0; i < arguments->given_count; i++) {
        if (strcmp(arguments->given[i].row->name, name) != 0)
            continue;
        if (seen == index)
            return arguments->given[i].value;
        seen += 1;
    }
    return NULL;
}
