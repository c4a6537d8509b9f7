/* measure.c - see measure.h. Owns nothing. */
#include "bench/measure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void must(bool good, const char *what)
{
    if (good)
        return;
    (void)fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
    exit(1);
}

double clock_of(clockid_t which)
{
    struct timespec now;
    (void)clock_gettime(which, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compare_numbers(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double median(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), compare_numbers);
    return count % 2 == 1 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

size_t read_number(char **words, size_t least, size_t most)
{
    const char *word = strsep(words, " ");
    must(word != NULL, "a number is missing");
    const long value = strtol(word, NULL, 10);
    must(value >= (long)least && value <= (long)most, "a number is out of range");
    return (size_t)value;
}
