/*
 * builder.c - the threads that work on partitions in the background.
 *
 * A STEP is one of: a remembered search is repeated exactly (recall.c); memory is given up
 * (pressure.c); the partition that has asked first gets what it needs next (plan.c) and asks again,
 * until it needs nothing. Where memory did not suffice it is watched: looked at again in a second.
 *
 * HOLDING ON. A builder reads rows for seconds and may not sit in an epoch for that. The state of
 * the partition protects it instead: while it is not RESTS nobody else takes chunks out of the
 * view, and the partition is not retired; if it is emptied meanwhile, its builder retires it.
 *
 * THREADS. As many as index.builders, of role THREAD_BUILDER. A partition that has asked is taken
 * off the list holding DIRECTORY, so that it is not retired in between. No lock is held while
 * anything is built, copied or repeated.
 */
#include "index/builder.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"
#include "index/directory_inside.h"
#include "index/faiss_c.h"
#include "index/job.h"
#include "index/pressure.h"
#include "index/promotion.h"

enum {
    BUILDERS_MAX = 8,
    ROUND_US = 1000 * 1000,
    MEASURE_ROWS = 16384,
    MEASURE_PASSES = 8,
};

struct builder {
    struct directory *directory;
    atomic_bool is_stopping;
    uint32_t threads_count;
    struct thread *threads[BUILDERS_MAX];
};

/* ---- recall ---------------------------------------------------------------------------------- */

static void count_recall(struct directory *directory, struct partition *partition,
                         struct recall_sum sum)
{
    struct index_common *common = &directory->common;
    atomic_fetch_add_explicit(&partition->use->recall_found, sum.found, memory_order_relaxed);
    atomic_fetch_add_explicit(&partition->use->recall_wanted, sum.wanted, memory_order_relaxed);
    atomic_fetch_add_explicit(&common->recall_found, sum.found, memory_order_relaxed);
    atomic_fetch_add_explicit(&common->recall_wanted, sum.wanted, memory_order_relaxed);
}

/* A million rows take 30 ms; a reader that long delays the freeing of memory, and nothing else. */
static void repeat_exactly(struct directory *directory, const struct recall_sample *sample,
                           struct search *exact)
{
    *exact = (struct search){.unit = sample->unit,
                             .dimension = sample->dimension,
                             .tag = sample->tag,
                             .now_ms = sample->now_ms,
                             .hits_max = sample->hits_max};
    epoch_enter(directory->epochs);
    struct partition *partition = directory_find(directory, &sample->key);
    if (partition != NULL && partition->dimension == sample->dimension) {
        partition_search_exact(partition, sample->sequence_last, exact);
        count_recall(directory, partition, recall_compare(sample, exact));
    }
    epoch_leave(directory->epochs);
}

static bool repeat_search(struct directory *directory)
{
    struct repetition {
        struct recall_sample sample;
        struct search exact;
    } *repetition = calloc(1, sizeof(*repetition));
    if (repetition == NULL)
        return false; /* later */
    const bool some = recall_take(directory->common.recall, &repetition->sample);
    if (some)
        repeat_exactly(directory, &repetition->sample, &repetition->exact);
    free(repetition);
    return some;
}

/* ---- one partition --------------------------------------------------------------------------- */

static bool lock_next(struct directory *directory, struct partition **out_partition)
    TRY_ACQUIRES((*out_partition)->lock)
{
    lock_acquire(&directory->lock);
    *out_partition = work_take(directory->common.work);
    if (*out_partition == NULL) {
        lock_release(&directory->lock);
        return false;
    }
    directory_enter(directory, *out_partition);
    return true;
}

static void dissolve(struct directory *directory, struct partition *partition,
                     uint64_t segments_dropped, struct garbage *garbage) REQUIRES(partition->lock)
{
    if (extend_dissolve(partition, segments_dropped, garbage) == STATUS_OK)
        work_ask(directory->common.work, partition);
    else
        work_watch(directory->common.work, partition);
}

/* True if the plan is to be run, without the lock. A partition that somebody works on asks again
 * when he is done. */
static bool plan_next(struct directory *directory, struct partition *partition,
                      const struct plan_setup *setup, struct plan *out_plan,
                      struct garbage *garbage) REQUIRES(partition->lock)
{
    if (partition->state != PARTITION_RESTS)
        return false;
    if (plan_make(partition, setup, out_plan) != STATUS_OK) {
        work_watch(directory->common.work, partition);
        return false;
    }
    if (out_plan->kind == PLAN_WATCH)
        work_watch(directory->common.work, partition);
    if (out_plan->kind == PLAN_DISSOLVE)
        dissolve(directory, partition, out_plan->segments_dropped, garbage);
    return out_plan->kind == PLAN_BUILD || out_plan->kind == PLAN_REWRITE;
}

static enum status run(struct directory *directory, struct partition *partition,
                       const struct plan *plan, const atomic_bool *stop)
{
    assert(lock_none_held());
    const struct job job = {.partition = partition,
                            .epochs = directory->epochs,
                            .stop = stop,
                            .clock_us = directory->clock_us};
    return plan->kind == PLAN_BUILD ? extend_run(&job, plan) : rewrite_run(&job, plan);
}

/* From here on the partition may be retired. A segment whose living rows cannot be copied as a
 * whole is dissolved, to be rewritten by the chunk. */
