/*
 * Goal: sixty verdicts a minute for each reporter, in memory of a fixed size. Method: the clock is
 * turned by hand; small tables are overfilled; threads share one reporter.
 */
#include "tests/support/unit.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "trust/reporter.h"

static const uint8_t hash_key[16] = "sixteen bytes ok";
static const int64_t NOW_MS = INT64_C(1700000000000);

static struct reporters *reporters_of(uint32_t reporters_max)
{
    struct reporters *reporters = NULL;
    assert_int_equal(reporters_create(reporters_max, hash_key, &reporters), STATUS_OK);
    return reporters;
}

static uint32_t take(struct reporters *reporters, const char *name, int times, int64_t now_ms)
{
    uint32_t taken = 0, left = 0;
    for (int i = 0; i < times; i++)
        taken += reporters_take(reporters, text_of(name), now_ms, &left);
    return taken;
}

static void sixty_verdicts_fit_into_a_minute(void **state)
{
    (void)state;
    struct reporters *reporters = reporters_of(4);
    uint32_t left = 99;
    for (uint32_t i = 1; i <= 60; i++) {
        assert_true(reporters_take(reporters, TEXT("ann"), NOW_MS + i, &left));
        assert_int_equal(left, 60 - i);
    }
    assert_false(reporters_take(reporters, TEXT("ann"), NOW_MS + 61, &left));
    assert_int_equal(left, 0);
    assert_false(reporters_take(reporters, TEXT("ann"), NOW_MS + 1 + 59999, &left));
    assert_true(reporters_take(reporters, TEXT("ann"), NOW_MS + 1 + 60000, &left));
    assert_int_equal(left, 59);
    reporters_destroy(&reporters);
    assert_null(reporters);
    reporters_destroy(&reporters);
}

static void reporters_do_not_pay_for_each_other(void **state)
{
    (void)state;
    struct reporters *reporters = reporters_of(4);
    assert_int_equal(take(reporters, "ann", 100, NOW_MS), 60);
    assert_int_equal(take(reporters, "bob", 100, NOW_MS), 60);
    reporters_destroy(&reporters);
}

static void who_names_nobody_is_not_limited(void **state)
{
    (void)state;
    struct reporters *reporters = reporters_of(4);
    uint32_t left = 0;
    assert_int_equal(take(reporters, "", 1000, NOW_MS), 1000);
    assert_true(reporters_take(reporters, (struct text){NULL, 0}, NOW_MS, &left));
    assert_int_equal(left, 60);
    reporters_destroy(&reporters);
}

static void a_clock_set_back_begins_a_new_minute(void **state)
{
    (void)state;
    struct reporters *reporters = reporters_of(4);
    assert_int_equal(take(reporters, "ann", 61, NOW_MS), 60);
    assert_int_equal(take(reporters, "ann", 1, NOW_MS - 3600 * 1000), 1);
    reporters_destroy(&reporters);
}

static void the_longest_silent_one_is_forgotten(void **state)
{
    (void)state;
    struct reporters *reporters = reporters_of(3);
    assert_int_equal(take(reporters, "ann", 60, NOW_MS), 60);
    assert_int_equal(take(reporters, "bob", 60, NOW_MS), 60);
    assert_int_equal(take(reporters, "cid", 60, NOW_MS), 60);
    assert_int_equal(take(reporters, "ann", 1, NOW_MS),
                     0); /* refused, but heard: bob is the most silent */
    assert_int_equal(take(reporters, "dan", 1, NOW_MS), 1);
    assert_int_equal(take(reporters, "ann", 1, NOW_MS), 0);
    assert_int_equal(take(reporters, "cid", 1, NOW_MS), 0);
    assert_int_equal(take(reporters, "bob", 1, NOW_MS), 1);
    reporters_destroy(&reporters);
}

static void a_table_of_one_works(void **state)
{
    (void)state;
    struct reporters *reporters = reporters_of(1);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(take(reporters, "ann", 61, NOW_MS), 60);
        assert_int_equal(take(reporters, "bob", 61, NOW_MS), 60);
    }
    reporters_destroy(&reporters);
}

/* As many as there are places keep their counts, however many came before. */
static void the_newest_keep_their_places_in_a_crowd(void **state)
{
    (void)state;
    enum { PLACES = 64, CROWD = 5000 };
    struct reporters *reporters = reporters_of(PLACES);
    char name[16];
    for (int i = 0; i < CROWD; i++) {
        (void)snprintf(name, sizeof(name), "r%d", i);
        assert_int_equal(take(reporters, name, 2, NOW_MS), 2);
    }
    for (int i = CROWD - PLACES; i < CROWD; i++) {
        (void)snprintf(name, sizeof(name), "r%d", i);
        assert_int_equal(take(reporters, name, 60, NOW_MS), 58);
    }
    reporters_destroy(&reporters);
}

struct taker {
    struct reporters *reporters;
    uint32_t taken;
};

static void *take_many(void *argument)
{
    struct taker *taker = argument;
    char name[16];
    for (int i = 0; i < 500; i++) {
        taker->taken += take(taker->reporters, "shared", 1, NOW_MS);
        (void)snprintf(name, sizeof(name), "r%d", i % 7);
        (void)take(taker->reporters, name, 1, NOW_MS);
    }
    return NULL;
}

static void threads_share_the_sixty(void **state)
{
    (void)state;
    struct reporters *reporters = reporters_of(16);
    struct taker takers[4];
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++) {
        takers[i] = (struct taker){reporters, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, &takers[i]), 0);
    }
    uint32_t taken = 0;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        taken += takers[i].taken;
    }
    assert_int_equal(taken, 60);
    reporters_destroy(&reporters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixty_verdicts_fit_into_a_minute),
        cmocka_unit_test(reporters_do_not_pay_for_each_other),
        cmocka_unit_test(who_names_nobody_is_not_limited),
        cmocka_unit_test(a_clock_set_back_begins_a_new_minute),
        cmocka_unit_test(the_longest_silent_one_is_forgotten),
        cmocka_unit_test(a_table_of_one_works),
        cmocka_unit_test(the_newest_keep_their_places_in_a_crowd),
        cmocka_unit_test(threads_share_the_sixty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
