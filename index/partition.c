/*
 * partition.c - the rows of one scope: inserted, removed, published.
 *
 * WHAT READERS SEE is one atomic pointer to an immutable list of chunks, with segments over some of
 * them. A new row appears when its chunk's count is released, a new chunk when a longer list is
 * published; the old list leaves through the epoch. So an insert costs no reader anything, and
 * costs the writer a new list once per chunk. A list with room to grow in place was rejected: at
 * most one in 4096 inserts needs a new one.
 *
 * CHUNKS. A young partition has small ones. When it has outgrown them, their rows are copied into
 * the first one of 4096, and from then on no row moves, but by a rewrite: segments number rows by
 * their place in chunks of that size.
 *
 * WORK. What takes longer than a lock may be held, building and rewriting, is done by whoever sets
 * `state`, one at a time, while rows come and die. He alone takes chunks out of the view then.
 *
 * THREADS. Any may search (search.c). Inserts and removals hold PARTITION, one at a time. Nothing
 * that readers could still see is freed here: it goes into the caller's garbage.
 *
 * NOT HERE. Views (view.c), searching (search.c), rewriting (rewrite.c), building (extend.c),
 * finding the partition and retiring it (directory.c).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "index/partition_inside.h"
#include "index/restore.h"
#include "index/vector.h"

enum { SMALL_ROWS_MAX = ROWS_CHUNK_MAX / 2 };

/* ---- create and destroy ---------------------------------------------------------------------- */

/* What a scope takes besides its rows. Views with many chunks are larger; so few have them that it
 * does not matter. */
static size_t own_bytes(void)
{
    return sizeof(struct partition) + sizeof(struct partition_use) + sizeof(struct view) +
           4 * sizeof(struct rows_chunk *);
}

static enum status make_parts(struct partition *partition)
{
    struct view *empty = calloc(1, sizeof(*empty));
    atomic_init(&partition->view, empty);
    partition->use = aligned_alloc(_Alignof(struct partition_use), sizeof(*partition->use));
    if (empty == NULL || partition->use == NULL)
        return STATUS_NO_MEMORY;
    memset(partition->use, 0, sizeof(*partition->use));
    return STATUS_OK;
}

UNSHARED enum status partition_create(const struct partition_setup *setup,
                                      struct partition **out_partition)
{
    assert(setup->dimension > 0);
    assert(setup->dimension <= VECTOR_DIMENSION_MAX);
    if (!memory_charge(setup->memory, MEMORY_ROWS, own_bytes()))
        return STATUS_NO_MEMORY;
    struct partition *partition = calloc(1, sizeof(*partition));
    if (partition == NULL) {
        memory_discharge(setup->memory, own_bytes());
        return STATUS_NO_MEMORY;
    }
    partition->key = setup->key;
    partition->dimension = setup->dimension;
    partition->memory = setup->memory;
    partition->common = setup->common;
    lock_init(&partition->lock, LOCK_RANK_PARTITION);
    row_map_init(&partition->map, setup->memory);
    if (make_parts(partition) != STATUS_OK) {
        partition_destroy(&partition);
        return STATUS_NO_MEMORY;
    }
    const int64_t now_ms = atomic_load_explicit(&setup->common->now_ms, memory_order_relaxed);
    atomic_init(&partition->use->used_ms, now_ms);
    partition_choose(partition, setup->choice);
    *out_partition = partition;
    return STATUS_OK;
}

