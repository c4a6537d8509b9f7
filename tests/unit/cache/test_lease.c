/*
 * Goal: at most one holder a key, nobody forgotten, nobody woken twice.
 * Method: the clock is an argument; waiters note what they were told. At the end eight threads
 * take, fill, release, cancel and tick at random, and every waiter is accounted for.
 */
#include "cache/lease.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/lock.h"
#include "tests/support/unit.h"

enum { LEASES_MAX = 64, WAITERS_MAX = 8, HOLD_US = 1000, PATIENCE_US = 5000 };

struct person { /* a waiter and what it was told */
    struct lease_waiter waiter;
    int woken_count;
    enum lease_end end;
};

static void note(struct lease_waiter *waiter, enum lease_end end)
{
    struct person *person = waiter->context;
    assert_true(lock_none_held());
    person->woken_count++;
    person->end = end;
}

static struct person a_person(void)
{
    return (struct person){.waiter = {.woken = note, .give_up_us = PATIENCE_US}};
}

static struct digest key_of(uint64_t number)
{
    return digest_sha256(&number, sizeof(number));
}

static int set_up(void **state)
{
    const struct leases_setup setup = {
        .leases_max = LEASES_MAX, .waiters_max = WAITERS_MAX, .chance = {1, 2, 3}};
    struct leases *leases = NULL;
    assert_int_equal(leases_create(&setup, &leases), STATUS_OK);
    *state = leases;
    return 0;
}

static int tear_down(void **state)
{
    struct leases *leases = *state;
    leases_close(leases);
    leases_destroy(&leases);
    leases_destroy(&leases); /* NULL by now */
    return 0;
}

static enum lease_result take(struct leases *leases, uint64_t key, struct person *person,
                              uint8_t token[LEASE_TOKEN_BYTES])
{
    const struct digest digest = key_of(key);
    if (person != NULL)
        person->waiter.context = person;
    return lease_take(leases, &digest, HOLD_US, 0, person != NULL ? &person->waiter : NULL, token);
}

static uint32_t fill(struct leases *leases, uint64_t key)
{
    const struct digest digest = key_of(key);
    return lease_fill(leases, &digest);
}

static void the_first_holds_and_the_second_is_told(void **state)
{
    struct leases *leases = *state;
    uint8_t first[LEASE_TOKEN_BYTES], second[LEASE_TOKEN_BYTES];
    assert_int_equal(take(leases, 1, NULL, first), LEASE_TAKEN);
    assert_int_equal(take(leases, 1, NULL, second), LEASE_OTHER);
    assert_int_equal(take(leases, 2, NULL, second), LEASE_TAKEN);
    assert_memory_not_equal(first, second, LEASE_TOKEN_BYTES);
}

static void an_answer_wakes_all_who_wait_for_it_and_nobody_else(void **state)
{
    struct leases *leases = *state;
    uint8_t token[LEASE_TOKEN_BYTES];
    struct person people[3] = {a_person(), a_person(), a_person()};
    assert_int_equal(take(leases, 1, NULL, token), LEASE_TAKEN);
    assert_int_equal(take(leases, 2, NULL, token), LEASE_TAKEN);
    assert_int_equal(take(leases, 1, &people[0], token), LEASE_PARKED);
    assert_int_equal(take(leases, 1, &people[1], token), LEASE_PARKED);
    assert_int_equal(take(leases, 2, &people[2], token), LEASE_PARKED);
    assert_int_equal(fill(leases, 1), 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(people[i].woken_count, 1);
        assert_int_equal(people[i].end, LEASE_FILLED);
    }
    assert_int_equal(people[2].woken_count, 0);
    assert_int_equal(fill(leases, 2), 1);
    assert_int_equal(fill(leases, 1), 0);
    assert_int_equal(take(leases, 1, NULL, token), LEASE_TAKEN); /* the lease is over */
}

static void who_gives_up_makes_the_next_in_line_the_holder(void **state)
{
    struct leases *leases = *state;
    uint8_t token[LEASE_TOKEN_BYTES];
    struct person people[2] = {a_person(), a_person()};
    uint32_t left = 0;
    assert_int_equal(take(leases, 1, NULL, token), LEASE_TAKEN);
    assert_int_equal(take(leases, 1, &people[0], token), LEASE_PARKED);
    assert_int_equal(take(leases, 1, &people[1], token), LEASE_PARKED);
    assert_true(lease_release(leases, token, 10, &left));
    assert_int_equal(left, 1);
    assert_int_equal(people[0].end, LEASE_YOURS);
    assert_int_equal(people[1].woken_count, 0);
    assert_false(lease_release(leases, token, 10, &left)); /* it was given back */
    assert_true(lease_release(leases, people[0].waiter.token, 10, &left));
    assert_int_equal(people[1].end, LEASE_YOURS);
    assert_true(lease_release(leases, people[1].waiter.token, 10, &left));
    assert_int_equal(take(leases, 1, NULL, token), LEASE_TAKEN);
}

