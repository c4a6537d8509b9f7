/*
 * pool.c - the compute workers.
 * Every worker has a ring: a list of jobs, first in, first out, linked through the jobs themselves,
 * so that submitting allocates nothing. A job goes to a sleeping worker if there is one, which is
 * then woken; else to the next ring in turn, without a wake. A worker takes one job at a time, from
 * its own ring and, when that is empty, from the others: a long job never holds up what was queued
 * behind it. (Taking several at a time would save a lock each and would bring just that back.)
 *
 * WHY NO WAKE IS LOST. A worker that found nothing first declares itself asleep, then looks at all
 * rings once more, then waits. A submitter first puts the job into a ring, then looks for sleepers.
 * Both look under the ring's lock: either the worker's last look finds the job, or it came before
 * the job, and then the submitter sees the declaration made before it. Claiming a sleeper is one
 * exchange, so each wake goes to one worker, and a worker claimed while it finds work by itself
 * only looks round once more.
 *
 * THREADS. Any may submit, the workers too. LOCK_RANK_POOL is one ring's lock; never two at once.
 * NOT HERE. Priorities and cancelling: who no longer wants a result finds out in run().
 * One ring for all was rejected: its lock would be the busiest of the process. Lock-free rings
 * were, too: an uncontended lock costs a hundredth of the shortest job worth sending here.
 */
#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/lock.h"
#include "base/thread.h"

enum { CACHE_LINE_BYTES = 64 };

struct worker {
    _Alignas(CACHE_LINE_BYTES) struct lock lock;
    struct pool_job *first GUARDED;
    struct pool_job *last GUARDED; /* undefined while first is NULL               */
    bool is_woken GUARDED;         /* a wake that has not been slept through      */
    pthread_cond_t wake;           /* with lock                                   */
    atomic_bool is_asleep;         /* declared; the exchange to false claims it   */
    struct pool *pool;
    struct thread *thread;
};

struct pool {
    struct worker *workers;
    uint32_t workers_count;
    atomic_uint queue_max;
    atomic_uint waiting; /* jobs in all rings                             */
    atomic_uint turn;    /* whose ring is next                            */
    atomic_uint asleep;  /* workers that declared; a hint, spares a round */
    atomic_bool is_stopping;
};

static void ring_push(struct worker *worker, struct pool_job *job) REQUIRES(worker->lock)
{
    job->next = NULL;
    if (worker->first == NULL)
        worker->first = job;
    else
        worker->last->next = job;
    worker->last = job;
}

static struct pool_job *ring_take(struct worker *worker)
{
    lock_acquire(&worker->lock);
    struct pool_job *job = worker->first;
    if (job != NULL)
        worker->first = job->next;
    lock_release(&worker->lock);
    return job;
}

/* From the own ring, else from the others in turn. */
static struct pool_job *find_job(struct worker *worker)
{
    struct pool *pool = worker->pool;
    uint32_t own = (uint32_t)(worker - pool->workers);
    struct pool_job *job = NULL;
    for (uint32_t i = 0; i < pool->workers_count && job == NULL; i++)
        job = ring_take(&pool->workers[(own + i) % pool->workers_count]);
    return job;
}

static bool claim(struct pool *pool, struct worker *worker)
{
    if (!atomic_exchange(&worker->is_asleep, false))
        return false;
    (void)atomic_fetch_sub(&pool->asleep, 1);
    return true;
}

static struct worker *claim_sleeper(struct pool *pool, uint32_t from)
{
    if (atomic_load(&pool->asleep) == 0)
        return NULL;
    for (uint32_t i = 0; i < pool->workers_count; i++) {
        struct worker *worker = &pool->workers[(from + i) % pool->workers_count];
        if (atomic_load(&worker->is_asleep) && claim(pool, worker))
            return worker;
    }
    return NULL;
}

static void wake_worker(struct worker *worker, struct pool_job *job)
{
    lock_acquire(&worker->lock);
    if (job != NULL)
        ring_push(worker, job);
    worker->is_woken = true;
    int error = pthread_cond_signal(&worker->wake);
    assert(error == 0);
    lock_release(&worker->lock);
}

static bool is_any_job_left(struct pool *pool)
{
    bool found = false;
    for (uint32_t i = 0; i < pool->workers_count && !found; i++) {
        lock_acquire(&pool->workers[i].lock);
        found = pool->workers[i].first != NULL;
        lock_release(&pool->workers[i].lock);
    }
    return found;
}

static void wait_for_wake(struct worker *worker)
{
    lock_acquire(&worker->lock);
    while (!worker->is_woken) {
        int error = pthread_cond_wait(&worker->wake, &worker->lock.mutex);
        assert(error == 0);
    }
    lock_release(&worker->lock);
}

static void sleep_unless_needed(struct worker *worker)
{
    struct pool *pool = worker->pool;
    lock_acquire(&worker->lock);
    worker->is_woken = false; /* older wakes brought the worker here already */
    lock_release(&worker->lock);
    (void)atomic_fetch_add(&pool->asleep,
                           1); /* first, so that it is never less than the sleepers */
    atomic_store(&worker->is_asleep, true);
    if (!is_any_job_left(pool) && !atomic_load(&pool->is_stopping))
        wait_for_wake(worker);
    (void)claim(pool, worker); /* fails if the waker has done it */
}

