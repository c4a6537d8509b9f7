/*
 * directory_stats.c - figures of the whole index and of each scope.
 *
 * EACH SCOPE. The keys are listed first, holding DIRECTORY for a copy of 24 bytes each; then each
 * partition is looked at under its own lock, and shown with no lock held. So the visitor may take
 * its time, and sees what was true at some moment of the walk.
 *
 * THREADS. Any registered one, outside of any epoch.
 */
#include <assert.h>
#include <stdlib.h>

#include "index/directory_inside.h"

void directory_stats(const struct directory *directory, struct directory_stats *out_stats)
{
    const struct index_common *common = &directory->common;
    *out_stats = (struct directory_stats){
        .partitions = atomic_load_explicit(&directory->partitions, memory_order_relaxed),
        .rows = atomic_load_explicit(&common->rows, memory_order_relaxed),
        .dead_rows = atomic_load_explicit(&common->rows_dead, memory_order_relaxed),
        .size_bytes = memory_used(directory->memory),
        .bytes_max = memory_max(directory->memory),
        .refused = atomic_load_explicit(&directory->refused, memory_order_relaxed),
        .segments = atomic_load_explicit(&common->segments, memory_order_relaxed),
        .graph_rows = atomic_load_explicit(&common->graph_rows, memory_order_relaxed),
        .builds = atomic_load_explicit(&common->builds, memory_order_relaxed),
        .builds_refused = atomic_load_explicit(&common->builds_refused, memory_order_relaxed),
        .rewrites = atomic_load_explicit(&common->rewrites, memory_order_relaxed),
        .graphs_given_up = atomic_load_explicit(&directory->graphs_given_up, memory_order_relaxed),
        .rows_given_up = atomic_load_explicit(&directory->rows_given_up, memory_order_relaxed),
        .recall_found = atomic_load_explicit(&common->recall_found, memory_order_relaxed),
        .recall_wanted = atomic_load_explicit(&common->recall_wanted, memory_order_relaxed),
    };
}

/* Done may be more than there was to do by a row that died meanwhile, or belong to the next. */
static void add_work(void *context, struct partition *partition)
{
    struct directory_work *sum = context;
    const uint32_t rows = atomic_load_explicit(&partition->work_rows, memory_order_relaxed);
    const uint32_t done = atomic_load_explicit(&partition->work_rows_done, memory_order_relaxed);
    sum->running += rows > 0;
    sum->rows_left += done < rows ? rows - done : 0;
}

void directory_work(struct directory *directory, struct directory_work *out_work)
{
    *out_work = (struct directory_work){.queued = work_asked(directory->common.work)};
    epoch_enter(directory->epochs);
    directory_each(directory, add_work, out_work);
    epoch_leave(directory->epochs);
}

/* ---- each scope ------------------------------------------------------------------------------ */

static void add_key(void *context, struct partition *partition)
{
    struct directory_keys *keys = context;
    assert(keys->count < keys->max);
    keys->list[keys->count++] = partition->key;
}

enum status directory_list(struct directory *directory, struct directory_keys *out_keys)
{
    struct directory_keys keys = {0};
    enum status status = STATUS_OK;
    lock_acquire(&directory->lock);
    keys.max = atomic_load_explicit(&directory->partitions, memory_order_relaxed);
    keys.list = calloc(keys.max + 1, sizeof(*keys.list));
    if (keys.list != NULL)
        directory_each(directory, add_key, &keys);
    else
        status = STATUS_NO_MEMORY;
    lock_release(&directory->lock);
    *out_keys = keys;
    return status;
}

static enum partition_state state_of(const struct partition *partition) REQUIRES(partition->lock)
{
    if (partition->state == PARTITION_RESTORES)
        return PARTITION_REWRITES;
    if (partition->state != PARTITION_RESTS)
        return partition->state;
    switch (work_place_of(partition->common->work, partition)) {
    case WORK_ASKED:
        return PARTITION_WAITS;
    case WORK_WATCHED:
        return PARTITION_WATCHED;
    case WORK_NOWHERE:
        break;
    }
    return PARTITION_RESTS;
}

static void fill(const struct partition *partition, struct partition_stats *stats)
    REQUIRES(partition->lock)
{
    const struct view *view = partition_view(partition);
    const struct partition_use *use = partition->use;
    *stats = (struct partition_stats){
        .key = partition->key,
        .dimension = partition->dimension,
        .segments = view->segments_count,
        .kind = INDEX_FLAT,
        .asked = (enum index_kind)atomic_load_explicit(&partition->kind, memory_order_relaxed),
        .state = state_of(partition),
        .work_rows = atomic_load_explicit(&partition->work_rows, memory_order_relaxed),
        .work_rows_done = atomic_load_explicit(&partition->work_rows_done, memory_order_relaxed),
        .rows = partition_rows(partition),
        .dead_rows = partition->rows_dead,
        .size_bytes = partition_size_bytes(partition),
        .searches = atomic_load_explicit(&use->searches, memory_order_relaxed),
        .recall_found = atomic_load_explicit(&use->recall_found, memory_order_relaxed),
        .recall_wanted = atomic_load_explicit(&use->recall_wanted, memory_order_relaxed),
    };
    if (view->segments_count > 0)
        stats->kind = segment_kind(view->segments[view->segments_count - 1].segment);
    for (uint32_t i = view->chunks_covered; i < view->chunks_count; i++)
        stats->flat_rows += rows_chunk_count(view->chunks[i]);
}

enum status directory_each_stats(struct directory *directory,
                                 void (*visit)(void *context, const struct partition_stats *stats),
                                 void *context)
{
    struct directory_keys keys;
    const enum status status = directory_list(directory, &keys);
    for (size_t i = 0; i < keys.count; i++) {
        struct partition_stats stats;
        struct partition *partition = NULL;
        if (!directory_lock(directory, &keys.list[i], &partition))
            continue;
        fill(partition, &stats);
        directory_unlock(directory, partition);
        visit(context, &stats);
    }
    free(keys.list);
    return status;
}