static void a_lost_holder_is_followed_when_its_time_is_over(void **state)
{
    struct leases *leases = *state;
    uint8_t token[LEASE_TOKEN_BYTES];
    struct person person = a_person();
    assert_int_equal(take(leases, 1, NULL, token), LEASE_TAKEN);
    assert_int_equal(take(leases, 1, &person, token), LEASE_PARKED);
    leases_tick(leases, HOLD_US - 1);
    assert_int_equal(person.woken_count, 0);
    assert_true(lease_renew(leases, token, HOLD_US - 1)); /* a stream that goes on */
    leases_tick(leases, HOLD_US);
    assert_int_equal(person.woken_count, 0);
    leases_tick(leases, 2 * HOLD_US - 1);
    assert_int_equal(person.end, LEASE_YOURS);
    assert_false(lease_renew(leases, token, 2 * HOLD_US));
    assert_true(lease_renew(leases, person.waiter.token, 2 * HOLD_US));
}

static void a_token_holds_its_own_key_only(void **state)
{
    struct leases *leases = *state;
    uint8_t token[LEASE_TOKEN_BYTES], other[LEASE_TOKEN_BYTES];
    const struct digest right = key_of(1), wrong = key_of(2);
    uint32_t left = 0;
    assert_int_equal(take(leases, 1, NULL, token), LEASE_TAKEN);
    assert_true(lease_holds(leases, &right, token));
    assert_false(lease_holds(leases, &wrong, token));
    for (size_t i = 0; i < LEASE_TOKEN_BYTES; i++) {
        memcpy(other, token, sizeof(other));
        other[i] ^= 1;
        assert_false(lease_release(leases, other, 0, &left));
    }
    memset(other, 0xff, sizeof(other));
    assert_false(lease_release(leases, other, 0, &left));
    memset(other, 0, sizeof(other));
    assert_false(lease_release(leases, other, 0, &left));
    assert_true(lease_release(leases, token, 0, &left));
    assert_false(lease_holds(leases, &right, token));
}

static void who_has_gone_before_is_not_parked(void **state)
{
    struct leases *leases = *state;
    uint8_t token[LEASE_TOKEN_BYTES];
    struct person person = a_person();
    atomic_bool gone = false;
    person.waiter.gone = &gone;
    assert_int_equal(take(leases, 1, NULL, token), LEASE_TAKEN);
    assert_int_equal(take(leases, 1, &person, token), LEASE_PARKED);
    assert_true(lease_cancel(leases, &person.waiter));
    atomic_store(&gone, true);
    assert_int_equal(take(leases, 1, &person, token), LEASE_OTHER);
    assert_false(lease_cancel(leases, &person.waiter));
    assert_int_equal(fill(leases, 1), 0);
    assert_int_equal(person.woken_count, 0);
}

static void who_has_waited_long_enough_is_told(void **state)
{
    struct leases *leases = *state;
    uint8_t token[LEASE_TOKEN_BYTES];
    struct person people[2] = {a_person(), a_person()};
    const struct digest key = key_of(1);
    assert_int_equal(lease_take(leases, &key, 100 * PATIENCE_US, 0, NULL, token), LEASE_TAKEN);
    assert_int_equal(take(leases, 1, &people[0], token), LEASE_PARKED);
    people[1].waiter.give_up_us = 2 * PATIENCE_US;
    assert_int_equal(take(leases, 1, &people[1], token), LEASE_PARKED);
    leases_tick(leases, PATIENCE_US);
    assert_int_equal(people[0].end, LEASE_TIMEOUT);
    assert_int_equal(people[1].woken_count, 0);
    leases_tick(leases, 2 * PATIENCE_US);
    assert_int_equal(people[1].end, LEASE_TIMEOUT);
}

static void who_goes_away_is_not_woken_and_not_made_holder(void **state)
{
    struct leases *leases = *state;
    uint8_t token[LEASE_TOKEN_BYTES];
    struct person people[3] = {a_person(), a_person(), a_person()};
    uint32_t left = 0;
    assert_int_equal(take(leases, 1, NULL, token), LEASE_TAKEN);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(take(leases, 1, &people[i], token), LEASE_PARKED);
    assert_true(lease_cancel(leases, &people[1].waiter)); /* from the middle */
    assert_true(lease_cancel(leases, &people[0].waiter));
    assert_false(lease_cancel(leases, &people[0].waiter));
    assert_true(lease_release(leases, token, 0, &left));
    assert_int_equal(people[0].woken_count + people[1].woken_count, 0);
    assert_int_equal(people[2].end, LEASE_YOURS);
    assert_false(lease_cancel(leases, &people[2].waiter)); /* too late: it was woken */
}

