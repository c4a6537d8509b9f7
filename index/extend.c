/*
 * extend.c - a segment is built beside the view and swapped in.
 *
 * The rows do not move and do not change, so there is nothing to catch up with: who dies meanwhile
 * is marked in the chunks, which the new segment shares. Searches scan the rows, or walk the old
 * segment, until the view changes.
 *
 * THREADS. One works on a partition (its state), holding nothing while it builds. The partition is
 * not retired meanwhile, and no chunk leaves its view.
 *
 * NOT HERE. How a segment is built (segment.c, graph.c, ivf.c); which rows it takes in (plan.c).
 */
#include <assert.h>

#include "index/job.h"
#include "index/promotion.h"

/* The time a row took, brought to the dimension that promotion.c reckons with and smoothed. */
static void learn_build_time(const struct job *job, uint64_t rows, uint64_t took_us)
{
    _Atomic uint32_t *build_row_ns = &job->partition->common->build_row_ns;
    const uint64_t scale = job->partition->dimension;
    const uint64_t row_ns = took_us * 1000 / rows * PROMOTION_DIMENSION / scale;
    const uint64_t before = atomic_load_explicit(build_row_ns, memory_order_relaxed);
    const uint64_t after = (before * 3 + row_ns) / 4;
    atomic_store_explicit(build_row_ns, after < UINT32_MAX ? (uint32_t)after : UINT32_MAX,
                          memory_order_relaxed);
}

enum status extend_build(const struct job *job, const struct plan *plan,
                         struct rows_chunk *const *chunks, uint32_t chunks_count,
                         struct segment **out_segment)
{
    struct partition *partition = job->partition;
    const struct index_settings *settings = &partition->common->settings;
    const struct segment_options options = {.kind = plan->segment_kind,
                                            .links = settings->links,
                                            .ef_construction = settings->ef_construction,
                                            .lists = settings->ivf_lists};
    const struct segment_build build = {.memory = partition->memory,
                                        .options = &options,
                                        .base = plan->base,
                                        .chunks = chunks,
                                        .chunks_count = chunks_count,
                                        .stop = job->stop,
                                        .rows_done = &partition->work_rows_done};
    const uint64_t start_us = job->clock_us != NULL ? job->clock_us() : 0;
    const enum status status = segment_build(&build, out_segment);
    if (status == STATUS_OK && job->clock_us != NULL && plan->segment_kind == INDEX_HNSW)
        learn_build_time(job, plan->rows_new, job->clock_us() - start_us);
    if (status == STATUS_OK)
        atomic_fetch_add_explicit(&partition->common->builds, 1, memory_order_relaxed);
    if (status == STATUS_NO_MEMORY)
        atomic_fetch_add_explicit(&partition->common->builds_refused, 1, memory_order_relaxed);
    return status;
}

static enum status publish(const struct job *job, const struct plan *plan, struct segment *segment,
                           struct garbage *garbage)
{
    struct partition *partition = job->partition;
    const struct view_change change = {.segments_dropped = plan->segments_dropped,
                                       .segment = segment,
                                       .joined = plan->chunks,
                                       .joined_count = plan->chunks_count};
    struct view *next = NULL;
    lock_acquire(&partition->lock);
    for (uint32_t i = 0; i < plan->chunks_count; i++)
        plan->chunks[i]->mark = ROWS_JOIN;
    const enum status status = view_next(partition_view(partition), &change, &next);
    if (status == STATUS_OK)
        partition_publish(partition, next, &change, garbage);
    for (uint32_t i = 0; i < plan->chunks_count; i++)
        plan->chunks[i]->mark = ROWS_STAY;
    lock_release(&partition->lock);
    return status;
}

enum status extend_run(const struct job *job, const struct plan *plan)
{
    assert(plan->kind == PLAN_BUILD);
    assert(plan->rows_new > 0);
    struct segment *segment = NULL;
    struct garbage garbage = {0};
    enum status status = extend_build(job, plan, plan->chunks, plan->chunks_count, &segment);
    if (status != STATUS_OK)
        return status;
    assert(segment_rows(segment) == plan->chunks_count * ROWS_CHUNK_MAX);
    status = publish(job, plan, segment, &garbage);
    if (status != STATUS_OK)
        segment_destroy(&segment);
    garbage_retire(&garbage, job->epochs);
    return status;
}

enum status extend_dissolve(struct partition *partition, uint64_t segments_dropped,
                            struct garbage *garbage)
{
    const struct view_change change = {.segments_dropped = segments_dropped};
    struct view *next = NULL;
    const enum status status = view_next(partition_view(partition), &change, &next);
    if (status == STATUS_OK)
        partition_publish(partition, next, &change, garbage);
    return status;
}
