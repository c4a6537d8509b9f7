/*
 * test_repeat.c - Goal: equal lines of one second become one line and a count, and no count is
 * lost. Method: the clock is a number that the test moves; reports are collected.
 */
#include "tests/support/unit.h"

#include <stdio.h>
#include <string.h>

#include "base/repeat.h"

static struct repeat repeat;
static char reports[4096];
static uint64_t now_us;

static int setup(void **state)
{
    (void)state;
    memset(&repeat, 0, sizeof(repeat));
    reports[0] = '\0';
    now_us = 5000000;
    return 0;
}

static void note(const char *line, uint32_t dropped)
{
    size_t length = strlen(reports);
    (void)snprintf(reports + length, sizeof(reports) - length, "%s x%u;", line, dropped);
}

static bool admit(const char *line)
{
    return repeat_admit(&repeat, line, now_us, note);
}

static void the_first_line_is_written_and_equal_ones_are_counted(void **state)
{
    (void)state;
    assert_true(admit("a"));
    assert_false(admit("a"));
    assert_true(admit("b"));
    assert_false(admit("a")); /* alternating lines are held back too */
    assert_false(admit("b"));
    assert_string_equal(reports, "");
}

static void a_count_is_reported_when_its_second_is_over(void **state)
{
    (void)state;
    (void)admit("a");
    (void)admit("a");
    (void)admit("a");
    now_us += REPEAT_WINDOW_US - 1;
    assert_true(admit("b"));
    assert_string_equal(reports, "");
    now_us += 1;
    assert_false(admit("b"));
    assert_string_equal(reports, "a x2;");
    assert_true(admit("a")); /* a new second, a new line */
    assert_string_equal(reports, "a x2;");
}

static void a_line_that_came_once_is_not_reported(void **state)
{
    (void)state;
    (void)admit("once");
    now_us += 10 * REPEAT_WINDOW_US;
    assert_true(admit("once"));
    repeat_flush(&repeat, note);
    assert_string_equal(reports, "");
}

static void a_flush_reports_every_count_and_forgets(void **state)
{
    (void)state;
    (void)admit("a");
    (void)admit("a");
    (void)admit("b");
    (void)admit("b");
    (void)admit("b");
    repeat_flush(&repeat, note);
    assert_string_equal(reports, "a x1;b x2;");
    repeat_flush(&repeat, note);
    assert_string_equal(reports, "a x1;b x2;");
    assert_true(admit("a"));
}

static void when_all_places_are_taken_the_oldest_goes_with_its_count(void **state)
{
    (void)state;
    char line[16];
    for (int i = 0; i < REPEAT_PLACES; i++) {
        (void)snprintf(line, sizeof(line), "line %d", i);
        assert_true(admit(line));
        now_us++;
    }
    assert_false(admit("line 0"));
    assert_true(admit("one more"));
    assert_string_equal(reports, "line 0 x1;");
    assert_false(admit("line 1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_first_line_is_written_and_equal_ones_are_counted, setup),
        cmocka_unit_test_setup(a_count_is_reported_when_its_second_is_over, setup),
        cmocka_unit_test_setup(a_line_that_came_once_is_not_reported, setup),
        cmocka_unit_test_setup(a_flush_reports_every_count_and_forgets, setup),
        cmocka_unit_test_setup(when_all_places_are_taken_the_oldest_goes_with_its_count, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
