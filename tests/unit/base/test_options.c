/*
 * test_options.c - Goal: defaults, the order of the sources, printing; a bad row ends the program.
 * Method: the sources are read in an order that is not their rank; rows of our own with a fault run
 * in a child.
 */
#include "tests/support/unit.h"

#include <string.h>

#include "base/options.h"
#include "tests/support/folder.h"
#include "tests/unit/base/death.h"
#include "tests/unit/base/option_rows.h"

static void defaults_are_there_before_anything_is_read(void **state)
{
    const struct options_test *test = *state;
    const struct options *options = test->options;
    assert_int_equal(options_uint(options, "server.inflight_max"), 4096);
    assert_int_equal(options_us(options, "server.drain_delay"), 0);
    assert_int_equal(options_uint(options, "server.message_max"), 4194304);
    assert_true(options_flag(options, "server.reuse_port"));
    assert_true(options_number(options, "cache.threshold") == 0.95);
    assert_string_equal(options_text(options, "cache.until_certified"), "static");
    assert_string_equal(options_text(options, "cache.folder"), "");
}

static void an_empty_default_is_unset_until_somebody_sets_it(void **state)
{
    struct options_test *test = *state;
    assert_true(options_is_set(test->options, "cache.threshold"));
    assert_false(options_is_set(test->options, "cache.memory"));
    assert_int_equal(options_uint(test->options, "cache.memory"), 0);
    assert_false(options_is_set(test->options, "cache.folder"));
    char *const environment[] = {"REPRISE_CACHE_MEMORY=2MiB", "REPRISE_CACHE_FOLDER=", NULL};
    assert_int_equal(options_read_environment(test->options, environment, test->errors), STATUS_OK);
    assert_true(options_is_set(test->options, "cache.memory"));
    assert_int_equal(options_uint(test->options, "cache.memory"), 2097152);
    assert_true(options_is_set(test->options, "cache.folder")); /* set, to nothing */
}

