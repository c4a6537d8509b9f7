/*
 * test_option_value.c - Goal: every unit means what it says, every limit holds at both ends and is
 * named when it is broken, and nothing half-read passes. Method: rows of text and value, one table
 * a type.
 */
#include "tests/support/unit.h"

#include <string.h>

#include "base/option_value.h"

static char problem[OPTION_PROBLEM_MAX];
static struct option_value value;

static enum status parse(enum option_type type, const char *low, const char *high, const char *text)
{
    struct option_row row = {.name = "room.name",
                             .type = type,
                             .standard = "",
                             .low = low,
                             .high = high,
                             .unit = "calls",
                             .meaning = "A test."};
    problem[0] = '\0';
    return option_value_parse(&row, text, &value, problem);
}

static void assert_whole(enum option_type type, const char *text, uint64_t expected)
{
    assert_int_equal(parse(type, NULL, NULL, text), STATUS_OK);
    assert_int_equal(value.whole, expected);
}

static void assert_refused(enum option_type type, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        value.whole = 77;
        assert_int_equal(parse(type, NULL, NULL, texts[i]), STATUS_BAD_OPTION);
        assert_true(strlen(problem) > 0);
        assert_int_equal(value.whole, 77);
    }
}

static void sizes_are_bytes_with_binary_units(void **state)
{
    (void)state;
    assert_whole(OPTION_SIZE, "0", 0);
    assert_whole(OPTION_SIZE, "512", 512);
    assert_whole(OPTION_SIZE, "64KiB", 65536);
    assert_whole(OPTION_SIZE, "4MiB", 4194304);
    assert_whole(OPTION_SIZE, "1GiB", 1073741824);
    assert_whole(OPTION_SIZE, "17179869183GiB", UINT64_C(17179869183) << 30);
    static const char *const wrong[] = {
        "",   "KiB",    "4MB",   "4 MiB", "4mib",           "-1",
        "+1", "1.5GiB", "4MiBx", " 4",    "17179869184GiB", "18446744073709551616"};
    assert_refused(OPTION_SIZE, wrong, sizeof(wrong) / sizeof(wrong[0]));
}

static void durations_are_microseconds_with_a_unit(void **state)
{
    (void)state;
    assert_whole(OPTION_DURATION, "0", 0);
    assert_whole(OPTION_DURATION, "30us", 30);
    assert_whole(OPTION_DURATION, "50ms", 50000);
    assert_whole(OPTION_DURATION, "10s", 10000000);
    assert_whole(OPTION_DURATION, "5min", 300000000);
    assert_whole(OPTION_DURATION, "24h", UINT64_C(86400000000));
    assert_whole(OPTION_DURATION, "30d", UINT64_C(2592000000000));
    static const char *const wrong[] = {"",    "10",      "10m", "10 s",      "s",
                                        "-5s", "1h30min", "10S", "213503983d"};
    assert_refused(OPTION_DURATION, wrong, sizeof(wrong) / sizeof(wrong[0]));
}

static void whole_numbers_have_digits_only(void **state)
{
    (void)state;
    assert_whole(OPTION_UINT, "0", 0);
    assert_whole(OPTION_UINT, "007", 7);
    assert_whole(OPTION_UINT, "18446744073709551615", UINT64_MAX);
    static const char *const wrong[] = {
        "",  "1k", "-1", "0x10", "1.0", "1e3", "18446744073709551616", "99999999999999999999999",
        "1 "};
    assert_refused(OPTION_UINT, wrong, sizeof(wrong) / sizeof(wrong[0]));
}

static void numbers_are_decimal_and_finite(void **state)
{
    (void)state;
    assert_int_equal(parse(OPTION_NUMBER, NULL, NULL, "0.95"), STATUS_OK);
    assert_true(value.number == 0.95);
    assert_int_equal(parse(OPTION_NUMBER, NULL, NULL, "-1e-3"), STATUS_OK);
    assert_true(value.number == -0.001);
    static const char *const wrong[] = {"",      "nan", "inf", "0x1p3", "1,5",
                                        "1.2.3", "1e",  "--1", "1e999", "."};
    assert_refused(OPTION_NUMBER, wrong, sizeof(wrong) / sizeof(wrong[0]));
}

