/*
 * Goal: every reply is counted once, under its method and code, and the page names both. Method: a
 * few counts, and the page's lines.
 */
#include "tests/support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/grpc/methods.h"
#include "server/grpc/tally.h"

static char *page_of(const struct counters *tally)
{
    char *page = NULL;
    size_t bytes = 0;
    FILE *out = open_memstream(&page, &bytes);
    assert_non_null(out);
    tally_metrics(tally, out);
    assert_int_equal(fclose(out), 0);
    return page;
}

static void assert_line(const char *page, const char *labels, int count)
{
    char line[160];
    (void)snprintf(line, sizeof(line), "\nreprise_grpc_replies_total{%s} %d\n", labels, count);
    assert_non_null(strstr(page, line));
}

static void every_method_and_code_has_a_count_of_its_own(void **state)
{
    (void)state;
    struct counters *tally = NULL;
    size_t count = 0;
    const struct method *methods = methods_all(&count);
    const struct method *get = methods_find(TEXT("/reprise.v1.Cache/Get"));
    assert_int_equal(tally_create(&tally), STATUS_OK);
    for (size_t i = 0; i < count; i++)
        tally_count(tally, &methods[i], GRPC_STATUS_UNAUTHENTICATED);
    tally_count(tally, get, GRPC_STATUS_OK);
    tally_count(tally, get, GRPC_STATUS_OK);
    tally_count(tally, NULL, GRPC_STATUS_UNIMPLEMENTED);
    char *page = page_of(tally);
    for (size_t i = 0; i < count; i++) {
        char labels[120];
        (void)snprintf(labels, sizeof(labels), "rpc=\"%s\",code=\"UNAUTHENTICATED\"",
                       methods[i].path + 1);
        assert_line(page, labels, 1);
    }
    assert_line(page, "rpc=\"reprise.v1.Cache/Get\",code=\"OK\"", 2);
    assert_line(page, "rpc=\"reprise.v1.Cache/Set\",code=\"OK\"", 0);
    assert_line(page, "rpc=\"none\",code=\"UNIMPLEMENTED\"", 1);
    assert_null(strstr(page, "NOT_FOUND"));
    free(page);
    counters_destroy(&tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_and_code_has_a_count_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
