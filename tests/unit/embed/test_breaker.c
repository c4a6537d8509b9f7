/*
 * test_breaker.c - Goal: five failures in a row open the circuit, one success closes it, and while
 * it is open there is one probe a second. Method: time is an argument.
 */
#include "tests/support/unit.h"

#include "embed/breaker.h"

static void fail_often(struct breaker *breaker, int times, uint64_t now_us)
{
    for (int i = 0; i < times; i++)
        assert_false(breaker_fail(breaker, now_us));
}

static void the_fifth_failure_in_a_row_opens_it(void **state)
{
    (void)state;
    struct breaker breaker = {0};
    fail_often(&breaker, 4, 100);
    assert_false(breaker.is_open);
    assert_true(breaker_due_us(&breaker) == UINT64_MAX);
    assert_true(breaker_fail(&breaker, 100));
    assert_true(breaker.is_open);
    assert_false(breaker_fail(&breaker, 100)); /* opened once */
}

static void a_success_between_failures_starts_the_count_anew(void **state)
{
    (void)state;
    struct breaker breaker = {0};
    for (int round = 0; round < 10; round++) {
        fail_often(&breaker, 4, 0);
        assert_false(breaker_succeed(&breaker));
    }
    assert_false(breaker.is_open);
}

static void one_probe_a_second_until_a_success(void **state)
{
    (void)state;
    struct breaker breaker = {0};
    assert_false(breaker_take_probe(&breaker, 5));
    fail_often(&breaker, 4, 100);
    assert_true(breaker_fail(&breaker, 100));
    assert_int_equal(breaker_due_us(&breaker), 1000100);
    assert_false(breaker_take_probe(&breaker, 1000099));
    assert_true(breaker_take_probe(&breaker, 1000100));
    assert_false(breaker_take_probe(&breaker, 2000099));
    assert_true(breaker_take_probe(&breaker, 9000000));
    assert_int_equal(breaker_due_us(&breaker), 10000000);
    assert_true(breaker_succeed(&breaker));
    assert_false(breaker_succeed(&breaker)); /* closed once */
    fail_often(&breaker, 4, 0);
}

static void it_can_be_opened_at_once(void **state)
{
    (void)state;
    struct breaker breaker = {0};
    breaker_trip(&breaker, 7);
    assert_true(breaker.is_open);
    assert_int_equal(breaker_due_us(&breaker), 1000007);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fifth_failure_in_a_row_opens_it),
        cmocka_unit_test(a_success_between_failures_starts_the_count_anew),
        cmocka_unit_test(one_probe_a_second_until_a_success),
        cmocka_unit_test(it_can_be_opened_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
