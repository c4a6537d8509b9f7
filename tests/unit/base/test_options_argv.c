/*
 * test_options_argv.c - tests options_argv.c. Goal: every way to give a flag, and what is reported
 * for each wrong one; unknown variables only warn. Method: argument lists, then the values and the
 * exact lines that were reported.
 */
#include "tests/support/unit.h"

#include <string.h>

#include "base/options.h"
#include "tests/unit/base/option_rows.h"

enum { ARGUMENTS_MAX = 8 };

/* Reads one argument list that ends with NULL. */
static enum status read_flags(struct options_test *test, char *const *arguments)
{
    char *argv[ARGUMENTS_MAX + 2] = {"reprised"};
    int argc = 1;
    for (; *arguments != NULL; arguments++)
        argv[argc++] = *arguments;
    return options_read_flags(test->options, argc, argv, test->errors);
}

static void a_value_stands_behind_an_equals_sign_or_comes_next(void **state)
{
    struct options_test *test = *state;
    char *const arguments[] = {"--server-inflight-max=7",
                               "--server-message-max",
                               "1MiB",
                               "--cache-folder=a=b",
                               "--cache_threshold",
                               "0.5",
                               NULL};
    assert_int_equal(read_flags(test, arguments), STATUS_OK);
    assert_string_equal(options_test_reported(test), "");
    assert_int_equal(options_uint(test->options, "server.inflight_max"), 7);
    assert_int_equal(options_uint(test->options, "server.message_max"), 1048576);
    assert_string_equal(options_text(test->options, "cache.folder"), "a=b");
    assert_true(options_number(test->options, "cache.threshold") == 0.5);
}

static void a_flag_needs_no_value_and_can_be_negated(void **state)
{
    struct options_test *test = *state;
    char *const off[] = {"--no-server-reuse-port", NULL};
    char *const on[] = {"--server-reuse-port", NULL};
    char *const spelt[] = {"--server-reuse-port=false", NULL};
    assert_int_equal(read_flags(test, off), STATUS_OK);
    assert_false(options_flag(test->options, "server.reuse_port"));
    assert_int_equal(read_flags(test, on), STATUS_OK);
    assert_true(options_flag(test->options, "server.reuse_port"));
    assert_int_equal(read_flags(test, spelt), STATUS_OK);
    assert_false(options_flag(test->options, "server.reuse_port"));
}

static void the_last_of_equal_flags_counts(void **state)
{
    struct options_test *test = *state;
    char *const arguments[] = {"--server-inflight-max=7", "--server-inflight-max=8", NULL};
    assert_int_equal(read_flags(test, arguments), STATUS_OK);
    assert_int_equal(options_uint(test->options, "server.inflight_max"), 8);
}

static void every_wrong_argument_is_reported(void **state)
{
    struct options_test *test = *state;
    char *const arguments[] = {"stray",
                               "--server-inflght-max=7",
                               "--server-inflight-max=0",
                               "--no-server-inflight-max",
                               "--no-server-reuse-port=true",
                               "--zzzzzzzzzzzzzzzz",
                               "--server-message-max",
                               NULL};
    assert_int_equal(read_flags(test, arguments), STATUS_BAD_OPTION);
    assert_string_equal(
        options_test_reported(test),
        "flags: stray is not a flag; settings are given as --room-name=value\n"
        "flags: --server-inflght-max is not an option; did you mean --server-inflight-max?\n"
        "flags: server.inflight_max: 0 is outside its limits: 1 to 65536 calls\n"
        "flags: --no-server-inflight-max is not an option; did you mean --server-inflight-max?\n"
        "flags: --no-server-reuse-port=true takes no value\n"
        "flags: --zzzzzzzzzzzzzzzz is not an option\n"
        "flags: --server-message-max needs a value\n");
}

