/*
 * test_clock.c - Goal: the units are what the names say, the monotonic clock never goes back,
 * chance differs. Method: comparison with time(2) and of draws with each other.
 */
#include "tests/support/unit.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"

static void the_wall_clock_counts_unix_milliseconds(void **state)
{
    (void)state;
    int64_t before = (int64_t)time(NULL) * 1000;
    int64_t now = clock_wall_ms();
    int64_t after = ((int64_t)time(NULL) + 1) * 1000;
    /* time(2) may lag by a tick of the kernel. */
    assert_true(now >= before - 1000);
    assert_true(now <= after + 1000);
}

static uint64_t kernel_us(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* Between two readings of the kernel's clock, however long the test is held up. */
static void the_monotonic_clock_counts_microseconds_and_never_goes_back(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t before = kernel_us();
        uint64_t now = clock_monotonic_us();
        uint64_t after = kernel_us();
        assert_true(now >= before);
        assert_true(now <= after);
    }
}

static void chance_fills_every_byte_and_never_repeats(void **state)
{
    (void)state;
    unsigned char ever[300] = {0};
    unsigned char draw[300], other[300];
    for (int i = 0; i < 20; i++) {
        clock_chance(draw, sizeof(draw));
        for (size_t j = 0; j < sizeof(draw); j++)
            ever[j] |= draw[j];
    }
    for (size_t j = 0; j < sizeof(ever); j++)
        assert_int_not_equal(ever[j], 0); /* wrong once in 2^160 */
    clock_chance(other, sizeof(other));
    assert_memory_not_equal(draw, other, sizeof(draw));
    clock_chance(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wall_clock_counts_unix_milliseconds),
        cmocka_unit_test(the_monotonic_clock_counts_microseconds_and_never_goes_back),
        cmocka_unit_test(chance_fills_every_byte_and_never_repeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
