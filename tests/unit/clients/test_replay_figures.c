/*
 * Goal: the figures of a walk are right, also at their edges, and the examples are the most telling
 * rows. Method: results written by hand; tables into memory. Rooms: replay_figures, replay_print,
 * replay_progress.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/cli/replay_print.h"
#include "clients/cli/replay_progress.h"
#include "tests/support/unit.h"

static struct replay_row rows[] = {
    {2, "on", "How do I turn it on?", "a"}, {3, "off", "How do I turn it off?", "b"},
    {4, "on", "how to turn it on", "a"},    {5, "on", "turn it on please", "a"},
    {6, "pw", "reset my password", "c"},    {7, "pw", "please reset my password", "c"},
    {8, "pw", "reset my password", "c"},    {9, "x", "something refused", "d"},
    {10, "y", "never asked", "e"},
};
static struct replay_result hand_made[] = {
    {.outcome = REPLAY_MISS, .was_set = true, .get_us = 100, .set_us = 50},
    {.outcome = REPLAY_MISS,
     .was_set = true,
     .get_us = 200,
     .set_us = 70,
     .similarity = 0.95F,
     .guard = REPRISE_GUARD_ANTONYM,
     .other = "How do I turn it on?"},
    {.outcome = REPLAY_SEMANTIC,
     .get_us = 90,
     .similarity = 0.93F,
     .other = "How do I turn it on?"},
    {.outcome = REPLAY_SEMANTIC,
     .get_us = 80,
     .similarity = 0.91F,
     .other = "How do I turn it on?"},
    {.outcome = REPLAY_MISS, .was_set = false, .get_us = 300, .error = "not stored: ADMISSION"},
    {.outcome = REPLAY_SEMANTIC,
     .get_us = 85,
     .similarity = 0.92F,
     .wrong = true,
     .other = "reset"},
    {.outcome = REPLAY_EXACT, .get_us = 30, .similarity = 1},
    {.outcome = REPLAY_FAILED, .get_us = 10, .error = "INVALID_ARGUMENT LIMIT_EXCEEDED: too long"},
    {.outcome = REPLAY_NOT_ASKED},
};
static const struct replay_file file = {.rows = rows, .rows_count = 9};
static const struct replay_results results = {
    .rows = hand_made, .rows_count = 9, .elapsed_us = 1230000};

static void every_row_is_counted_once(void **state)
{
    (void)state;
    struct replay_figures figures;
    assert_true(replay_figures_count(&results, &figures));
    assert_int_equal(figures.requests, 8);
    assert_int_equal(figures.exact, 1);
    assert_int_equal(figures.semantic, 3);
    assert_int_equal(figures.misses, 3);
    assert_int_equal(figures.wrong, 1);
    assert_int_equal(figures.errors, 2);
    assert_true(fabs(figures.hit_rate - 0.5) < 1e-9);
    assert_true(fabs(figures.err_hit - 0.25) < 1e-9);
    assert_int_equal(figures.set_latency.count, 2);
    assert_int_equal(figures.set_latency.p50_us, 50);
    assert_int_equal(figures.set_latency.p99_us, 70);
    assert_int_equal(figures.semantic_latency.p50_us, 85);
    assert_int_equal(figures.exact_latency.p99_us, 30);
}

static void without_hits_no_rate_is_made_up(void **state)
{
    (void)state;
    struct replay_result none[2] = {{.outcome = REPLAY_NOT_ASKED}, {.outcome = REPLAY_MISS}};
    const struct replay_results few = {.rows = none, .rows_count = 1};
    struct replay_figures figures;
    assert_true(replay_figures_count(&few, &figures));
    assert_int_equal(figures.requests, 0);
    assert_true(figures.hit_rate == 0);
    assert_true(figures.err_hit == 0);
    assert_int_equal(figures.exact_latency.count, 0);
}

static void percentiles_are_nearest_ranks(void **state)
{
    (void)state;
    enum { MANY = 200 };
    static struct replay_result many[MANY];
    for (uint32_t i = 0; i < MANY; i++)
        many[i] = (struct replay_result){.outcome = REPLAY_EXACT, .get_us = (i * 77) % MANY + 1};
    const struct replay_results walk = {.rows = many, .rows_count = MANY};
    struct replay_figures figures;
    assert_true(replay_figures_count(&walk, &figures));
    assert_int_equal(figures.exact_latency.p50_us, 100);
    assert_int_equal(figures.exact_latency.p99_us, 198);
}

static void examples_are_right_far_and_of_different_groups(void **state)
{
    (void)state;
    struct replay_examples examples;
    replay_examples_choose(&file, &results, &examples);
    assert_int_equal(examples.semantic_count, 1); /* the other group's hit is wrong */
    assert_int_equal(examples.semantic[0], 3);    /* 0.91 tells more than 0.93 */
    assert_true(examples.has_blocked);
    assert_int_equal(examples.blocked, 1);
}

