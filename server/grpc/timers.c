/*
 * timers.c - a binary heap of moments, the next one at its top, and one thread that sleeps until
 * then. A timer knows its place in the heap, so that it can be taken out of the middle. Owns the
 * heap and the thread. Threads: see timers.h.
 */
#include "server/grpc/timers.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/lock.h"
#include "base/thread.h"

struct timers {
    uint32_t timers_max; /* constant */
    struct lock lock;
    pthread_cond_t changed;      /* with lock: another is the next, or it is to stop */
    struct timer **heap GUARDED; /* from 1 to count */
    uint32_t count GUARDED;
    bool is_hurried GUARDED;
    bool is_stopping GUARDED;
    struct thread *thread; /* of start and destroy */
};

UNSHARED enum status timers_create(uint32_t timers_max, struct timers **out_timers)
{
    assert(timers_max > 0);
    struct timers *timers = calloc(1, sizeof(*timers));
    if (timers == NULL)
        return STATUS_NO_MEMORY;
    timers->timers_max = timers_max;
    lock_init(&timers->lock, LOCK_RANK_TIMERS);
    pthread_condattr_t attributes;
    int error = pthread_condattr_init(&attributes);
    assert(error == 0);
    error = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    assert(error == 0);
    error = pthread_cond_init(&timers->changed, &attributes);
    assert(error == 0);
    (void)pthread_condattr_destroy(&attributes);
    timers->heap = calloc((size_t)timers_max + 1, sizeof(struct timer *));
    if (timers->heap == NULL) {
        timers_destroy(&timers);
        return STATUS_NO_MEMORY;
    }
    *out_timers = timers;
    return STATUS_OK;
}

/* The mirror of timers_create and timers_start. */
UNSHARED void timers_destroy(struct timers **timers)
{
    struct timers *doomed = *timers;
    if (doomed == NULL)
        return;
    *timers = NULL;
    lock_acquire(&doomed->lock);
    doomed->is_stopping = true;
    (void)pthread_cond_signal(&doomed->changed);
    lock_release(&doomed->lock);
    thread_join(&doomed->thread);
    assert(doomed->count == 0);
    free(doomed->heap);
    int error = pthread_cond_destroy(&doomed->changed);
    assert(error == 0);
    lock_deinit(&doomed->lock);
    free(doomed);
}

/* ---- The heap ---- */

static void put(struct timers *timers, uint32_t place, struct timer *timer) REQUIRES(&timers->lock)
{
    timers->heap[place] = timer;
    timer->place = place;
}

/* The timer, wherever it may stand by its moment, at `place` or nearer to the top. */
static void sift_up(struct timers *timers, uint32_t place, struct timer *timer)
    REQUIRES(&timers->lock)
{
    for (; place > 1 && timers->heap[place / 2]->due_us > timer->due_us; place /= 2)
        put(timers, place, timers->heap[place / 2]);
    put(timers, place, timer);
}

static void sift_down(struct timers *timers, uint32_t place, struct timer *timer)
    REQUIRES(&timers->lock)
{
    for (uint32_t child = 2 * place; child <= timers->count; child = 2 * place) {
        if (child < timers->count && timers->heap[child + 1]->due_us < timers->heap[child]->due_us)
            child++;
        if (timers->heap[child]->due_us >= timer->due_us)
            break;
        put(timers, place, timers->heap[child]);
        place = child;
    }
    put(timers, place, timer);
}

static void take_out(struct timers *timers, struct timer *timer) REQUIRES(&timers->lock)
{
    const uint32_t place = timer->place;
    assert(place > 0);
    assert(place <= timers->count);
    assert(timers->heap[place] == timer);
    struct timer *last = timers->heap[timers->count--];
    timer->place = 0;
    if (last == timer)
        return;
    if (place > 1 && timers->heap[place / 2]->due_us > last->due_us)
        sift_up(timers, place, last);
    else
        sift_down(timers, place, last);
}

/* ---- The verbs ---- */

bool timers_arm(struct timers *timers, struct timer *timer)
{
    assert(timer->fire != NULL);
    lock_acquire(&timers->lock);
    const bool is_gone = timer->gone != NULL && atomic_load(timer->gone);
    const bool arms = !is_gone && !timers->is_hurried && timers->count < timers->timers_max;
    if (arms) {
        sift_up(timers, ++timers->count, timer);
        if (timers->heap[1] == timer)
            (void)pthread_cond_signal(&timers->changed);
    }
    lock_release(&timers->lock);
    return arms;
}

bool timers_cancel(struct timers *timers, struct timer *timer)
{
    lock_acquire(&timers->lock);
    const bool was_armed = timer->place != 0;
    if (was_armed)
        take_out(timers, timer);
    lock_release(&timers->lock);
    return was_armed;
}

/* One that is due, out of the heap; NULL: *out_next_us. */
static struct timer *take_due(struct timers *timers, uint64_t now_us, uint64_t *out_next_us)
{
    lock_acquire(&timers->lock);
    struct timer *timer = timers->count > 0 ? timers->heap[1] : NULL;
    if (timer != NULL && timer->due_us > now_us) {
        *out_next_us = timer->due_us;
        timer = NULL;
    } else if (timer != NULL) {
        take_out(timers, timer);
    } else {
        *out_next_us = UINT64_MAX;
    }
    lock_release(&timers->lock);
    return timer;
}

uint64_t timers_tick(struct timers *timers, uint64_t now_us)
{
    uint64_t next_us = UINT64_MAX;
    struct timer *timer = NULL;
    while ((timer = take_due(timers, now_us, &next_us)) != NULL)
        timer->fire(timer); /* and its memory may be gone */
    return next_us;
}

void timers_hurry(struct timers *timers)
{
    lock_acquire(&timers->lock);
    timers->is_hurried = true;
    lock_release(&timers->lock);
    (void)timers_tick(timers, UINT64_MAX);
}

/* ---- The thread ---- */

/* Until then, or until something has changed. False: it is to stop. */
static bool rest(struct timers *timers)
{
    lock_acquire(&timers->lock);
    const uint64_t until_us = timers->count > 0 ? timers->heap[1]->due_us : UINT64_MAX;
    const bool goes_on = !timers->is_stopping;
    const struct timespec until = {.tv_sec = (time_t)(until_us / 1000000),
                                   .tv_nsec = (long)(until_us % 1000000 * 1000)};
    if (goes_on && until_us == UINT64_MAX)
        (void)pthread_cond_wait(&timers->changed, &timers->lock.mutex);
    else if (goes_on)
        (void)pthread_cond_timedwait(&timers->changed, &timers->lock.mutex, &until);
    lock_release(&timers->lock);
    return goes_on;
}

static void run(void *argument)
{
    struct timers *timers = argument;
    while (rest(timers))
        (void)timers_tick(timers, clock_monotonic_us());
}

enum status timers_start(struct timers *timers)
{
    assert(timers->thread == NULL);
    return thread_create(THREAD_OTHER, "timers", run, timers, &timers->thread);
}
