/*
 * Goal: every timer is fired once, not before its moment and in their order, or is taken back,
 * never both.
 * Method: the clock is an argument of timers_tick; at last the thread of the room and four more
 * arm, fire and cancel at random.
 */
#include "server/grpc/timers.h"

#include <pthread.h>
#include <sched.h>

#include "base/clock.h"
#include "tests/support/unit.h"

enum { TIMERS_MAX = 64 };

static uint64_t fired_us[TIMERS_MAX]; /* in the order in which they were */
static uint32_t fired_count;

static void note(struct timer *timer)
{
    fired_us[fired_count++] = timer->due_us;
}

static int set_up(void **state)
{
    struct timers *timers = NULL;
    assert_int_equal(timers_create(TIMERS_MAX, &timers), STATUS_OK);
    fired_count = 0;
    *state = timers;
    return 0;
}

static int tear_down(void **state)
{
    struct timers *timers = *state;
    timers_hurry(timers);
    timers_destroy(&timers);
    timers_destroy(&timers); /* NULL by now */
    return 0;
}

/* 37 has no factor in common with 64: all moments from 0 to 63, mixed. */
static void arm_all(struct timers *timers, struct timer all[TIMERS_MAX])
{
    for (uint32_t i = 0; i < TIMERS_MAX; i++) {
        all[i] = (struct timer){.fire = note, .due_us = i * 37 % TIMERS_MAX};
        assert_true(timers_arm(timers, &all[i]));
    }
}

static void they_fire_in_their_order_and_not_before(void **state)
{
    struct timers *timers = *state;
    struct timer all[TIMERS_MAX];
    arm_all(timers, all);
    for (uint64_t now_us = 0; now_us < TIMERS_MAX; now_us++) {
        const uint64_t next_us = timers_tick(timers, now_us);
        assert_int_equal(fired_count, now_us + 1);
        assert_int_equal(fired_us[now_us], now_us);
        assert_true(next_us == (now_us + 1 < TIMERS_MAX ? now_us + 1 : UINT64_MAX));
    }
}

static void what_is_taken_back_is_not_fired(void **state)
{
    struct timers *timers = *state;
    struct timer all[TIMERS_MAX];
    arm_all(timers, all);
    for (uint32_t i = 0; i < TIMERS_MAX; i += 2) { /* those of even moments */
        assert_true(timers_cancel(timers, &all[i]));
        assert_false(timers_cancel(timers, &all[i]));
    }
    assert_true(timers_tick(timers, TIMERS_MAX) == UINT64_MAX);
    assert_int_equal(fired_count, TIMERS_MAX / 2);
    for (uint32_t i = 0; i < fired_count; i++)
        assert_int_equal(fired_us[i], 2 * i + 1);
    assert_false(timers_cancel(timers, &all[1])); /* too late */
}

static void beyond_the_limit_and_for_who_has_gone_none_is_armed(void **state)
{
    struct timers *timers = *state;
    struct timer all[TIMERS_MAX], more = {.fire = note};
    atomic_bool gone = true;
    arm_all(timers, all);
    assert_false(timers_arm(timers, &more));
    assert_true(timers_cancel(timers, &all[5]));
    more.gone = &gone;
    assert_false(timers_arm(timers, &more));
    atomic_store(&gone, false);
    assert_true(timers_arm(timers, &more));
    timers_hurry(timers); /* while they are there */
}

static void hurrying_fires_all_and_arms_none(void **state)
{
    struct timers *timers = *state;
    struct timer all[TIMERS_MAX];
    arm_all(timers, all);
    timers_hurry(timers);
    assert_int_equal(fired_count, TIMERS_MAX);
    assert_false(timers_arm(timers, &all[0]));
}

/* ---- threads --------------------------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 3000 };

struct visitor {
    struct timer timer;
    atomic_int fired;
};

struct crowd {
    struct timers *timers;
    atomic_int failures;
};

static void count(struct timer *timer)
{
    struct visitor *visitor = timer->context;
    atomic_fetch_add(&visitor->fired, 1);
}

static void *visit(void *argument)
{
    struct crowd *crowd = argument;
    struct visitor visitor = {.timer = {.fire = count, .context = &visitor}};
    for (uint64_t round = 0; round < ROUNDS; round++) {
        atomic_store(&visitor.fired, 0);
        visitor.timer.due_us = clock_monotonic_us() + round % 64;
        if (!timers_arm(crowd->timers, &visitor.timer)) {
            atomic_fetch_add(&crowd->failures, 1);
            continue;
        }
        const bool is_back = round % 3 == 0 && timers_cancel(crowd->timers, &visitor.timer);
        while (!is_back && atomic_load(&visitor.fired) == 0)
            sched_yield();
        if (atomic_load(&visitor.fired) != (is_back ? 0 : 1))
            atomic_fetch_add(&crowd->failures, 1);
    }
    return NULL;
}

static void a_crowd_is_woken_once_each(void **state)
{
    struct crowd crowd = {.timers = *state};
    pthread_t threads[THREADS];
    assert_int_equal(timers_start(crowd.timers), STATUS_OK);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, visit, &crowd), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&crowd.failures), 0);
}

#define TIMED(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TIMED(they_fire_in_their_order_and_not_before),
        TIMED(what_is_taken_back_is_not_fired),
        TIMED(beyond_the_limit_and_for_who_has_gone_none_is_armed),
        TIMED(hurrying_fires_all_and_arms_none),
        TIMED(a_crowd_is_woken_once_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