static void read_file(struct options_test *test, const char *text)
{
    char folder[64], path[80];
    folder_create(folder);
    (void)snprintf(path, sizeof(path), "%s/reprise.yaml", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
    assert_int_equal(options_read_file(test->options, path, test->errors), STATUS_OK);
    folder_remove(folder);
}

static void flag_beats_environment_beats_file_beats_default(void **state)
{
    struct options_test *test = *state;
    char *const flags[] = {"reprised", "--server-inflight-max=3"};
    char *const environment[] = {"REPRISE_SERVER_INFLIGHT_MAX=2", "REPRISE_SERVER_DRAIN_DELAY=2s",
                                 NULL};
    assert_int_equal(options_read_flags(test->options, 2, flags, test->errors), STATUS_OK);
    assert_int_equal(options_read_environment(test->options, environment, test->errors), STATUS_OK);
    read_file(test, "server:\n  inflight_max: 1\n  drain_delay: 1s\n  message_max: 1MiB\n");
    assert_int_equal(options_uint(test->options, "server.inflight_max"), 3);
    assert_int_equal(options_us(test->options, "server.drain_delay"), 2000000);
    assert_int_equal(options_uint(test->options, "server.message_max"), 1048576);
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    options_print(test->options, out);
    (void)fclose(out);
    assert_string_equal(text, "server.inflight_max = 3 (flag)\n"
                              "server.drain_delay = 2s (environment)\n"
                              "server.message_max = 1MiB (file)\n"
                              "server.reuse_port = true (default)\n"
                              "cache.threshold = 0.95 (default)\n"
                              "cache.until_certified = static (default)\n"
                              "cache.folder = \"\" (default)\n"
                              "cache.memory = \"\" (default)\n");
    free(text);
}

static void a_refused_value_leaves_the_old_one(void **state)
{
    struct options_test *test = *state;
    char *const environment[] = {"REPRISE_SERVER_INFLIGHT_MAX=0", NULL};
    assert_int_equal(options_read_environment(test->options, environment, test->errors),
                     STATUS_BAD_OPTION);
    assert_int_equal(options_uint(test->options, "server.inflight_max"), 4096);
}

static void the_description_is_a_markdown_table_of_all_rows(void **state)
{
    const struct options_test *test = *state;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    options_describe(test->options, out);
    (void)fclose(out);
    assert_non_null(strstr(text, "| `server.inflight_max` | 4096 | 1 to 65536 calls | calls | "
                                 "at a restart | Calls at a time. |\n"));
    assert_non_null(strstr(
        text,
        "| `server.reuse_port` | true | true, false |  | at a restart | Share the port. |\n"));
    assert_non_null(strstr(text, "| `cache.until_certified` | static | static, nothing |  | live | "
                                 "Serves a\\|b. |\n"));
    assert_non_null(strstr(text, "| `cache.memory` |  | 1MiB or more | bytes | live | "));
    size_t lines = 0;
    for (const char *c = text; *c != '\0'; c++)
        lines += *c == '\n';
    assert_int_equal(lines, 10);
    free(text);
}

/* ---- While the process runs ---- */

static void a_value_given_at_run_time_stands_above_a_flag_until_it_is_reset(void **state)
{
    struct options_test *test = *state;
    char *const flags[] = {"reprised", "--cache-memory=2MiB"};
    assert_int_equal(options_read_flags(test->options, 2, flags, test->errors), STATUS_OK);
    assert_int_equal(options_change(test->options, "cache.memory", "4MiB", NULL), STATUS_OK);
    assert_int_equal(options_uint(test->options, "cache.memory"), 4194304);
    const struct option_view changed = options_view(test->options, 7);
    assert_string_equal(changed.row->name, "cache.memory");
    assert_int_equal(changed.source, OPTION_AT_RUN_TIME);
    assert_string_equal(changed.value, "4MiB");
    assert_string_equal(changed.start, "2MiB");
    assert_int_equal(options_change(test->options, "cache.memory", NULL, NULL), STATUS_OK);
    assert_int_equal(options_uint(test->options, "cache.memory"), 2097152);
    assert_int_equal(options_view(test->options, 7).source, OPTION_BY_FLAG);
}

static void a_change_that_is_refused_names_the_option_and_its_limit(void **state)
{
    struct options_test *test = *state;
    struct failure failure;
    assert_int_equal(options_change(test->options, "cache.memory", "1KiB", &failure),
                     STATUS_BAD_OPTION);
    assert_string_equal(failure.field, "cache.memory");
    assert_non_null(strstr(failure.message, "1MiB or more"));
    assert_int_equal(options_change(test->options, "cache.memroy", "2MiB", &failure),
                     STATUS_BAD_OPTION);
    assert_non_null(strstr(failure.message, "did you mean cache.memory?"));
    assert_int_equal(options_change(test->options, "cache.folder", "x", &failure),
                     STATUS_BAD_OPTION);
    assert_non_null(strstr(failure.message, "restart"));
    assert_false(options_is_set(test->options, "cache.memory"));
}

static void a_copy_is_changed_alone(void **state)
{
    struct options_test *test = *state;
    struct options *copy = NULL;
    assert_int_equal(options_change(test->options, "cache.memory", "2MiB", NULL), STATUS_OK);
    assert_int_equal(options_copy(test->options, &copy), STATUS_OK);
    assert_int_equal(options_uint(copy, "cache.memory"), 2097152);
    assert_int_equal(options_change(copy, "cache.until_certified", "nothing", NULL), STATUS_OK);
    assert_string_equal(options_text(copy, "cache.until_certified"), "nothing");
    assert_string_equal(options_text(test->options, "cache.until_certified"), "static");
    options_destroy(&copy);
}

static void note_differing(void *context, const char *name)
{
    assert_string_equal(name, "cache.folder");
    *(int *)context += 1;
}

static void what_is_read_again_goes_below_what_was_given_at_run_time(void **state)
{
    struct options_test *test = *state;
    struct options *fresh = NULL;
    assert_int_equal(options_create(test_tables, 2, &fresh), STATUS_OK);
    char *const environment[] = {"REPRISE_CACHE_MEMORY=8MiB", "REPRISE_CACHE_FOLDER=there",
                                 "REPRISE_CACHE_UNTIL_CERTIFIED=nothing", NULL};
    assert_int_equal(options_read_environment(fresh, environment, test->errors), STATUS_OK);
    assert_int_equal(options_change(test->options, "cache.memory", "4MiB", NULL), STATUS_OK);
    int differing = 0;
    assert_int_equal(options_take(test->options, fresh, note_differing, &differing), STATUS_OK);
    options_destroy(&fresh);
    assert_int_equal(differing, 1);
    assert_int_equal(options_uint(test->options, "cache.memory"), 4194304);
    assert_string_equal(options_text(test->options, "cache.until_certified"), "nothing");
    assert_string_equal(options_text(test->options, "cache.folder"), "");
    assert_int_equal(options_change(test->options, "cache.memory", NULL, NULL), STATUS_OK);
    assert_int_equal(options_uint(test->options, "cache.memory"), 8388608);
}

static void create_with(const struct option_row *rows, size_t count)
{
    struct options *options = NULL;
    struct option_table table = {rows, count};
    (void)options_create(&table, 1, &options);
    options_destroy(&options);
}

static void create_with_twins(void)
{
    static const struct option_row rows[] = {
        {"a.b", OPTION_UINT, "1", NULL, NULL, NULL, "", "One."},
        {"a.b", OPTION_UINT, "1", NULL, NULL, NULL, "", "Two."}};
    create_with(rows, 2);
}

static void create_with_bad_default(void)
{
    static const struct option_row row = {"a.b", OPTION_UINT, "9", "1", "8", NULL, "", "Too high."};
    create_with(&row, 1);
}

static void create_with_bad_limit(void)
{
    static const struct option_row row = {"a.b", OPTION_SIZE, "1", "0",
                                          "8MB", NULL,        "",  "No unit."};
    create_with(&row, 1);
}

static void create_with_good_row(void)
{
    static const struct option_row row = {"a.b", OPTION_SIZE, "1", "0", "8MiB", NULL, "", "Good."};
    create_with(&row, 1);
}

static void a_bad_row_ends_the_program_at_once(void **state)
{
    (void)state;
    assert_true(dies(create_with_twins));
    assert_true(dies(create_with_bad_default));
    assert_true(dies(create_with_bad_limit));
    assert_false(dies(create_with_good_row));
}

static struct options *asked;

static void ask_for_an_unknown_name(void)
{
    (void)options_uint(asked, "server.inflight");
}

static void ask_for_another_type(void)
{
    (void)options_uint(asked, "server.drain_delay");
}

static void asking_for_what_is_in_no_table_ends_the_program(void **state)
{
    const struct options_test *test = *state;
    asked = test->options;
    assert_true(dies(ask_for_an_unknown_name));
    assert_true(dies(ask_for_another_type));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(defaults_are_there_before_anything_is_read,
                                        options_test_setup, options_test_teardown),
        cmocka_unit_test_setup_teardown(an_empty_default_is_unset_until_somebody_sets_it,
                                        options_test_setup, options_test_teardown),
        cmocka_unit_test_setup_teardown(flag_beats_environment_beats_file_beats_default,
                                        options_test_setup, options_test_teardown),
        cmocka_unit_test_setup_teardown(a_refused_value_leaves_the_old_one, options_test_setup,
                                        options_test_teardown),
        cmocka_unit_test_setup_teardown(the_description_is_a_markdown_table_of_all_rows,
                                        options_test_setup, options_test_teardown),
        cmocka_unit_test_setup_teardown(
            a_value_given_at_run_time_stands_above_a_flag_until_it_is_reset, options_test_setup,
            options_test_teardown),
        cmocka_unit_test_setup_teardown(a_change_that_is_refused_names_the_option_and_its_limit,
                                        options_test_setup, options_test_teardown),
        cmocka_unit_test_setup_teardown(a_copy_is_changed_alone, options_test_setup,
                                        options_test_teardown),
        cmocka_unit_test_setup_teardown(what_is_read_again_goes_below_what_was_given_at_run_time,
                                        options_test_setup, options_test_teardown),
        cmocka_unit_test(a_bad_row_ends_the_program_at_once),
        cmocka_unit_test_setup_teardown(asking_for_what_is_in_no_table_ends_the_program,
                                        options_test_setup, options_test_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
