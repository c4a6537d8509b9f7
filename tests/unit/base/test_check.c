/*
 * test_check.c - Goal: asserts are on in every build, whatever CMake's build type brings along.
 * Method: a false assert runs in a child process, which must be killed by SIGABRT.
 */
#include "tests/support/unit.h"

#include "base/check.h"
#include "tests/unit/base/death.h"

static int one = 1;

static void assert_falsely(void)
{
    assert(one == 2);
}

static void assert_truly(void)
{
    assert(one == 1);
}

static void a_false_assert_ends_the_program(void **state)
{
    (void)state;
    assert_true(dies(assert_falsely));
    assert_false(dies(assert_truly));
}

#ifdef REPRISE_SLOW_CHECKS
static void assert_slowly(void)
{
    assert_slow(one == 2);
}

static void a_false_slow_assert_ends_a_debug_build(void **state)
{
    (void)state;
    assert_true(dies(assert_slowly));
}
#else
static int raise_one(void)
{
    return ++one;
}

static void a_slow_assert_costs_nothing_in_a_release(void **state)
{
    (void)state;
    assert_slow(raise_one() == 7);
    assert_int_equal(one, 1);
    assert_int_equal(raise_one(), 2);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_false_assert_ends_the_program),
#ifdef REPRISE_SLOW_CHECKS
        cmocka_unit_test(a_false_slow_assert_ends_a_debug_build),
#else
        cmocka_unit_test(a_slow_assert_costs_nothing_in_a_release),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
