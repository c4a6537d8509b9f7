/*
 * test_lock.c - Goal: a lock excludes, ranks are described, and in debug builds the wrong order
 * ends the program. Method: faults run in a child process that must die by SIGABRT.
 */
#include "tests/support/unit.h"

#include <string.h>

#include "base/lock.h"
#include "base/thread.h"
#include "tests/unit/base/death.h"

static struct lock outer, inner;

static int create(void **state)
{
    (void)state;
    lock_init(&outer, LOCK_RANK_DIRECTORY);
    lock_init(&inner, LOCK_RANK_PARTITION);
    return 0;
}

static int destroy(void **state)
{
    (void)state;
    lock_deinit(&inner);
    lock_deinit(&outer);
    return 0;
}

static void every_rank_says_what_it_guards(void **state)
{
    (void)state;
    for (int rank = 0; rank < LOCK_RANK_COUNT; rank++) {
        assert_true(strlen(lock_rank_name((enum lock_rank)rank)) > 0);
        assert_non_null(strstr(lock_rank_guards((enum lock_rank)rank), ": "));
    }
    assert_string_equal(lock_rank_name(LOCK_RANK_STRIPE), "STRIPE");
}

static void locks_of_rising_rank_are_released_in_any_order(void **state)
{
    (void)state;
    assert_true(lock_none_held());
    lock_acquire(&outer);
    lock_acquire(&inner);
    lock_release(&outer);
    lock_release(&inner);
    assert_true(lock_none_held());
    lock_acquire(&outer);
    lock_release(&outer);
    assert_true(lock_none_held());
}

struct attempt {
    bool has_succeeded;
};

static void attempt_run(void *argument)
{
    struct attempt *attempt = argument;
    if (lock_try_acquire(&outer)) {
        attempt->has_succeeded = true;
        lock_release(&outer);
    }
}

static bool can_another_thread_acquire(void)
{
    struct attempt attempt = {false};
    struct thread *thread = NULL;
    assert_int_equal(thread_create(THREAD_OTHER, "other", attempt_run, &attempt, &thread),
                     STATUS_OK);
    thread_join(&thread);
    return attempt.has_succeeded;
}

static void a_held_lock_excludes_other_threads(void **state)
{
    (void)state;
    assert_true(can_another_thread_acquire());
    lock_acquire(&outer);
    assert_false(can_another_thread_acquire());
    lock_release(&outer);
    assert_true(can_another_thread_acquire());
}

enum { ROUNDS = 20000, THREADS = 4 };

struct sum {
    struct lock lock;
    uint64_t value GUARDED;
};

static void sum_run(void *argument)
{
    struct sum *sum = argument;
    for (int i = 0; i < ROUNDS; i++) {
        lock_acquire(&sum->lock);
        sum->value++;
        lock_release(&sum->lock);
    }
}

static void no_addition_under_a_lock_is_lost(void **state)
{
    (void)state;
    struct sum sum = {0};
    struct thread *threads[THREADS] = {NULL};
    lock_init(&sum.lock, LOCK_RANK_STRIPE);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(thread_create(THREAD_OTHER, "adder", sum_run, &sum, &threads[i]),
                         STATUS_OK);
    for (int i = 0; i < THREADS; i++)
        thread_join(&threads[i]);
    lock_acquire(&sum.lock);
    assert_int_equal(sum.value, ROUNDS * THREADS);
    lock_release(&sum.lock);
    lock_deinit(&sum.lock);
}

#ifdef REPRISE_SLOW_CHECKS
UNSHARED static void take_in_wrong_order(void)
{
    lock_acquire(&inner);
    lock_acquire(&outer);
}

UNSHARED static void take_twice_of_one_rank(void)
{
    struct lock twin;
    lock_init(&twin, LOCK_RANK_DIRECTORY);
    lock_acquire(&outer);
    lock_acquire(&twin);
}

UNSHARED static void try_in_wrong_order(void)
{
    lock_acquire(&inner);
    (void)lock_try_acquire(&outer);
}

UNSHARED static void release_what_is_not_held(void)
{
    lock_release(&outer);
}

/* After an early release of the outer lock the inner one still counts. */
UNSHARED static void take_the_outer_one_back(void)
{
    lock_acquire(&outer);
    lock_acquire(&inner);
    lock_release(&outer);
    lock_acquire(&outer);
}

static void the_wrong_order_ends_the_program(void **state)
{
    (void)state;
    assert_true(dies(take_in_wrong_order));
    assert_true(dies(take_twice_of_one_rank));
    assert_true(dies(try_in_wrong_order));
    assert_true(dies(release_what_is_not_held));
    assert_true(dies(take_the_outer_one_back));
}

static void what_is_held_is_known(void **state)
{
    (void)state;
    lock_acquire(&outer);
    assert_false(lock_none_held());
    bool is_taken = lock_try_acquire(&inner);
    assert_true(is_taken);
    if (is_taken)
        lock_release(&inner);
    assert_false(lock_none_held());
    lock_release(&outer);
    assert_true(lock_none_held());
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rank_says_what_it_guards),
        cmocka_unit_test_setup_teardown(locks_of_rising_rank_are_released_in_any_order, create,
                                        destroy),
        cmocka_unit_test_setup_teardown(a_held_lock_excludes_other_threads, create, destroy),
        cmocka_unit_test(no_addition_under_a_lock_is_lost),
#ifdef REPRISE_SLOW_CHECKS
        cmocka_unit_test_setup_teardown(the_wrong_order_ends_the_program, create, destroy),
        cmocka_unit_test_setup_teardown(what_is_held_is_known, create, destroy),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
