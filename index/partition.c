/*
 * partition.c - the rows of one scope: inserted, removed, published.
 *
 * WHAT READERS SEE is one atomic pointer to an immutable list of chunks. A new row appears when
 * its chunk's count is released, a new chunk when a longer list is published; the old list leaves
 * through the epoch. So an insert costs no reader anything, and costs the writer a new list once
 * per chunk. A list with room to grow in place was rejected: at most one in 4096 inserts needs a
 * new one.
 *
 * THREADS. Any may search (search.c). Inserts and removals hold PARTITION, one at a time. Nothing
 * that readers could still see is freed here: it goes into the caller's garbage.
 *
 * NOT HERE. Searching (search.c), rewriting (rewrite.c), finding the partition and retiring it
 * (directory.c).
 */
#include "index/partition_inside.h"

#include <assert.h>
#include <stdlib.h>

#include "base/check.h"
#include "index/vector.h"

void garbage_add(struct garbage *garbage, struct epoch_retired *object,
                 void (*release)(struct epoch_retired *object))
{
    assert(object != NULL);
    assert(release != NULL);
    *object = (struct epoch_retired){.next = garbage->first, .release = release};
    garbage->first = object;
}

void garbage_retire(struct garbage *garbage, struct epochs *epochs)
{
    assert(lock_none_held());
    while (garbage->first != NULL) {
        struct epoch_retired *object = garbage->first;
        garbage->first = object->next;
        epoch_retire(epochs, object, object->release);
    }
}

/* ---- views ----------------------------------------------------------------------------------- */

enum status view_create(uint32_t chunks_max, struct view **out_view)
{
    struct view *view = calloc(1, sizeof(*view) + chunks_max * sizeof(view->chunks[0]));
    if (view == NULL)
        return STATUS_NO_MEMORY;
    *out_view = view;
    return STATUS_OK;
}

static void view_release(struct epoch_retired *retired)
{
    free((char *)retired - offsetof(struct view, retired));
}

static struct view *view_now(const struct partition *partition)
{
    struct view *view = atomic_load_explicit(&partition->view, memory_order_relaxed);
    assert(view != NULL);
    return view; /* relaxed: only writers change it, and the lock orders them */
}

void partition_publish(struct partition *partition, struct view *next, struct garbage *garbage)
{
    struct view *before = view_now(partition);
    assert(next != before);
    atomic_store_explicit(&partition->view, next, memory_order_release);
    garbage_add(garbage, &before->retired, view_release);
}

/* ---- create and destroy ---------------------------------------------------------------------- */

UNSHARED enum status partition_create(const struct partition_setup *setup,
                                      struct partition **out_partition)
{
    assert(setup->dimension > 0);
    assert(setup->dimension <= VECTOR_DIMENSION_MAX);
    struct partition *partition = calloc(1, sizeof(*partition));
    if (partition == NULL)
        return STATUS_NO_MEMORY;
    struct view *empty = NULL;
    if (view_create(0, &empty) != STATUS_OK) {
        free(partition);
        return STATUS_NO_MEMORY;
    }
    partition->key = setup->key;
    partition->dimension = setup->dimension;
    partition->memory = setup->memory;
    partition->totals = setup->totals;
    atomic_init(&partition->view, empty);
    lock_init(&partition->lock, LOCK_RANK_PARTITION);
    row_map_init(&partition->map, setup->memory);
    *out_partition = partition;
    return STATUS_OK;
}

UNSHARED void partition_destroy(struct partition **partition)
{
    struct partition *doomed = *partition;
    if (doomed == NULL)
        return;
    *partition = NULL;
    row_map_deinit(&doomed->map);
    lock_deinit(&doomed->lock);
    struct view *view = view_now(doomed);
    for (uint32_t i = 0; i < view->chunks_count; i++)
        rows_chunk_destroy(&view->chunks[i]);
    free(view);
    free(doomed);
}

void partition_release(struct epoch_retired *retired)
{
    struct partition *partition =
        (struct partition *)((char *)retired - offsetof(struct partition, retired));
    partition_destroy(&partition);
}

uint32_t partition_dimension(const struct partition *partition)
{
    return partition->dimension;
}

uint64_t partition_rows(const struct partition *partition)
{
    return atomic_load_explicit(&partition->rows_live, memory_order_relaxed);
}

/* ---- insert ---------------------------------------------------------------------------------- */

static enum status open_chunk(struct partition *partition, struct garbage *garbage)
    REQUIRES(partition->lock)
{
    const struct view *before = view_now(partition);
    struct view *next = NULL;
    enum status status = view_create(before->chunks_count + 1, &next);
    if (status != STATUS_OK)
        return status;
    struct rows_chunk *chunk = NULL;
    status = rows_chunk_create(partition->memory, MEMORY_ROWS, partition->dimension,
                               rows_capacity_next(partition->capacity), &chunk);
    if (status != STATUS_OK) {
        free(next);
        return status;
    }
    for (uint32_t i = 0; i < before->chunks_count; i++)
        next->chunks[i] = before->chunks[i];
    next->chunks[before->chunks_count] = chunk;
    next->chunks_count = before->chunks_count + 1;
    partition->growing = chunk;
    partition->capacity += chunk->capacity;
    partition_publish(partition, next, garbage);
    return STATUS_OK;
}

enum status partition_insert(struct partition *partition, const struct index_row *row,
                             struct garbage *garbage)
{
    assert(row->unit != NULL);
    enum status status = row_map_reserve(&partition->map);
    if (status == STATUS_OK &&
        (partition->growing == NULL || rows_chunk_is_full(partition->growing)))
        status = open_chunk(partition, garbage);
    if (status != STATUS_OK)
        return status;
    struct rows_chunk *chunk = partition->growing;
    row_map_insert(&partition->map, (struct row_at){chunk, rows_chunk_append(chunk, row)});
    atomic_fetch_add_explicit(&partition->rows_live, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&partition->totals->rows, 1, memory_order_relaxed);
    assert_slow(partition->map.used == partition_rows(partition));
    return STATUS_OK;
}

/* ---- remove ---------------------------------------------------------------------------------- */

static void count_dead(struct partition *partition, uint64_t rows) REQUIRES(partition->lock)
{
    assert(partition_rows(partition) >= rows);
    partition->rows_dead += rows;
    atomic_fetch_sub_explicit(&partition->rows_live, rows, memory_order_relaxed);
    atomic_fetch_sub_explicit(&partition->totals->rows, rows, memory_order_relaxed);
    atomic_fetch_add_explicit(&partition->totals->rows_dead, rows, memory_order_relaxed);
}

size_t partition_remove(struct partition *partition, const struct digest *id, uint64_t sequence,
                        struct garbage *garbage)
{
    size_t removed = 0;
    struct row_at at;
    while (row_map_take(&partition->map, id, sequence, &at)) {
        rows_chunk_kill(at.chunk, at.row);
        removed++;
    }
    if (removed == 0)
        return 0;
    count_dead(partition, removed);
    assert_slow(partition->map.used == partition_rows(partition));
    if (partition_rewrite_is_due(partition))
        (void)partition_rewrite(partition,
                                garbage); /* no memory for it: the next removal tries again */
    return removed;
}