static void a_flag_is_true_or_false(void **state)
{
    (void)state;
    assert_int_equal(parse(OPTION_FLAG, NULL, NULL, "true"), STATUS_OK);
    assert_true(value.flag);
    assert_int_equal(parse(OPTION_FLAG, NULL, NULL, "false"), STATUS_OK);
    assert_false(value.flag);
    static const char *const wrong[] = {"", "yes", "1", "True", "on", "truee"};
    assert_refused(OPTION_FLAG, wrong, sizeof(wrong) / sizeof(wrong[0]));
}

static void a_choice_is_one_whole_word_of_its_list(void **state)
{
    (void)state;
    struct option_row row = {.name = "log.format",
                             .type = OPTION_CHOICE,
                             .standard = "text",
                             .choices = "text|json|j",
                             .meaning = "A test."};
    static const char *const good[] = {"text", "json", "j"};
    static const char *const wrong[] = {"", "tex", "texts", "text|json", "|", "JSON", "js"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(option_value_parse(&row, good[i], &value, problem), STATUS_OK);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(option_value_parse(&row, wrong[i], &value, problem), STATUS_BAD_OPTION);
    assert_string_equal(problem, "\"js\" is not one of the words text, json, j");
}

static void limits_hold_at_both_ends_and_are_named(void **state)
{
    (void)state;
    assert_int_equal(parse(OPTION_UINT, "1", "64", "1"), STATUS_OK);
    assert_int_equal(parse(OPTION_UINT, "1", "64", "64"), STATUS_OK);
    assert_int_equal(parse(OPTION_UINT, "1", "64", "0"), STATUS_BAD_OPTION);
    assert_string_equal(problem, "0 is outside its limits: 1 to 64 calls");
    assert_int_equal(parse(OPTION_UINT, "1", "64", "65"), STATUS_BAD_OPTION);
    assert_int_equal(parse(OPTION_SIZE, "1KiB", NULL, "1023"), STATUS_BAD_OPTION);
    assert_string_equal(problem, "1023 is outside its limits: 1KiB or more");
    assert_int_equal(parse(OPTION_SIZE, NULL, "1KiB", "1024"), STATUS_OK);
    assert_int_equal(parse(OPTION_DURATION, NULL, "1min", "61s"), STATUS_BAD_OPTION);
    assert_string_equal(problem, "61s is outside its limits: at most 1min");
    assert_int_equal(parse(OPTION_DURATION, "1s", "1min", "60s"), STATUS_OK);
    assert_int_equal(parse(OPTION_NUMBER, "0", "1", "1.0000001"), STATUS_BAD_OPTION);
    assert_int_equal(parse(OPTION_NUMBER, "-1", "1", "-1"), STATUS_OK);
}

static void any_text_is_a_string_and_a_long_one_does_not_overflow_the_problem(void **state)
{
    (void)state;
    char text[1000];
    memset(text, '9', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(parse(OPTION_STRING, NULL, NULL, ""), STATUS_OK);
    assert_int_equal(parse(OPTION_STRING, NULL, NULL, text), STATUS_OK);
    assert_int_equal(parse(OPTION_UINT, NULL, NULL, text), STATUS_BAD_OPTION);
    assert_true(strlen(problem) < 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_bytes_with_binary_units),
        cmocka_unit_test(durations_are_microseconds_with_a_unit),
        cmocka_unit_test(whole_numbers_have_digits_only),
        cmocka_unit_test(numbers_are_decimal_and_finite),
        cmocka_unit_test(a_flag_is_true_or_false),
        cmocka_unit_test(a_choice_is_one_whole_word_of_its_list),
        cmocka_unit_test(limits_hold_at_both_ends_and_are_named),
        cmocka_unit_test(any_text_is_a_string_and_a_long_one_does_not_overflow_the_problem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