static void end(struct directory *directory, struct partition *partition, struct plan *plan,
                enum status status)
{
    struct work *work = directory->common.work;
    const struct partition_key key = partition->key;
    struct garbage garbage = {0};
    lock_acquire(&partition->lock);
    const bool dissolves =
        status == STATUS_NO_MEMORY && plan->kind == PLAN_REWRITE && plan->segments_dropped != 0;
    plan_end(partition, plan);
    if (dissolves)
        dissolve(directory, partition, plan->segments_dropped, &garbage);
    else if (status == STATUS_NO_MEMORY)
        work_watch(work, partition);
    else
        work_ask(work, partition); /* there may be more to do, and it is not lost by a stop */
    lock_release(&partition->lock);
    garbage_retire(&garbage, directory->epochs);
    directory_retire_if_empty(directory, &key);
}

static uint64_t now_us(const struct directory *directory)
{
    return directory->clock_us != NULL ? directory->clock_us() : 0;
}

static bool work_on_next(struct directory *directory, const atomic_bool *stop)
{
    const struct plan_setup setup = {.now_us = now_us(directory),
                                     .has_graph_room = pressure_allows_builds(directory)};
    struct garbage garbage = {0};
    struct plan plan = {0};
    struct partition *partition = NULL;
    if (!lock_next(directory, &partition))
        return false;
    const bool runs = plan_next(directory, partition, &setup, &plan, &garbage);
    directory_unlock(directory, partition);
    garbage_retire(&garbage, directory->epochs);
    if (runs)
        end(directory, partition, &plan, run(directory, partition, &plan, stop));
    return true;
}

bool builder_step(struct directory *directory, const atomic_bool *stop)
{
    const bool repeated = repeat_search(directory);
    const bool relieved = pressure_relieve(directory);
    const bool worked = work_on_next(directory, stop);
    return repeated || relieved || worked;
}

bool builder_reclaim(struct directory *directory, const struct partition_key *key)
{
    static const atomic_bool never = false;
    const struct plan_setup setup = {.wants_rows_back = true};
    struct garbage garbage = {0};
    struct plan plan = {0};
    struct partition *partition = NULL;
    if (!directory_lock(directory, key, &partition))
        return false;
    const bool runs = plan_next(directory, partition, &setup, &plan, &garbage);
    directory_unlock(directory, partition);
    garbage_retire(&garbage, directory->epochs);
    if (!runs)
        return false;
    const enum status status = run(directory, partition, &plan, &never);
    end(directory, partition, &plan, status);
    (void)epoch_collect(directory->epochs);
    return status == STATUS_OK;
}

/* ---- the threads ----------------------------------------------------------------------------- */

/* What a scan of as many rows as a young graph has costs a row on this machine. Without memory, or
 * with a clock that stands, the usual figure stays. */
static void measure_scan(struct directory *directory)
{
    const size_t row_bytes = vector_row_bytes(PROMOTION_DIMENSION);
    uint8_t *rows = aligned_alloc(VECTOR_ROW_ALIGN, MEASURE_ROWS * row_bytes);
    int32_t *dots = calloc(MEASURE_ROWS, sizeof(*dots));
    _Alignas(VECTOR_ROW_ALIGN) int8_t query[PROMOTION_DIMENSION] = {1};
    if (rows != NULL && dots != NULL) {
        memset(rows, 128, MEASURE_ROWS * row_bytes);
        const uint64_t start_us = directory->clock_us();
        for (int pass = 0; pass < MEASURE_PASSES; pass++)
            vector_kernels()->scan(rows, row_bytes, MEASURE_ROWS, query, dots);
        const uint64_t took_us = directory->clock_us() - start_us;
        const uint64_t row_ps = took_us * 1000000 / (MEASURE_ROWS * MEASURE_PASSES);
        if (row_ps > 0 && row_ps < UINT32_MAX)
            atomic_store_explicit(&directory->common.flat_row_ps, (uint32_t)row_ps,
                                  memory_order_relaxed);
    }
    free(rows);
    free(dots);
}

static void build_until_stopped(void *argument)
{
    struct builder *builder = argument;
    struct directory *directory = builder->directory;
    uint64_t round_us = now_us(directory);
    faiss_c_single_thread();
    if (directory->clock_us != NULL)
        measure_scan(directory);
    while (!atomic_load_explicit(&builder->is_stopping, memory_order_relaxed)) {
        if (!builder_step(directory, &builder->is_stopping))
            work_wait(directory->common.work);
        if (now_us(directory) - round_us < ROUND_US)
            continue;
        work_round(directory->common.work); /* even if others ask without a pause */
        round_us = now_us(directory);
    }
}

enum status builder_start(struct directory *directory, uint32_t threads,
                          struct builder **out_builder)
{
    assert(threads >= 1);
    assert(threads <= BUILDERS_MAX);
    struct builder *builder = calloc(1, sizeof(*builder));
    if (builder == NULL)
        return STATUS_NO_MEMORY;
    builder->directory = directory;
    for (; builder->threads_count < threads; builder->threads_count++) {
        char name[THREAD_NAME_MAX];
        (void)snprintf(name, sizeof(name), "builder-%u", builder->threads_count % 10);
        const enum status status = thread_create(THREAD_BUILDER, name, build_until_stopped, builder,
                                                 &builder->threads[builder->threads_count]);
        if (status != STATUS_OK) {
            builder_stop(&builder);
            return status;
        }
    }
    *out_builder = builder;
    return STATUS_OK;
}

void builder_stop(struct builder **builder)
{
    struct builder *doomed = *builder;
    if (doomed == NULL)
        return;
    *builder = NULL;
    atomic_store_explicit(&doomed->is_stopping, true, memory_order_relaxed);
    work_wake(doomed->directory->common.work, BUILDERS_MAX);
    for (uint32_t i = 0; i < doomed->threads_count; i++)
        thread_join(&doomed->threads[i]);
    free(doomed);
}
