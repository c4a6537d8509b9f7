/*
 * nearest.c - Damerau's edit distance with adjacent swaps (optimal string alignment), for "did you
 * mean". Threads: any; pure.
 */
#include "clients/cli/nearest.h"

#include <stdint.h>
#include <string.h>

enum { WORD_MAX = 63 };

static size_t least(size_t a, size_t b, size_t c)
{
    size_t smaller = a < b ? a : b;
    return smaller < c ? smaller : c;
}

size_t nearest_distance(const char *a, const char *b)
{
    size_t a_length = strlen(a), b_length = strlen(b);
    if (a_length > WORD_MAX || b_length > WORD_MAX)
        return SIZE_MAX;
    size_t rows[WORD_MAX + 1][WORD_MAX + 1];
    for (size_t i = 0; i <= a_length; i++)
        rows[i][0] = i;
    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        for (size_t j = 1; j <= b_length; j++) {
            size_t replaced = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            rows[i][j] = least(rows[i - 1][j] + 1, rows[i][j - 1] + 1, replaced);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                rows[i - 2][j - 2] + 1 < rows[i][j])
                rows[i][j] = rows[i - 2][j - 2] + 1;
        }
    }
    return rows[a_length][b_length];
}

/* Up to a third of the letters may be wrong, and two in a short word: farther, a guess only
 * confuses. */
static size_t reach(const char *typed)
{
    size_t third = strlen(typed) / 3;
    return third > 2 ? third : 2;
}

void nearest_consider(const char *typed, const char *candidate, const char **best)
{
    size_t distance = nearest_distance(typed, candidate);
    if (distance > reach(typed) || distance >= strlen(candidate))
        return;
    if (*best == NULL || distance < nearest_distance(typed, *best))
        *best = candidate;
}