static void beyond_the_limits_nobody_waits_and_nothing_breaks(void **state)
{
    struct leases *leases = *state;
    uint8_t token[LEASE_TOKEN_BYTES];
    struct person people[WAITERS_MAX + 1];
    assert_int_equal(take(leases, 0, NULL, token), LEASE_TAKEN);
    for (size_t i = 0; i <= WAITERS_MAX; i++) {
        people[i] = a_person();
        assert_int_equal(take(leases, 0, &people[i], token),
                         i < WAITERS_MAX ? LEASE_PARKED : LEASE_OTHER);
    }
    leases_set_waiters_max(leases, 1); /* those that wait stay */
    assert_int_equal(take(leases, 0, &people[WAITERS_MAX], token), LEASE_OTHER);
    for (uint64_t key = 1; key < LEASES_MAX; key++)
        assert_int_equal(take(leases, key, NULL, token), LEASE_TAKEN);
    assert_int_equal(take(leases, LEASES_MAX, NULL, token), LEASE_OTHER);
    assert_int_equal(fill(leases, 0), WAITERS_MAX);
    assert_int_equal(take(leases, LEASES_MAX, NULL, token), LEASE_TAKEN);
}

static void closing_wakes_everybody_and_opens_nothing_any_more(void **state)
{
    struct leases *leases = *state;
    uint8_t token[LEASE_TOKEN_BYTES];
    struct person person = a_person();
    struct leases_stats stats;
    assert_int_equal(take(leases, 1, NULL, token), LEASE_TAKEN);
    assert_int_equal(take(leases, 1, &person, token), LEASE_PARKED);
    leases_stats(leases, &stats);
    assert_int_equal(stats.held, 1);
    assert_int_equal(stats.waiting, 1);
    leases_close(leases);
    assert_int_equal(person.end, LEASE_CLOSED);
    assert_int_equal(take(leases, 1, NULL, token), LEASE_OTHER);
    leases_stats(leases, &stats);
    assert_int_equal(stats.held + stats.waiting, 0);
    assert_int_equal(stats.taken, 1);
    assert_int_equal(stats.waited, 1);
}

/* ---- threads --------------------------------------------------------------------------------- */

enum { THREADS = 8, ROUNDS = 4000, KEYS = 4 };

struct visitor {
    struct lease_waiter waiter;
    atomic_int woken_count;
};

struct crowd {
    struct leases *leases;
    atomic_int failures;
};

static void count_visit(struct lease_waiter *waiter, enum lease_end end)
{
    struct visitor *visitor = waiter->context;
    (void)end;
    atomic_fetch_add(&visitor->woken_count, 1);
}

static void visit(struct crowd *crowd, struct visitor *visitor, uint64_t step)
{
    const struct digest key = key_of(step % KEYS);
    uint8_t token[LEASE_TOKEN_BYTES];
    uint32_t left = 0;
    *visitor = (struct visitor){.waiter = {.woken = count_visit, .give_up_us = step + 50}};
    visitor->waiter.context = visitor;
    switch (lease_take(crowd->leases, &key, 20, step, &visitor->waiter, token)) {
    case LEASE_TAKEN:
        if (step % 3 == 0)
            (void)lease_fill(crowd->leases, &key);
        else
            (void)lease_release(crowd->leases, token, step, &left);
        break;
    case LEASE_PARKED: /* woken or taken back, never both, never neither */
        if (step % 2 == 0)
            leases_tick(crowd->leases, step + 100);
        if (lease_cancel(crowd->leases, &visitor->waiter)) {
            if (atomic_load(&visitor->woken_count) != 0)
                atomic_fetch_add(&crowd->failures, 1);
        } else {
            while (atomic_load(&visitor->woken_count) == 0)
                sched_yield();
            if (atomic_load(&visitor->woken_count) != 1)
                atomic_fetch_add(&crowd->failures, 1);
        }
        break;
    case LEASE_OTHER:
        break;
    }
}

static void *visit_often(void *argument)
{
    struct crowd *crowd = argument;
    struct visitor visitor;
    for (uint64_t step = 0; step < ROUNDS; step++)
        visit(crowd, &visitor, step);
    return NULL;
}

static void a_crowd_loses_nobody(void **state)
{
    struct crowd crowd = {.leases = *state};
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, visit_often, &crowd), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&crowd.failures), 0);
    struct leases_stats stats;
    leases_tick(crowd.leases, 1000000);
    leases_stats(crowd.leases, &stats);
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(stats.held, 0);
}

#define LEASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEASE(the_first_holds_and_the_second_is_told),
        LEASE(an_answer_wakes_all_who_wait_for_it_and_nobody_else),
        LEASE(who_gives_up_makes_the_next_in_line_the_holder),
        LEASE(a_lost_holder_is_followed_when_its_time_is_over),
        LEASE(a_token_holds_its_own_key_only),
        LEASE(who_has_gone_before_is_not_parked),
        LEASE(who_has_waited_long_enough_is_told),
        LEASE(who_goes_away_is_not_woken_and_not_made_holder),
        LEASE(beyond_the_limits_nobody_waits_and_nothing_breaks),
        LEASE(closing_wakes_everybody_and_opens_nothing_any_more),
        LEASE(a_crowd_loses_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
