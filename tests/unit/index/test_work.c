/*
 * Goal: who asks is served in his order, once, and not at all once he is gone.
 * Method: work.c with partitions that are nothing but a link.
 */
#include "tests/unit/index/index_support.h"

#include "index/partition_inside.h"

enum { MANY = 5 };
static struct partition partitions[MANY];
static struct work *work;

static int start(void **state)
{
    (void)state;
    memset(partitions, 0, sizeof(partitions));
    return work_create(&work) == STATUS_OK ? 0 : -1;
}

static int stop(void **state)
{
    (void)state;
    work_destroy(&work);
    work_destroy(&work);
    return work == NULL ? 0 : -1;
}

static void who_asks_first_is_first_and_only_once(void **state)
{
    (void)state;
    assert_null(work_take(work));
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < MANY; i++)
            work_ask(work, &partitions[i]);
    assert_int_equal(work_place_of(work, &partitions[3]), WORK_ASKED);
    assert_int_equal(work_asked(work), MANY);
    for (int i = 0; i < MANY; i++)
        assert_ptr_equal(work_take(work), &partitions[i]);
    assert_null(work_take(work));
    work_ask(work, &partitions[2]);
    assert_ptr_equal(work_take(work), &partitions[2]);
}

static void who_is_forgotten_is_not_served(void **state)
{
    (void)state;
    const int gone[] = {0, 2, 4}; /* first, middle, last */
    for (int i = 0; i < MANY; i++)
        work_ask(work, &partitions[i]);
    for (int i = 0; i < 3; i++) {
        work_forget(work, &partitions[gone[i]]);
        work_forget(work, &partitions[gone[i]]); /* twice is harmless */
        assert_int_equal(work_place_of(work, &partitions[gone[i]]), WORK_NOWHERE);
    }
    assert_int_equal(work_asked(work), MANY - 3);
    assert_ptr_equal(work_take(work), &partitions[1]);
    assert_ptr_equal(work_take(work), &partitions[3]);
    assert_null(work_take(work));
}

static void who_is_watched_asks_at_the_next_round(void **state)
{
    (void)state;
    work_watch(work, &partitions[0]);
    work_watch(work, &partitions[1]);
    assert_null(work_take(work));
    assert_int_equal(work_place_of(work, &partitions[0]), WORK_WATCHED);
    work_ask(work, &partitions[1]);   /* needs no round */
    work_watch(work, &partitions[1]); /* and does not step back */
    assert_ptr_equal(work_take(work), &partitions[1]);
    work_round(work);
    assert_ptr_equal(work_take(work), &partitions[0]);
    work_watch(work, &partitions[0]);
    work_forget(work, &partitions[0]);
    work_round(work);
    assert_null(work_take(work));
}

static void waiting_ends_when_somebody_has_asked_or_wakes(void **state)
{
    (void)state;
    work_ask(work, &partitions[0]);
    work_wait(work); /* returns at once */
    assert_ptr_equal(work_take(work), &partitions[0]);
    work_wake(work, 1);
    work_wait(work);
    work_wait(work); /* the ask's own wake was still there */
    assert_null(work_take(work));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_asks_first_is_first_and_only_once, start, stop),
        cmocka_unit_test_setup_teardown(who_is_forgotten_is_not_served, start, stop),
        cmocka_unit_test_setup_teardown(who_is_watched_asks_at_the_next_round, start, stop),
        cmocka_unit_test_setup_teardown(waiting_ends_when_somebody_has_asked_or_wakes, start, stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