static void worker_run(void *argument)
{
    struct worker *worker = argument;
    for (;;) {
        struct pool_job *job = find_job(worker);
        if (job != NULL) {
            (void)atomic_fetch_sub(&worker->pool->waiting, 1);
            job->run(job);
        } else if (atomic_load(&worker->pool->is_stopping)) {
            return; /* what a job still submits now, its own worker finds after it */
        } else {
            sleep_unless_needed(worker);
        }
    }
}

static void worker_init(struct pool *pool, struct worker *worker)
{
    worker->pool = pool;
    lock_init(&worker->lock, LOCK_RANK_POOL);
    int error = pthread_cond_init(&worker->wake, NULL);
    assert(error == 0);
}

/* Started only when all are ready, for they look into each other's rings. */
static enum status start_workers(struct pool *pool)
{
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < pool->workers_count && status == STATUS_OK; i++) {
        char name[THREAD_NAME_MAX];
        (void)snprintf(name, sizeof(name), "compute-%u", i % THREAD_REGISTERED_MAX);
        status = thread_create(THREAD_COMPUTE, name, worker_run, &pool->workers[i],
                               &pool->workers[i].thread);
    }
    return status;
}

enum status pool_create(uint32_t threads_count, uint32_t queue_max, struct pool **out_pool)
{
    assert(threads_count >= 1);
    assert(threads_count <= THREAD_REGISTERED_MAX);
    assert(queue_max >= 1);
    struct pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL)
        return STATUS_NO_MEMORY;
    enum status status = STATUS_NO_MEMORY;
    size_t workers_bytes = threads_count * sizeof(struct worker);
    atomic_store(&pool->queue_max, queue_max);
    pool->workers = aligned_alloc(CACHE_LINE_BYTES, workers_bytes);
    if (pool->workers == NULL)
        goto destroy_pool;
    memset(pool->workers, 0, workers_bytes);
    pool->workers_count = threads_count;
    for (uint32_t i = 0; i < threads_count; i++)
        worker_init(pool, &pool->workers[i]);
    status = start_workers(pool);
    if (status != STATUS_OK)
        goto destroy_pool;
    *out_pool = pool;
    return STATUS_OK;

destroy_pool:
    pool_destroy(&pool);
    return status;
}

/* Stops all before it joins one: the last jobs are shared among all workers. */
UNSHARED void pool_destroy(struct pool **pool)
{
    struct pool *doomed = *pool;
    if (doomed == NULL)
        return;
    *pool = NULL;
    atomic_store(&doomed->is_stopping, true);
    for (uint32_t i = 0; i < doomed->workers_count; i++)
        wake_worker(&doomed->workers[i], NULL);
    for (uint32_t i = 0; i < doomed->workers_count; i++)
        thread_join(&doomed->workers[i].thread);
    for (uint32_t i = 0; i < doomed->workers_count; i++) {
        struct worker *worker = &doomed->workers[i];
        assert(worker->first == NULL);
        int error = pthread_cond_destroy(&worker->wake);
        assert(error == 0);
        lock_deinit(&worker->lock);
    }
    free(doomed->workers);
    free(doomed);
}

void pool_set_queue_max(struct pool *pool, uint32_t queue_max)
{
    assert(queue_max >= 1);
    atomic_store_explicit(&pool->queue_max, queue_max, memory_order_relaxed);
}

/* Takes one of queue_max places. */
static bool admit(struct pool *pool)
{
    unsigned waiting = atomic_load(&pool->waiting);
    do {
        if (waiting >= atomic_load_explicit(&pool->queue_max, memory_order_relaxed))
            return false;
    } while (!atomic_compare_exchange_weak(&pool->waiting, &waiting, waiting + 1));
    return true;
}

enum status pool_submit(struct pool *pool, struct pool_job *job)
{
    assert(job->run != NULL);
    if (!admit(pool))
        return STATUS_OVERLOADED;
    uint32_t turn = atomic_fetch_add_explicit(&pool->turn, 1, memory_order_relaxed);
    struct worker *sleeper = claim_sleeper(pool, turn % pool->workers_count);
    if (sleeper != NULL) {
        wake_worker(sleeper, job);
        return STATUS_OK;
    }
    struct worker *busy = &pool->workers[turn % pool->workers_count];
    lock_acquire(&busy->lock);
    ring_push(busy, job);
    lock_release(&busy->lock);
    sleeper = claim_sleeper(pool, turn % pool->workers_count); /* fallen asleep meanwhile */
    if (sleeper != NULL)
        wake_worker(sleeper, NULL);
    return STATUS_OK;
}

uint32_t pool_waiting(const struct pool *pool)
{
    return atomic_load(&pool->waiting);
}

uint32_t pool_threads(const struct pool *pool)
{
    return pool->workers_count;
}
