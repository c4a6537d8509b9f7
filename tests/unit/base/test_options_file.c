/*
 * test_options_file.c - tests options_file.c. Goal: two levels of YAML are read, everything else is
 * reported with its line, all of it. Method: files as texts, then the values and the exact lines
 * that were reported, without the path.
 */
#include "tests/support/unit.h"

#include <string.h>

#include "base/options.h"
#include "tests/support/folder.h"
#include "tests/unit/base/option_rows.h"

/* Reads `text` as a file; what is reported has "FILE" for its path. */
static enum status read_text(struct options_test *test, const char *text, size_t length,
                             char reported[4096])
{
    char folder[64], path[80];
    folder_create(folder);
    (void)snprintf(path, sizeof(path), "%s/reprise.yaml", folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    (void)fclose(file);
    enum status status = options_read_file(test->options, path, test->errors);
    folder_remove(folder);
    const char *place = options_test_reported(test);
    size_t used = 0;
    for (const char *found; (found = strstr(place, path)) != NULL; place = found + strlen(path))
        used +=
            (size_t)snprintf(reported + used, 4096 - used, "%.*sFILE", (int)(found - place), place);
    (void)snprintf(reported + used, 4096 - used, "%s", place);
    return status;
}

static void assert_report(void **state, const char *text, const char *expected)
{
    char reported[4096];
    enum status status = read_text(*state, text, strlen(text), reported);
    assert_string_equal(reported, expected);
    assert_int_equal(status, expected[0] == '\0' ? STATUS_OK : STATUS_BAD_OPTION);
}

static void rooms_and_names_are_read(void **state)
{
    const struct options_test *test = *state;
    assert_report(state,
                  "# our settings\n"
                  "server:\n"
                  "  inflight_max: 128   # few\n"
                  "  drain_delay: 5s\n"
                  "  reuse_port: false\n"
                  "cache: {threshold: 0.9, until_certified: 'nothing', folder: \"/data/a b\"}\n",
                  "");
    assert_int_equal(options_uint(test->options, "server.inflight_max"), 128);
    assert_int_equal(options_us(test->options, "server.drain_delay"), 5000000);
    assert_false(options_flag(test->options, "server.reuse_port"));
    assert_true(options_number(test->options, "cache.threshold") == 0.9);
    assert_string_equal(options_text(test->options, "cache.until_certified"), "nothing");
    assert_string_equal(options_text(test->options, "cache.folder"), "/data/a b");
}

static void an_empty_file_and_an_empty_room_are_fine(void **state)
{
    assert_report(state, "", "");
    assert_report(state, "# nothing but a comment\n", "");
    assert_report(state, "---\n", "");
    assert_report(state, "server:\n  # inflight_max: 1\ncache: {}\n", "");
}

static void a_quoted_nothing_is_a_value_and_a_missing_one_is_not(void **state)
{
    const struct options_test *test = *state;
    assert_report(state, "cache:\n  folder: \"\"\n", "");
    assert_true(options_is_set(test->options, "cache.folder"));
    assert_report(state, "cache:\n  memory:\n  threshold: ~\n",
                  "FILE:2: cache.memory has no value\n"
                  "FILE:3: cache.threshold has no value\n");
}

static void every_mistake_is_reported_with_its_line(void **state)
{
    const struct options_test *test = *state;
    assert_report(
        state,
        "server:\n"
        "  inflght_max: 5\n"
        "  drain_delay: 5 seconds\n"
        "  message_max: 1KiB\n"
        "  drain_delay: 3s\n"
        "serve:\n"
        "  inflight_max: 9\n"
        "cache:\n"
        "  until_certified: maybe\n"
        "  qqqqqqqqqqqqqqqqqqqqqqqq: 1\n"
        "  threshold: 0.8\n",
        "FILE:2: server.inflght_max is not an option; did you mean server.inflight_max?\n"
        "FILE:3: server.drain_delay: \"5 seconds\" is not a duration such as 30us, 50ms, 10s, "
        "5min, 24h or 30d\n"
        "FILE:4: server.message_max: 1KiB is outside its limits: 64KiB to 64MiB\n"
        "FILE:5: server.drain_delay is given twice\n"
        "FILE:7: serve.inflight_max is not an option; did you mean server.inflight_max?\n"
        "FILE:9: cache.until_certified: \"maybe\" is not one of the words static, nothing\n"
        "FILE:10: cache.qqqqqqqqqqqqqqqqqqqqqqqq is not an option\n");
    assert_true(options_number(test->options, "cache.threshold") ==
                0.8); /* what is right is read */
}

static void lists_deeper_levels_and_aliases_are_refused_as_a_whole(void **state)
{
    const struct options_test *test = *state;
    assert_report(state,
                  "server:\n"
                  "  inflight_max: [1, 2, {a: 3}]\n"
                  "  message_max: {a: {b: 1}}\n"
                  "  drain_delay: &wait 1s\n"
                  "cache:\n"
                  "  - folder\n"
                  "  - memory\n"
                  "log: text\n"
                  "other:\n"
                  "  ? [a, b]\n"
                  "  : 1\n"
                  "  unknown: [*wait]\n"
                  "? {a: 1}\n"
                  ": {b: 2}\n",
                  "FILE:2: server.inflight_max takes one value, not a list, a mapping or an alias\n"
                  "FILE:3: server.message_max takes one value, not a list, a mapping or an alias\n"
                  "FILE:6: cache needs its settings below it, as name: value\n"
                  "FILE:8: log needs its settings below it, as name: value\n"
                  "FILE:10: this key is not the name of a setting\n"
                  "FILE:12: other.unknown is not an option\n"
                  "FILE:13: this key is not the name of a setting\n");
    assert_int_equal(options_us(test->options, "server.drain_delay"), 1000000);
}

static void only_one_document_with_a_mapping_is_read(void **state)
{
    const struct options_test *test = *state;
    assert_report(state, "server:\n  inflight_max: 6\n---\nserver:\n  inflight_max: 7\n",
                  "FILE:3: a second document is not read\n");
    assert_int_equal(options_uint(test->options, "server.inflight_max"), 6);
}

static void a_list_for_a_file_is_refused(void **state)
{
    assert_report(state, "- server\n- cache\n", "FILE:1: expected room: {name: value}\n");
}

static void a_word_for_a_file_is_refused(void **state)
{
    assert_report(state, "server\n", "FILE:1: expected room: {name: value}\n");
}

static void broken_yaml_is_reported_with_its_line_and_ends_the_reading(void **state)
{
    struct options_test *test = *state;
    char reported[4096];
    const char *text = "server:\n  inflight_max: 5\n  drain_delay: \"1s\n";
    assert_int_equal(read_text(test, text, strlen(text), reported), STATUS_BAD_OPTION);
    assert_memory_equal(reported, "FILE:", 5);
    assert_non_null(strstr(reported, "end of stream"));
    assert_int_equal(options_uint(test->options, "server.inflight_max"), 5);
}

/* Cut at every byte, a file is read, or refused with a line; it never does anything else. */
static void a_file_cut_anywhere_is_read_or_refused(void **state)
{
    const char *text = "server: {inflight_max: 5, drain_delay: [1, {a: &b c}]}\n"
                       "cache:\n  folder: |\n    x\n  ? {q: *b}\n  : 1\n--- !!map\n\"\\x00\": 2\n";
    for (size_t length = 0; length <= strlen(text); length++) {
        char reported[4096];
        struct options_test *test = NULL;
        void *fresh = NULL;
        assert_int_equal(options_test_setup(&fresh), 0);
        test = fresh;
        enum status status = read_text(test, text, length, reported);
        assert_true(status == STATUS_OK || status == STATUS_BAD_OPTION);
        assert_true((status == STATUS_OK) == (reported[0] == '\0'));
        (void)options_test_teardown(&fresh);
    }
    (void)state;
}

static void a_value_with_nul_is_refused(void **state)
{
    assert_report(state, "cache:\n  folder: \"a\\0b\"\n",
                  "FILE:2: cache.folder: the value holds NUL\n");
}

static void a_file_that_is_not_there_is_reported(void **state)
{
    struct options_test *test = *state;
    assert_int_equal(options_read_file(test->options, "/nowhere/reprise.yaml", test->errors),
                     STATUS_BAD_OPTION);
    assert_string_equal(options_test_reported(test),
                        "/nowhere/reprise.yaml: No such file or directory\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rooms_and_names_are_read, options_test_setup,
                                        options_test_teardown),
        cmocka_unit_test_setup_teardown(an_empty_file_and_an_empty_room_are_fine,
                                        options_test_setup, options_test_teardown),
        cmocka_unit_test_setup_teardown(a_quoted_nothing_is_a_value_and_a_missing_one_is_not,
                                        options_test_setup, options_test_teardown),
        cmocka_unit_test_setup_teardown(every_mistake_is_reported_with_its_line, options_test_setup,
                                        options_test_teardown),
        cmocka_unit_test_setup_teardown(lists_deeper_levels_and_aliases_are_refused_as_a_whole,
                                        options_test_setup, options_test_teardown),
        cmocka_unit_test_setup_teardown(only_one_document_with_a_mapping_is_read,
                                        options_test_setup, options_test_teardown),
        cmocka_unit_test_setup_teardown(a_list_for_a_file_is_refused, options_test_setup,
                                        options_test_teardown),
        cmocka_unit_test_setup_teardown(a_word_for_a_file_is_refused, options_test_setup,
                                        options_test_teardown),
        cmocka_unit_test_setup_teardown(broken_yaml_is_reported_with_its_line_and_ends_the_reading,
                                        options_test_setup, options_test_teardown),
        cmocka_unit_test(a_file_cut_anywhere_is_read_or_refused),
        cmocka_unit_test_setup_teardown(a_value_with_nul_is_refused, options_test_setup,
                                        options_test_teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_not_there_is_reported, options_test_setup,
                                        options_test_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
