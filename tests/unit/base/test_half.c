/*
 * test_half.c - Goal: both ways are exactly IEEE 754, for all 65536 halves and for the floats
 * between them. Method: every half against its defining formula in double; every gap between two
 * neighbours at its middle and one step beside the middle.
 */
#include "tests/support/unit.h"

#include <math.h>

#include "base/half.h"

static double value_by_definition(uint16_t half)
{
    double sign = (half & 0x8000) != 0 ? -1.0 : 1.0;
    int exponent = half >> 10 & 0x1f;
    int fraction = half & 0x3ff;
    if (exponent == 0)
        return sign * ldexp(fraction, -24);
    return sign * ldexp(1024 + fraction, exponent - 25);
}

static void every_half_has_its_value(void **state)
{
    (void)state;
    for (uint32_t half = 0; half < 0x10000; half++) {
        float value = half_to_float((uint16_t)half);
        if ((half & 0x7c00) != 0x7c00) {
            assert_true((double)value == value_by_definition((uint16_t)half));
            assert_true(!!signbit(value) == ((half & 0x8000) != 0));
        } else if ((half & 0x3ff) == 0) {
            assert_true(isinf(value));
            assert_true(!!signbit(value) == ((half & 0x8000) != 0));
        } else {
            assert_true(isnan(value));
        }
    }
}

static void every_half_survives_the_way_through_a_float(void **state)
{
    (void)state;
    for (uint32_t half = 0; half < 0x10000; half++) {
        uint16_t back = half_from_float(half_to_float((uint16_t)half));
        if ((half & 0x7c00) == 0x7c00 && (half & 0x3ff) != 0)
            assert_true((back & 0x7c00) == 0x7c00 && (back & 0x3ff) != 0);
        else
            assert_int_equal(back, half);
    }
}

/* The middle of two neighbouring halves is a float, so rounding can be tested at, below and above
 * it. */
static void what_lies_between_rounds_to_nearest_even(void **state)
{
    (void)state;
    for (uint32_t half = 0; half < 0x7c00; half++) {
        float low = half_to_float((uint16_t)half);
        float high = half == 0x7bff ? 65536.0f : half_to_float((uint16_t)(half + 1));
        float middle = (float)(((double)low + (double)high) / 2);
        uint32_t even = (half & 1) == 0 ? half : half + 1;
        assert_int_equal(half_from_float(middle), even);
        assert_int_equal(half_from_float(nextafterf(middle, 0)), half);
        assert_int_equal(half_from_float(nextafterf(middle, INFINITY)), half + 1);
        assert_int_equal(half_from_float(-middle), even | 0x8000);
    }
}

static void what_is_too_large_becomes_infinite_and_too_small_zero(void **state)
{
    (void)state;
    assert_int_equal(half_from_float(1e30f), 0x7c00);
    assert_int_equal(half_from_float(-INFINITY), 0xfc00);
    assert_int_equal(half_from_float(1e-30f), 0);
    assert_int_equal(half_from_float(-1e-45f), 0x8000);
    assert_int_equal(half_from_float(NAN) & 0x7c00, 0x7c00);
    assert_int_not_equal(half_from_float(NAN) & 0x3ff, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_has_its_value),
        cmocka_unit_test(every_half_survives_the_way_through_a_float),
        cmocka_unit_test(what_lies_between_rounds_to_nearest_even),
        cmocka_unit_test(what_is_too_large_becomes_infinite_and_too_small_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