static void a_following_flag_is_not_taken_for_a_value(void **state)
{
    struct options_test *test = *state;
    char *const arguments[] = {"--cache-folder", "--server-inflight-max=9", NULL};
    assert_int_equal(read_flags(test, arguments), STATUS_BAD_OPTION);
    assert_string_equal(options_test_reported(test), "flags: --cache-folder needs a value\n");
    assert_int_equal(options_uint(test->options, "server.inflight_max"), 9);
}

static void an_overlong_argument_is_only_unknown(void **state)
{
    struct options_test *test = *state;
    char argument[2000];
    memset(argument, 'a', sizeof(argument) - 1);
    memcpy(argument, "--no-", 5);
    argument[sizeof(argument) - 1] = '\0';
    char *const arguments[] = {argument, NULL};
    assert_int_equal(read_flags(test, arguments), STATUS_BAD_OPTION);
}

static void variables_are_read_and_strange_ones_only_warned_about(void **state)
{
    struct options_test *test = *state;
    char *const environment[] = {"PATH=/bin",
                                 "REPRISE_SERVER_INFLIGHT_MAX=5",
                                 "REPRISE_PORT_50051_TCP=tcp://10.0.0.1:50051",
                                 "REPRISE_SERVER_DRAIN_DELY=1s",
                                 "REPRISE_CACHE_UNTIL_CERTIFIED=nothing",
                                 "NOT_REPRISE_SERVER_DRAIN_DELAY=1s",
                                 "REPRISE_WITHOUT_EQUALS",
                                 NULL};
    assert_int_equal(options_read_environment(test->options, environment, test->errors), STATUS_OK);
    assert_string_equal(options_test_reported(test),
                        "environment: warning: REPRISE_PORT_50051_TCP is not an option\n"
                        "environment: warning: REPRISE_SERVER_DRAIN_DELY is not an option; "
                        "did you mean REPRISE_SERVER_DRAIN_DELAY?\n");
    assert_int_equal(options_uint(test->options, "server.inflight_max"), 5);
    assert_string_equal(options_text(test->options, "cache.until_certified"), "nothing");
    assert_int_equal(options_us(test->options, "server.drain_delay"), 0);
}

static void every_wrong_variable_is_reported(void **state)
{
    struct options_test *test = *state;
    char *const environment[] = {"REPRISE_SERVER_INFLIGHT_MAX=many", "REPRISE_CACHE_THRESHOLD=1.5",
                                 "REPRISE_SERVER_REUSE_PORT=", NULL};
    assert_int_equal(options_read_environment(test->options, environment, test->errors),
                     STATUS_BAD_OPTION);
    assert_string_equal(
        options_test_reported(test),
        "environment: server.inflight_max: \"many\" is not a whole number\n"
        "environment: cache.threshold: 1.5 is outside its limits: 0 to 1 similarity\n"
        "environment: server.reuse_port: \"\" is not true or false\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_value_stands_behind_an_equals_sign_or_comes_next,
                                        options_test_setup, options_test_teardown),
        cmocka_unit_test_setup_teardown(a_flag_needs_no_value_and_can_be_negated,
                                        options_test_setup, options_test_teardown),
        cmocka_unit_test_setup_teardown(the_last_of_equal_flags_counts, options_test_setup,
                                        options_test_teardown),
        cmocka_unit_test_setup_teardown(every_wrong_argument_is_reported, options_test_setup,
                                        options_test_teardown),
        cmocka_unit_test_setup_teardown(a_following_flag_is_not_taken_for_a_value,
                                        options_test_setup, options_test_teardown),
        cmocka_unit_test_setup_teardown(an_overlong_argument_is_only_unknown, options_test_setup,
                                        options_test_teardown),
        cmocka_unit_test_setup_teardown(variables_are_read_and_strange_ones_only_warned_about,
                                        options_test_setup, options_test_teardown),
        cmocka_unit_test_setup_teardown(every_wrong_variable_is_reported, options_test_setup,
                                        options_test_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
