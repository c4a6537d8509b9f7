/*
 * Goal: the hand takes 600 ticks for a turn at rest, doubles its speed when much has expired, and
 * comes back. Method: the hand alone over an imagined map of equal buckets.
 */
#include "storage/expiry.h"

#include "tests/support/unit.h"

enum { BUCKETS_BITS = 10, BUCKETS_COUNT = 1 << BUCKETS_BITS };

static const uint64_t width = (uint64_t)1 << (64 - BUCKETS_BITS);

/* One tick in which each bucket shows 100 entries, so many of them expired; returns the buckets
 * passed. */
static unsigned tick(struct hand *hand, uint64_t expired_of_100)
{
    unsigned count = 0;
    hand_begin(hand);
    for (; hand_reaches(hand, width); count++) {
        hand_see(hand, 100, expired_of_100);
        hand_pass(hand, width);
    }
    hand_end(hand);
    return count;
}

static void a_turn_at_rest_takes_600_ticks(void **state)
{
    (void)state;
    struct hand hand;
    hand_init(&hand);
    unsigned count = 0;
    for (unsigned i = 0; i < EXPIRY_TURN_TICKS; i++) {
        const unsigned passed = tick(&hand, 0);
        assert_in_range(passed, 1, 2);
        count += passed;
    }
    assert_int_equal(count, BUCKETS_COUNT);
    assert_true(hand.position == 0);
}

static void more_than_a_twentieth_expired_doubles_the_speed_up_to_32(void **state)
{
    (void)state;
    struct hand hand;
    hand_init(&hand);
    (void)tick(&hand, 5); /* exactly a twentieth: no */
    assert_int_equal(hand.speed, 1);
    for (uint32_t speed = 2; speed <= 32; speed *= 2) {
        (void)tick(&hand, 6);
        assert_int_equal(hand.speed, speed);
    }
    (void)tick(&hand, 100);
    assert_int_equal(hand.speed, 32);
    const unsigned passed = tick(&hand, 100);
    assert_in_range(passed, BUCKETS_COUNT * 32 / 600, BUCKETS_COUNT * 32 / 600 + 1);
    for (uint32_t speed = 16; speed >= 1; speed /= 2) {
        (void)tick(&hand, 0);
        assert_int_equal(hand.speed, speed);
    }
    (void)tick(&hand, 0);
    assert_int_equal(hand.speed, 1);
}

static void a_tick_that_reaches_no_bucket_changes_nothing(void **state)
{
    (void)state;
    struct hand hand;
    hand_init(&hand);
    (void)tick(&hand, 50);
    assert_int_equal(hand.speed, 2);
    hand_begin(&hand); /* of a map so small that its buckets are wide */
    assert_false(hand_reaches(&hand, (uint64_t)1 << 61));
    hand_end(&hand);
    assert_int_equal(hand.speed, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_turn_at_rest_takes_600_ticks),
        cmocka_unit_test(more_than_a_twentieth_expired_doubles_the_speed_up_to_32),
        cmocka_unit_test(a_tick_that_reaches_no_bucket_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
