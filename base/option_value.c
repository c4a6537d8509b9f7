/*
 * option_value.c - what was typed, as a value: units, words and limits.
 * Every type is one row: how it is read, how it is named when it cannot be read. Limits are typed
 * like values and read by the same function, so a row says "64MiB" and means it. Owns nothing.
 * Threads: any.
 */
#include "base/option_value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {{"", 1},
                                         {"KiB", UINT64_C(1) << 10},
                                         {"MiB", UINT64_C(1) << 20},
                                         {"GiB", UINT64_C(1) << 30},
                                         {0}};
static const struct unit duration_units[] = {
    {"us", 1},          {"ms", 1000}, {"s", 1000000}, {"min", 60000000}, {"h", 3600000000u},
    {"d", 86400000000}, {0}};
static const struct unit no_units[] = {{"", 1}, {0}};

/* Digits and one of the units, nothing else. False also when it does not fit 64 bits. */
static bool read_whole(const char *text, const struct unit *units, uint64_t *out_whole)
{
    uint64_t whole = 0;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0)
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (__builtin_mul_overflow(whole, 10, &whole) ||
            __builtin_add_overflow(whole, (uint64_t)(text[i] - '0'), &whole))
            return false;
    }
    const char *unit = text + digits;
    if (whole == 0 && *unit == '\0') { /* nothing is nothing in every unit */
        *out_whole = 0;
        return true;
    }
    for (; units->name != NULL; units++) {
        if (strcmp(units->name, unit) == 0)
            return !__builtin_mul_overflow(whole, units->factor, out_whole);
    }
    return false;
}

/* Decimal only: strtod alone would also take hexadecimal, "inf" and "nan". */
static bool read_number(const char *text, double *out_number)
{
    if (*text == '\0' || text[strspn(text, "0123456789+-.eE")] != '\0')
        return false;
    char *end = NULL;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(number))
        return false;
    *out_number = number;
    return true;
}

static bool read_flag(const char *text, bool *out_flag)
{
    bool is_true = strcmp(text, "true") == 0;
    if (!is_true && strcmp(text, "false") != 0)
        return false;
    *out_flag = is_true;
    return true;
}

static bool is_choice(const char *choices, const char *text)
{
    size_t length = strlen(text);
    for (const char *place = choices; length > 0;) {
        size_t word = strcspn(place, "|");
        if (word == length && memcmp(place, text, length) == 0)
            return true;
        if (place[word] == '\0')
            return false;
        place += word + 1;
    }
    return false;
}

static bool read_typed(const struct option_row *row, const char *text, struct option_value *out)
{
    switch (option_type(row)) {
    case OPTION_FLAG:
        return read_flag(text, &out->flag);
    case OPTION_UINT:
        return read_whole(text, no_units, &out->whole);
    case OPTION_SIZE:
        return read_whole(text, size_units, &out->whole);
    case OPTION_DURATION:
        return read_whole(text, duration_units, &out->whole);
    case OPTION_NUMBER:
        return read_number(text, &out->number);
    case OPTION_CHOICE:
        return is_choice(row->choices, text);
    case OPTION_STRING:
        return true;
    }
    assert(!"an option of no known type");
    return false;
}

static const char *type_in_words(enum option_type type)
{
    switch (type) {
    case OPTION_FLAG:
        return "true or false";
    case OPTION_UINT:
        return "a whole number";
    case OPTION_SIZE:
        return "a size such as 512, 64KiB, 4MiB or 1GiB";
    case OPTION_DURATION:
        return "a duration such as 30us, 50ms, 10s, 5min, 24h or 30d";
    case OPTION_NUMBER:
        return "a decimal number";
    case OPTION_CHOICE:
        return "one of the words";
    case OPTION_STRING:
        return "text";
    }
    assert(!"an option of no known type");
    return "";
}

/* A limit is our own typing in a row: one that cannot be read is a fault. */
static struct option_value read_limit(const struct option_row *row, const char *limit)
{
    struct option_value value = {0};
    bool is_read = read_typed(row, limit, &value);
    assert(is_read);
    return value;
}

static bool is_within_limits(const struct option_row *row, const struct option_value *value)
{
    if (option_type(row) == OPTION_FLAG || option_type(row) == OPTION_CHOICE ||
        option_type(row) == OPTION_STRING)
        return true;
    if (row->low != NULL) {
        struct option_value low = read_limit(row, row->low);
        if (value->whole < low.whole || value->number < low.number)
            return false;
    }
    if (row->high != NULL) {
        struct option_value high = read_limit(row, row->high);
        if (value->whole > high.whole || value->number > high.number)
            return false;
    }
    return true;
}

/* Sizes and durations carry their unit in the limit already. */
static void range_of_limits(const struct option_row *row, char out_range[OPTION_RANGE_MAX])
{
    bool is_plain = option_type(row) == OPTION_UINT || option_type(row) == OPTION_NUMBER;
    bool has_unit = is_plain && row->unit != NULL && row->unit[0] != '\0';
    const char *low = row->low != NULL ? row->low : "";
    const char *high = row->high != NULL ? row->high : "";
    const char *between = row->low != NULL && row->high != NULL ? " to "
                          : row->low != NULL                    ? " or more"
                          : row->high != NULL                   ? "at most "
                                                                : type_in_words(option_type(row));
    (void)snprintf(out_range, OPTION_RANGE_MAX, "%s%s%s%s%s", low, between, high,
                   has_unit ? " " : "", has_unit ? row->unit : "");
}

void option_value_range(const struct option_row *row, char out_range[OPTION_RANGE_MAX])
{
    if (option_type(row) == OPTION_CHOICE) {
        size_t length = 0;
        for (const char *c = row->choices; *c != '\0' && length + 3 < OPTION_RANGE_MAX; c++) {
            out_range[length++] = *c == '|' ? ',' : *c;
            if (*c == '|')
                out_range[length++] = ' ';
        }
        out_range[length] = '\0';
    } else if (option_type(row) == OPTION_FLAG) {
        (void)snprintf(out_range, OPTION_RANGE_MAX, "true, false");
    } else if (option_type(row) == OPTION_STRING) {
        (void)snprintf(out_range, OPTION_RANGE_MAX, "text");
    } else {
        range_of_limits(row, out_range);
    }
}

enum status option_value_parse(const struct option_row *row, const char *text,
                               struct option_value *out_value, char out_problem[OPTION_PROBLEM_MAX])
{
    char range[OPTION_RANGE_MAX];
    struct option_value value = {0};
    option_value_range(row, range);
    if (!read_typed(row, text, &value)) {
        bool is_choice_row = option_type(row) == OPTION_CHOICE;
        (void)snprintf(out_problem, OPTION_PROBLEM_MAX, "\"%.48s\" is not %s%s%s", text,
                       type_in_words(option_type(row)), is_choice_row ? " " : "",
                       is_choice_row ? range : "");
        return STATUS_BAD_OPTION;
    }
    if (!is_within_limits(row, &value)) {
        (void)snprintf(out_problem, OPTION_PROBLEM_MAX, "%.48s is outside its limits: %s", text,
                       range);
        return STATUS_BAD_OPTION;
    }
    *out_value = value;
    return STATUS_OK;
}