/* Accepts a partition that is only half made. */
UNSHARED void partition_destroy(struct partition **partition)
{
    struct partition *doomed = *partition;
    if (doomed == NULL)
        return;
    *partition = NULL;
    assert(doomed->state == PARTITION_RESTS);
    assert(doomed->link.place == WORK_NOWHERE);
    row_map_deinit(&doomed->map);
    lock_deinit(&doomed->lock);
    struct view *view = partition_view(doomed);
    for (uint32_t i = 0; view != NULL && i < view->segments_count; i++)
        segment_destroy(&view->segments[i].segment);
    for (uint32_t i = 0; view != NULL && i < view->chunks_count; i++)
        rows_chunk_destroy(&view->chunks[i]);
    free(view);
    free(doomed->use);
    memory_discharge(doomed->memory, own_bytes());
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

uint64_t partition_size_bytes(const struct partition *partition)
{
    const struct view *view = partition_view(partition);
    uint64_t size_bytes = own_bytes() + row_map_size_bytes(&partition->map);
    for (uint32_t i = 0; i < view->chunks_count; i++)
        size_bytes += view->chunks[i]->size_bytes;
    for (uint32_t i = 0; i < view->segments_count; i++)
        size_bytes += segment_size_bytes(view->segments[i].segment);
    return size_bytes;
}

void partition_choose(struct partition *partition, const struct index_choice *choice)
{
    const struct index_settings *settings = &partition->common->settings;
    const struct index_choice none = {0};
    const struct index_choice *mine = choice != NULL ? choice : &none;
    const enum index_kind kind = mine->is_kind_set ? mine->kind : settings->kind;
    const uint32_t ef_search = mine->ef_search > 0 ? mine->ef_search : settings->ef_search;
    const uint32_t nprobe = mine->nprobe > 0 ? mine->nprobe : settings->nprobe;
    assert(kind < INDEX_KINDS);
    assert(ef_search <= INDEX_EF_SEARCH_MAX);
    assert(nprobe <= INDEX_NPROBE_MAX);
    atomic_store_explicit(&partition->kind, kind, memory_order_relaxed);
    atomic_store_explicit(&partition->ef_search, ef_search, memory_order_relaxed);
    atomic_store_explicit(&partition->nprobe, nprobe, memory_order_relaxed);
}

/* ---- insert ---------------------------------------------------------------------------------- */

static void ask(struct partition *partition)
{
    if (partition->common->work != NULL)
        work_ask(partition->common->work, partition);
}

/* A rewrite may have left a chunk with room. */
static struct rows_chunk *find_room(const struct partition *partition)
{
    const struct view *view = partition_view(partition);
    for (uint32_t i = view->chunks_covered; i < view->chunks_count; i++)
        if (!view->chunks[i]->frozen && !rows_chunk_is_full(view->chunks[i]))
            return view->chunks[i];
    return NULL;
}

/* The small chunks, if a chunk of full size takes all their rows and nobody works on them. */
static void mark_small(struct partition *partition) REQUIRES(partition->lock)
{
    const struct view *view = partition_view(partition);
    uint32_t rows = 0;
    if (partition->state != PARTITION_RESTS)
        return;
    for (uint32_t i = view->chunks_covered; i < view->chunks_count; i++)
        if (view->chunks[i]->capacity < ROWS_CHUNK_MAX)
            rows += rows_chunk_count(view->chunks[i]) - view->chunks[i]->rows_dead;
    if (rows > SMALL_ROWS_MAX)
        return; /* the next rewrite does it, without the lock */
    for (uint32_t i = view->chunks_covered; i < view->chunks_count; i++)
        if (view->chunks[i]->capacity < ROWS_CHUNK_MAX)
            view->chunks[i]->mark = ROWS_LEAVE;
}

static void unmark(const struct view *view)
{
    for (uint32_t i = view->chunks_covered; i < view->chunks_count; i++)
        view->chunks[i]->mark = ROWS_STAY;
}

static void move_row(struct partition *partition, struct row_at from, struct rows_chunk *chunk)
    REQUIRES(partition->lock)
{
    const uint32_t copy = rows_chunk_copy(chunk, from.chunk, from.row);
    row_map_move(&partition->map, from, (struct row_at){chunk, copy});
}

/* Before `chunk` is published: who still searches the small ones finds each row once. */
static void merge_small(struct partition *partition, struct rows_chunk *chunk,
                        struct garbage *garbage) REQUIRES(partition->lock)
{
    const struct view *view = partition_view(partition);
    for (uint32_t i = view->chunks_covered; i < view->chunks_count; i++) {
        struct rows_chunk *small = view->chunks[i];
        if (small->mark != ROWS_LEAVE)
            continue;
        const uint32_t count = rows_chunk_count(small);
        for (uint32_t row = 0; row < count; row++)
            if (!rows_chunk_is_dead(small, row))
                move_row(partition, (struct row_at){small, row}, chunk);
        garbage_add(garbage, &small->retired, rows_chunk_release);
    }
}

static enum status open_chunk(struct partition *partition, struct garbage *garbage)
    REQUIRES(partition->lock)
{
    struct rows_chunk *chunk = NULL;
    enum status status = rows_chunk_create(partition->memory, MEMORY_ROWS, partition->dimension,
                                           rows_capacity_next(partition->capacity), &chunk);
    if (status != STATUS_OK)
        return status;
    struct view *next = NULL;
    const struct view_change change = {.flat = &chunk, .flat_count = 1};
    if (chunk->capacity == ROWS_CHUNK_MAX)
        mark_small(partition);
    status = view_next(partition_view(partition), &change, &next);
    if (status != STATUS_OK) {
        unmark(partition_view(partition));
        rows_chunk_destroy(&chunk);
        return status;
    }
    merge_small(partition, chunk, garbage);
    partition_publish(partition, next, &change, garbage);
    partition->growing = chunk;
    return STATUS_OK;
}

static void touch(struct partition *partition, uint64_t sequence)
{
    const int64_t now_ms = atomic_load_explicit(&partition->common->now_ms, memory_order_relaxed);
    atomic_store_explicit(&partition->use->used_ms, now_ms, memory_order_relaxed);
    if (sequence > atomic_load_explicit(&partition->sequence_last, memory_order_relaxed))
        atomic_store_explicit(&partition->sequence_last, sequence, memory_order_relaxed);
}

/* Into the place where it was before a restart, or behind the others. */
static enum status place_row(struct partition *partition, const struct index_row *row,
                             struct garbage *garbage, struct row_at *out_at)
    REQUIRES(partition->lock)
{
    if (partition->awaited != NULL && awaited_take(partition, row, out_at))
        return STATUS_OK;
    if (partition->growing == NULL || rows_chunk_is_full(partition->growing))
        partition->growing = find_room(partition);
    const enum status status =
        partition->growing == NULL ? open_chunk(partition, garbage) : STATUS_OK;
    if (status == STATUS_OK)
        *out_at = (struct row_at){partition->growing, rows_chunk_append(partition->growing, row)};
    return status;
}

enum status partition_insert(struct partition *partition, const struct index_row *row,
                             struct garbage *garbage)
{
    assert(row->unit != NULL);
    struct row_at at;
    enum status status = row_map_reserve(&partition->map);
    if (status == STATUS_OK)
        status = place_row(partition, row, garbage, &at);
    if (status != STATUS_OK)
        return status;
    row_map_insert(&partition->map, at);
    atomic_fetch_add_explicit(&partition->rows_live, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&partition->common->rows, 1, memory_order_relaxed);
    touch(partition, row->sequence);
    if (at.chunk->capacity == ROWS_CHUNK_MAX && rows_chunk_is_full(at.chunk))
        ask(partition);
    assert_slow(partition->map.used == partition_rows(partition));
    return STATUS_OK;
}

/* ---- remove ---------------------------------------------------------------------------------- */

/* Asks once the chunk alone would be worth it, and then for every few more: a segment is rewritten
 * for its own dead rows, however many other rows live. */
static void ask_if_due(struct partition *partition, const struct rows_chunk *chunk)
    REQUIRES(partition->lock)
{
    enum { EVERY = 64 };
    const uint64_t live = partition_rows(partition);
    const bool chunk_is_due =
        chunk->rows_dead % EVERY == 0 && chunk->rows_dead * 5 > rows_chunk_count(chunk);
    if (live > 0 && (chunk_is_due || rewrite_is_due(partition, partition->rows_dead, live)))
        ask(partition);
}

size_t partition_remove(struct partition *partition, const struct digest *id, uint64_t sequence)
{
    size_t removed = 0;
    struct row_at at;
    while (row_map_take(&partition->map, id, sequence, &at)) {
        rows_chunk_kill(at.chunk, at.row);
        partition->rows_dead++;
        atomic_fetch_sub_explicit(&partition->rows_live, 1, memory_order_relaxed);
        ask_if_due(partition, at.chunk);
        removed++;
    }
    atomic_fetch_sub_explicit(&partition->common->rows, removed, memory_order_relaxed);
    atomic_fetch_add_explicit(&partition->common->rows_dead, removed, memory_order_relaxed);
    assert_slow(partition->map.used == partition_rows(partition));
    return removed;
}

uint64_t partition_clear(struct partition *partition, struct garbage *garbage)
{
    assert(partition->state == PARTITION_RESTS);
    const struct view *view = partition_view(partition);
    const uint64_t live = partition_rows(partition);
    const struct view_change change = {.segments_dropped = view_every_segment(view)};
    struct view *next = NULL;
    if (view_next(view, &change, &next) != STATUS_OK)
        return 0;
    for (uint32_t i = 0; i < view->chunks_count; i++)
        garbage_add(garbage, &view->chunks[i]->retired, rows_chunk_release);
    next->chunks_count = 0;
    partition->growing = NULL;
    row_map_deinit(&partition->map);
    atomic_store_explicit(&partition->rows_live, 0, memory_order_relaxed);
    atomic_fetch_sub_explicit(&partition->common->rows, live, memory_order_relaxed);
    partition_publish(partition, next, &change, garbage);
    return live;
}
