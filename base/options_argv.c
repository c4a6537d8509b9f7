/*
 * options_argv.c - settings from the environment and from flags.
 * Owns nothing. Threads: the one that sets up.
 */
#include <stdint.h>
#include <string.h>

#include "base/check.h"
#include "base/option_entry.h"
#include "base/options.h"

static void report_unknown(const struct options *options, enum option_spelling spelling,
                           const char *typed, size_t length, FILE *errors)
{
    char spelt[OPTION_NAME_MAX];
    const char *nearest = options_nearest(options, spelling, typed, length, spelt);
    bool is_flag = spelling == OPTION_AS_FLAG;
    (void)fprintf(errors, "%s: %s%.*s is not an option%s%s%s\n", is_flag ? "flags" : "environment",
                  is_flag ? "" : "warning: ", (int)length, typed,
                  nearest != NULL ? "; did you mean " : "", nearest != NULL ? nearest : "",
                  nearest != NULL ? "?" : "");
}

enum status options_read_environment(struct options *options, char *const *environment,
                                     FILE *errors)
{
    enum status first = STATUS_OK;
    for (; *environment != NULL; environment++) {
        const char *variable = *environment;
        size_t length = strcspn(variable, "=");
        if (strncmp(variable, "REPRISE_", 8) != 0 || variable[length] == '\0')
            continue;
        size_t place = options_find(options, OPTION_IN_ENVIRONMENT, variable, length);
        if (place == options_count(options)) {
            /* Kubernetes sets such variables for every Service that is called reprise. */
            report_unknown(options, OPTION_IN_ENVIRONMENT, variable, length, errors);
            continue;
        }
        options_note(&first, options_offer(options, place, variable + length + 1,
                                           OPTION_BY_ENVIRONMENT, "environment", errors));
    }
    return first;
}

static bool is_flag_row(const struct options *options, size_t place)
{
    return place < options_count(options) &&
           option_type(options_row(options, place)) == OPTION_FLAG;
}

/* "--no-room-name" of a flag; options_count() if it is none. */
static size_t find_negated(const struct options *options, const char *typed, size_t length)
{
    char positive[OPTION_NAME_MAX] = "--";
    size_t none = options_count(options);
    if (length <= 5 || length - 3 >= sizeof(positive) || strncmp(typed, "--no-", 5) != 0)
        return none;
    memcpy(positive + 2, typed + 5, length - 5);
    size_t place = options_find(options, OPTION_AS_FLAG, positive, length - 3);
    return is_flag_row(options, place) ? place : none;
}

static enum status report_argument(const char *argument, const char *problem, FILE *errors)
{
    (void)fprintf(errors, "flags: %s %s\n", argument, problem);
    return STATUS_BAD_OPTION;
}

/* Reads one flag; *out_taken becomes 2 if the value was the next argument. */
static enum status read_flag(struct options *options, const char *argument, const char *next,
                             FILE *errors, int *out_taken)
{
    *out_taken = 1;
    if (strncmp(argument, "--", 2) != 0)
        return report_argument(argument, "is not a flag; settings are given as --room-name=value",
                               errors);
    size_t length = strcspn(argument, "=");
    const char *value = argument[length] == '=' ? argument + length + 1 : NULL;
    size_t place = options_find(options, OPTION_AS_FLAG, argument, length);
    size_t negated = find_negated(options, argument, length);
    if (place == options_count(options) && negated < options_count(options)) {
        if (value != NULL)
            return report_argument(argument, "takes no value", errors);
        return options_offer(options, negated, "false", OPTION_BY_FLAG, "flags", errors);
    }
    bool is_next_value = next != NULL && strncmp(next, "--", 2) != 0;
    if (value == NULL && is_next_value && place < options_count(options) &&
        !is_flag_row(options, place)) {
        *out_taken = 2;
        value = next;
    }
    if (place == options_count(options)) {
        report_unknown(options, OPTION_AS_FLAG, argument, length, errors);
        return STATUS_BAD_OPTION;
    }
    if (value == NULL && is_flag_row(options, place))
        value = "true";
    if (value == NULL)
        return report_argument(argument, "needs a value", errors);
    return options_offer(options, place, value, OPTION_BY_FLAG, "flags", errors);
}

enum status options_read_flags(struct options *options, int argc, char *const *argv, FILE *errors)
{
    enum status first = STATUS_OK;
    int taken = 1;
    for (int i = 1; i < argc; i += taken) {
        const char *next = i + 1 < argc ? argv[i + 1] : NULL;
        options_note(&first, read_flag(options, argv[i], next, errors, &taken));
    }
    return first;
}
