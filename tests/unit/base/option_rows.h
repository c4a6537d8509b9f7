/* option_rows.h - the rows that the tests of the options' rooms share, and a place for what is
 * reported. */
#pragma once
#include <stdio.h>
#include <stdlib.h>

#include "base/options.h"

/* clang-format off */
static const struct option_row test_server_rows[] = {
    {"server.inflight_max", OPTION_UINT, "4096", "1", "65536", NULL, "calls", "Calls at a time."},
    {"server.drain_delay", OPTION_DURATION, "0", "0", "1h", NULL, "", "Wait before the drain."},
    {"server.message_max", OPTION_SIZE, "4MiB", "64KiB", "64MiB", NULL, "bytes", "Largest message."},
    {"server.reuse_port", OPTION_FLAG, "true", NULL, NULL, NULL, "", "Share the port."},
};
static const struct option_row test_cache_rows[] = {
    {"cache.threshold", OPTION_NUMBER, "0.95", "0", "1", NULL, "similarity", "How similar is enough."},
    {"cache.until_certified", OPTION_CHOICE | OPTION_LIVE, "static", NULL, NULL, "static|nothing", "", "Serves a|b."},
    {"cache.folder", OPTION_STRING, "", NULL, NULL, NULL, "path", "Where it lies."},
    {"cache.memory", OPTION_SIZE | OPTION_LIVE, "", "1MiB", NULL, NULL, "bytes", "Unset: a quarter of the machine."},
};
/* clang-format on */

static const struct option_table test_tables[] = {
    {test_server_rows, sizeof(test_server_rows) / sizeof(test_server_rows[0])},
    {test_cache_rows, sizeof(test_cache_rows) / sizeof(test_cache_rows[0])},
};

struct options_test {
    struct options *options;
    FILE *errors;
    char *reported; /* after options_test_reported() */
    size_t reported_size;
};

static inline int options_test_setup(void **state)
{
    struct options_test *test = calloc(1, sizeof(*test));
    if (test == NULL || options_create(test_tables, 2, &test->options) != STATUS_OK)
        return -1;
    test->errors = open_memstream(&test->reported, &test->reported_size);
    *state = test;
    return test->errors != NULL ? 0 : -1;
}

static inline int options_test_teardown(void **state)
{
    struct options_test *test = *state;
    options_destroy(&test->options);
    (void)fclose(test->errors);
    free(test->reported);
    free(test);
    return 0;
}

/* All that was reported so far. */
static inline const char *options_test_reported(struct options_test *test)
{
    (void)fflush(test->errors);
    return test->reported;
}
