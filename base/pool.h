/*
 * pool.h - the compute workers: work that is too long for an I/O thread. Bounded; a full pool
 * refuses at once. One ring per worker, a wake only if the worker sleeps; who is idle takes from
 * the others' rings, so that a long job holds up nobody. Threads: any may submit, the workers too.
 */
#pragma once
#include <stdint.h>

#include "base/status.h"

struct pool;

struct pool_job { /* lies inside the caller's object; untouched by the pool after run() has begun */
    void (*run)(struct pool_job *job);
    struct pool_job *next;
};

/* threads_count >= 1; queue_max: jobs that may wait, over all workers. */
enum status pool_create(uint32_t threads_count, uint32_t queue_max, struct pool **out_pool);
/* Runs what is queued, then joins. Nobody may submit any more. NULL is fine. */
void pool_destroy(struct pool **pool);

/* How many may wait from now on; those that do stay. Any thread. */
void pool_set_queue_max(struct pool *pool, uint32_t queue_max);

/* STATUS_OVERLOADED when queue_max jobs wait: the job is not taken. */
enum status pool_submit(struct pool *pool, struct pool_job *job);
uint32_t pool_waiting(const struct pool *pool);
uint32_t pool_threads(const struct pool *pool);
