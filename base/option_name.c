/*
 * option_name.c - one name, three spellings, and how far a misspelt one is away.
 * Owns nothing. Threads: any.
 */
#include "base/option_name.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"

static char upper(char c)
{
    return (char)(c >= 'a' && c <= 'z' ? c - ('a' - 'A') : c);
}

void option_name_spell(const char *name, enum option_spelling spelling,
                       char out_spelt[OPTION_NAME_MAX])
{
    static const char *const prefixes[] = {"", "REPRISE_", "--"};
    const char *prefix = prefixes[spelling];
    size_t length = strlen(prefix);
    assert(length + strlen(name) < OPTION_NAME_MAX);
    memcpy(out_spelt, prefix, length);
    for (const char *c = name; *c != '\0'; c++) {
        bool is_joint = *c == '.' || *c == '_';
        if (spelling == OPTION_IN_ENVIRONMENT)
            out_spelt[length++] = is_joint ? '_' : upper(*c);
        else
            out_spelt[length++] = spelling == OPTION_AS_FLAG && is_joint ? '-' : *c;
    }
    out_spelt[length] = '\0';
}

bool option_name_matches(const char *name, enum option_spelling spelling, const char *typed,
                         size_t length)
{
    char spelt[OPTION_NAME_MAX];
    option_name_spell(name, spelling, spelt);
    if (strlen(spelt) != length)
        return false;
    for (size_t i = 0; i < length; i++) {
        bool is_underscore = spelling == OPTION_AS_FLAG && spelt[i] == '-' && typed[i] == '_';
        if (typed[i] != spelt[i] && !is_underscore)
            return false;
    }
    return true;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

size_t option_name_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t row[OPTION_NAME_MAX + 1]; /* distances from a[0..i) to every b[0..j) */
    if (a_length > OPTION_NAME_MAX || b_length > OPTION_NAME_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 0; i < a_length; i++) {
        size_t diagonal = row[0]; /* of the row above */
        row[0] = i + 1;
        for (size_t j = 0; j < b_length; j++) {
            size_t above = row[j + 1];
            row[j + 1] = smallest(above + 1, row[j] + 1, diagonal + (a[i] != b[j]));
            diagonal = above;
        }
    }
    return row[b_length];
}
