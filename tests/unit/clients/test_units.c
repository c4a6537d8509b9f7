/*
 * Goal: times, numbers and vectors are read strictly, and printed so that people read them at a
 * glance. Method: tables of what is good and what is not, limits included. Room: units.
 */
#include <stdlib.h>

#include "clients/cli/units.h"
#include "tests/support/unit.h"

static void durations_have_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } good[] = {{"0", 0},          {"250ms", 250},
                {"10s", 10000},    {"10min", 600000},
                {"24h", 86400000}, {"30d", 2592000000},
                {"0s", 0},         {"18446744073709551615ms", UINT64_MAX}};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        uint64_t ms = 7;
        assert_true(units_read_ms(good[i].text, &ms));
        assert_int_equal(ms, good[i].ms);
    }
}

static void what_is_no_duration_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "10",
                                      "s",
                                      "-1s",
                                      "10 s",
                                      "10S",
                                      "1.5h",
                                      "10m",
                                      "10sx",
                                      "0x10s",
                                      " 10s",
                                      "18446744073709551616ms",
                                      "213503982335d"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t ms = 7;
        assert_false(units_read_ms(bad[i], &ms));
        assert_int_equal(ms, 7);
    }
}

static void numbers_are_whole_texts(void **state)
{
    (void)state;
    double number = 0;
    uint64_t count = 0;
    assert_true(units_read_number("-0.5e1", &number));
    assert_true(number == -5);
    assert_false(units_read_number("1,5", &number));
    assert_false(units_read_number("", &number));
    assert_false(units_read_number("nan", &number));
    assert_false(units_read_number("inf", &number));
    assert_true(units_read_count("64", 1, 64, &count));
    assert_int_equal(count, 64);
    assert_false(units_read_count("65", 1, 64, &count));
    assert_false(units_read_count("0", 1, 64, &count));
    assert_false(units_read_count("1e3", 1, 10000, &count));
}

static void vectors_are_numbers_with_commas(void **state)
{
    (void)state;
    float *numbers = NULL;
    size_t count = 0;
    assert_true(units_read_vector("0.5,-2,3e-1", &numbers, &count));
    assert_int_equal(count, 3);
    assert_true(numbers[0] == 0.5F && numbers[1] == -2.0F && numbers[2] == 0.3F);
    free(numbers);
    static const char *const bad[] = {"", ",", "1,", ",1", "1,,2", "1;2", "1,x", "1,nan", "1,inf"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        numbers = NULL;
        assert_false(units_read_vector(bad[i], &numbers, &count));
        assert_null(numbers);
    }
}

static void amounts_are_printed_in_their_own_units(void **state)
{
    (void)state;
    char out[UNITS_TEXT_MAX];
    assert_string_equal(units_print_bytes(0, out), "0 B");
    assert_string_equal(units_print_bytes(1023, out), "1023 B");
    assert_string_equal(units_print_bytes(1536, out), "1.5 KiB");
    assert_string_equal(units_print_bytes(UINT64_C(5) << 30, out), "5.0 GiB");
    assert_string_equal(units_print_bytes(UINT64_MAX, out), "16777216.0 TiB");
    assert_string_equal(units_print_ms(0, out), "0 ms");
    assert_string_equal(units_print_ms(999, out), "999 ms");
    assert_string_equal(units_print_ms(61000, out), "1 min 1 s");
    assert_string_equal(units_print_ms(86399000, out), "23 h 59 min");
    assert_string_equal(units_print_ms(86400000, out), "1 d");
    assert_string_equal(units_print_us(812, out), "812 us");
    assert_string_equal(units_print_us(12345, out), "12.3 ms");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_have_units),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(numbers_are_whole_texts),
        cmocka_unit_test(vectors_are_numbers_with_commas),
        cmocka_unit_test(amounts_are_printed_in_their_own_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