static void a_false_alarm_of_the_guard_is_no_opposite(void **state)
{
    (void)state;
    struct replay_result alarm[9];
    memcpy(alarm, hand_made, sizeof(alarm));
    alarm[1].other = "How do I turn it off?"; /* its own group */
    const struct replay_results walk = {.rows = alarm, .rows_count = 9};
    struct replay_examples examples;
    replay_examples_choose(&file, &walk, &examples);
    assert_false(examples.has_blocked);
}

static char *print(bool json)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct replay_figures figures;
    struct replay_examples examples;
    assert_true(replay_figures_count(&results, &figures));
    replay_examples_choose(&file, &results, &examples);
    const struct replay_report report = {&file, &results, &figures, &examples};
    if (json)
        replay_print_json(out, &report);
    else
        replay_print_table(out, &report);
    replay_print_errors(out, "stream.tsv", &report);
    (void)fclose(out);
    return text;
}

static void the_table_says_what_the_demo_reads(void **state)
{
    (void)state;
    char *text = print(false);
    assert_non_null(strstr(text, "requests                8   in 1.23 s\n"));
    assert_non_null(strstr(text, "\nexact hits              1    12.5 %\n"));
    assert_non_null(strstr(text, "\nsemantic hits           3    37.5 %\n"));
    assert_non_null(strstr(text, "\nwrong hits              1\n"));
    assert_non_null(strstr(text, "\nhit rate           0.5000 "));
    assert_non_null(strstr(text, "\nerr_hit            0.2500 "));
    assert_non_null(strstr(text, "blocked by the guard: antonym"));
    assert_non_null(strstr(text, "stream.tsv:6: not stored: ADMISSION\n"));
    assert_non_null(strstr(text, "stream.tsv:9: INVALID_ARGUMENT LIMIT_EXCEEDED: too long\n"));
    free(text);
}

static void the_document_has_the_same_figures(void **state)
{
    (void)state;
    char *text = print(true);
    assert_non_null(strstr(text, "\"requests\":\t8"));
    assert_non_null(strstr(text, "\"hit_rate\":\t0.5"));
    assert_non_null(strstr(text, "\"err_hit\":\t0.25"));
    assert_non_null(strstr(text, "\"guard\":\t\"ANTONYM\""));
    free(text);
}

static void progress_off_a_terminal_is_a_line_for_every_tenth(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct replay_progress progress;
    replay_progress_init(&progress, out, 25);
    for (size_t done = 1; done <= 25; done++)
        replay_progress_show(&progress, done, done * 1000000);
    replay_progress_end(&progress);
    (void)fclose(out);
    size_t lines = 0;
    for (const char *at = text; (at = strchr(at, '\n')) != NULL; at++)
        lines += 1;
    assert_int_equal(lines, 10);
    assert_non_null(strstr(text, "replay: 50 %, 13 of 25\n"));
    assert_non_null(strstr(text, "replay: 100 %, 25 of 25\n"));
    free(text);
}

static void a_bar_is_drawn_over_itself_and_taken_away(void **state)
{
    (void)state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct replay_progress progress;
    replay_progress_init(&progress, out, 4);
    progress.terminal = true;
    replay_progress_show(&progress, 1, 1000000);
    replay_progress_show(&progress, 2, 1000001); /* too soon to be seen */
    replay_progress_show(&progress, 4, 1000002); /* the end is always drawn */
    replay_progress_end(&progress);
    (void)fclose(out);
    assert_non_null(strstr(text, "\r[##########..............................]  25 %  1 of 4"));
    assert_null(strstr(text, "2 of 4"));
    assert_non_null(strstr(text, "100 %  4 of 4"));
    assert_int_equal(text[size - 1], '\r');
    assert_null(strchr(text, '\n'));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_counted_once),
        cmocka_unit_test(without_hits_no_rate_is_made_up),
        cmocka_unit_test(percentiles_are_nearest_ranks),
        cmocka_unit_test(examples_are_right_far_and_of_different_groups),
        cmocka_unit_test(a_false_alarm_of_the_guard_is_no_opposite),
        cmocka_unit_test(the_table_says_what_the_demo_reads),
        cmocka_unit_test(the_document_has_the_same_figures),
        cmocka_unit_test(progress_off_a_terminal_is_a_line_for_every_tenth),
        cmocka_unit_test(a_bar_is_drawn_over_itself_and_taken_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
