/*
 * lock.c - mutexes that know their rank.
 * With REPRISE_SLOW_CHECKS every thread keeps a stack of the locks it holds, lowest rank first, and
 * taking a lock of the same or a lower rank than the top ends the program: a deadlock is found on
 * the first run of the wrong order, not on the unlucky one. The same holds for lock_try_acquire,
 * although it never waits: one rule is easier to keep than two.
 *
 * Owns nothing but the thread's own stack. Threads: any.
 */
#include "base/lock.h"

#include <stdbool.h>

#include "base/check.h"

static const struct {
    const char *name, *guards;
} rank_rows[] = {
#define LOCK_RANK_ROW(name, guards) {#name, guards},
    LOCK_RANK_TABLE(LOCK_RANK_ROW)
#undef LOCK_RANK_ROW
};

#ifdef REPRISE_SLOW_CHECKS
/* Ranks rise along the stack, so it can never hold more locks than there are ranks. */
static _Thread_local const struct lock *held[LOCK_RANK_COUNT];
static _Thread_local unsigned held_count;

static void check_order(const struct lock *lock)
{
    assert(held_count == 0 || held[held_count - 1]->rank < lock->rank);
}

static void note_acquired(const struct lock *lock)
{
    held[held_count++] = lock;
}

/* Locks may be released in any order. */
static void note_released(const struct lock *lock)
{
    unsigned place = 0;
    while (place < held_count && held[place] != lock)
        place++;
    assert(place < held_count);
    held_count--;
    for (; place < held_count; place++)
        held[place] = held[place + 1];
}

_Bool lock_none_held(void)
{
    return held_count == 0;
}
#else
static void check_order(const struct lock *lock)
{
    (void)lock;
}

static void note_acquired(const struct lock *lock)
{
    (void)lock;
}

static void note_released(const struct lock *lock)
{
    (void)lock;
}

_Bool lock_none_held(void)
{
    return true;
}
#endif

void lock_init(struct lock *lock, enum lock_rank rank)
{
    assert(rank < LOCK_RANK_COUNT);
    int error = pthread_mutex_init(&lock->mutex, NULL);
    assert(error == 0);
    lock->rank = rank;
}

void lock_deinit(struct lock *lock)
{
    int error = pthread_mutex_destroy(&lock->mutex);
    assert(error == 0); /* EBUSY: somebody still holds it */
}

/* The analysis knows our locks, not the mutex inside them: hence UNSHARED on these three. */
UNSHARED void lock_acquire(struct lock *lock)
{
    check_order(lock);
    int error = pthread_mutex_lock(&lock->mutex);
    assert(error == 0);
    note_acquired(lock);
}

UNSHARED _Bool lock_try_acquire(struct lock *lock)
{
    check_order(lock);
    if (pthread_mutex_trylock(&lock->mutex) != 0)
        return false;
    note_acquired(lock);
    return true;
}

UNSHARED void lock_release(struct lock *lock)
{
    note_released(lock);
    int error = pthread_mutex_unlock(&lock->mutex);
    assert(error == 0);
}

const char *lock_rank_name(enum lock_rank rank)
{
    assert(rank < LOCK_RANK_COUNT);
    return rank_rows[rank].name;
}

const char *lock_rank_guards(enum lock_rank rank)
{
    assert(rank < LOCK_RANK_COUNT);
    return rank_rows[rank].guards;
}
