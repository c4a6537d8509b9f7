/*
 * directory.c - scope to partition.
 *
 * THE TABLE is open addressing over atomic pointers, published as a whole when it grows; a search
 * probes it without a lock. A slot that held a retired partition is marked GONE, not emptied, so
 * that probes go on past it; GONE slots are used again, and vanish when the table is made anew. A
 * partition never moves within a table.
 *
 * LIFE OF A PARTITION. Made by the insert of its first row. When its last row is removed it is
 * unlinked, holding DIRECTORY and PARTITION, and retired through the epoch.
 *
 * NOBODY WAITS FOR ONE SCOPE ON ANOTHER'S TIME. A rewrite may hold PARTITION for tens of
 * milliseconds; so who has found a partition says in `awaiting` that he comes, gives DIRECTORY back
 * and only then waits. One that is awaited is not retired. Who comes may find it empty: everybody
 * leaves through directory_unlock or looks again later, so the last one retires it. Holding
 * DIRECTORY while waiting was rejected: every writer stood behind the one that waited.
 *
 * WHEN THE BUDGET IS SPENT, an insert tries once to throw dead rows of its own scope out, on its
 * own thread, and is then refused. Builders are told, and take from those that are not used
 * (pressure.c).
 *
 * THREADS. directory_find: any registered one, inside an epoch. Writers: DIRECTORY, then
 * PARTITION, both only to unlink; outside of any epoch, since what they retire is freed by them
 * too.
 */
#include "index/directory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "index/builder.h"
#include "index/directory_inside.h"
#include "index/restore.h"
#include "index/vector.h"

enum { SLOTS_FIRST = 64 };

struct table {
    struct epoch_retired retired;
    uint32_t slots_count; /* a power of two            */
    uint32_t used;        /* not NULL: partitions, GONE; the writer's only */
    _Atomic(struct partition *) slots[];
};

/* Marks a slot whose partition was retired. Only its address counts; nobody writes to it. */
static const struct partition gone;
#define GONE ((struct partition *)&gone)

/* ---- the table ------------------------------------------------------------------------------- */

static enum status table_create(uint32_t slots_count, struct table **out_table)
{
    assert(slots_count >= SLOTS_FIRST);
    assert((slots_count & (slots_count - 1)) == 0);
    struct table *table = calloc(1, sizeof(*table) + slots_count * sizeof(table->slots[0]));
    if (table == NULL)
        return STATUS_NO_MEMORY;
    table->slots_count = slots_count;
    *out_table = table;
    return STATUS_OK;
}

static void table_release(struct epoch_retired *retired)
{
    free((char *)retired - offsetof(struct table, retired));
}

/* The scope is a digest already; a vector space only tells apart what would be the same scope. */
static uint32_t hash_of(const struct partition_key *key)
{
    uint64_t scope;
    memcpy(&scope, key->scope, sizeof(scope));
    scope = (scope ^ key->space) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(scope >> 32);
}

static bool key_equal(const struct partition_key *a, const struct partition_key *b)
{
    return a->space == b->space && memcmp(a->scope, b->scope, sizeof(a->scope)) == 0;
}

static struct partition *load_slot(const struct table *table, uint32_t slot)
{
    return atomic_load_explicit(&table->slots[slot], memory_order_acquire);
}

/* Each slot is loaded once: what was read as this key's partition stays it, whatever writers do
 * meanwhile. */
static struct partition *table_find(const struct table *table, const struct partition_key *key,
                                    uint32_t *out_slot)
{
    const uint32_t mask = table->slots_count - 1;
    for (uint32_t slot = hash_of(key) & mask;; slot = (slot + 1) & mask) {
        struct partition *found = load_slot(table, slot);
        if (found == NULL)
            return NULL; /* there always is a free slot */
        if (found == GONE || !key_equal(&found->key, key))
            continue;
        if (out_slot != NULL)
            *out_slot = slot;
        return found;
    }
}

static void table_put(struct table *table, struct partition *partition)
{
    const uint32_t mask = table->slots_count - 1;
    uint32_t slot = hash_of(&partition->key) & mask;
    while (load_slot(table, slot) != NULL && load_slot(table, slot) != GONE)
        slot = (slot + 1) & mask;
    table->used += load_slot(table, slot) == NULL;
    assert(table->used < table->slots_count);
    atomic_store_explicit(&table->slots[slot], partition, memory_order_release);
}

static struct table *table_now(const struct directory *directory)
{
    struct table *table = atomic_load_explicit(&directory->table, memory_order_acquire);
    assert(table != NULL);
    return table;
}

/* A table with four slots or more for each partition, without the GONE ones, takes the present
 * one's place. */
static enum status replace_table(struct directory *directory, struct garbage *garbage)
    REQUIRES(directory->lock)
{
    struct table *before = table_now(directory), *next = NULL;
    uint32_t slots_count = SLOTS_FIRST;
    while (slots_count / 4 < atomic_load_explicit(&directory->partitions, memory_order_relaxed) + 1)
        slots_count *= 2;
    const enum status status = table_create(slots_count, &next);
    if (status != STATUS_OK)
        return status;
    for (uint32_t i = 0; i < before->slots_count; i++) {
        struct partition *partition = load_slot(before, i);
        if (partition != NULL && partition != GONE)
            table_put(next, partition);
    }
    atomic_store_explicit(&directory->table, next, memory_order_release);
    garbage_add(garbage, &before->retired, table_release);
    return STATUS_OK;
}

void directory_each(struct directory *directory,
                    void (*look)(void *context, struct partition *partition), void *context)
{
    const struct table *table = table_now(directory);
    for (uint32_t i = 0; i < table->slots_count; i++) {
        struct partition *partition = load_slot(table, i);
        if (partition != NULL && partition != GONE)
            look(context, partition);
    }
}

/* ---- create and destroy ---------------------------------------------------------------------- */

static enum status make_parts(struct directory *directory)
{
    struct table *table = NULL;
    struct index_common *common = &directory->common;
    enum status status = memory_open(common->settings.memory_bytes, &directory->memory);
    if (status == STATUS_OK)
        status = work_create(&common->work);
    if (status == STATUS_OK)
        status = recall_create(&common->recall);
    if (status == STATUS_OK)
        status = table_create(SLOTS_FIRST, &table);
    atomic_init(&directory->table, table);
    return status;
}

UNSHARED enum status directory_create(const struct directory_setup *setup,
                                      struct directory **out_directory)
{
    assert(setup->epochs != NULL);
    assert(setup->settings.segment_rows_max >= ROWS_CHUNK_MAX);
    struct directory *directory = calloc(1, sizeof(*directory));
    if (directory == NULL)
        return STATUS_NO_MEMORY;
    directory->epochs = setup->epochs;
    directory->clock_us = setup->clock_us;
    directory->common.settings = setup->settings;
    atomic_init(&directory->common.flat_row_ps, FLAT_ROW_PS_USUAL);
    atomic_init(&directory->common.build_row_ns, BUILD_ROW_NS_USUAL);
    lock_init(&directory->lock, LOCK_RANK_DIRECTORY);
    const enum status status = make_parts(directory);
    if (status != STATUS_OK)
        directory_destroy(&directory);
    else
        *out_directory = directory;
    return status;
}

static void destroy_partition(void *context, struct partition *partition)
{
    struct directory *directory = context;
    work_forget(directory->common.work, partition);
    partition_destroy(&partition);
}

/* Accepts a directory that is only half made. */
UNSHARED void directory_destroy(struct directory **directory)
{
    struct directory *doomed = *directory;
    if (doomed == NULL)
        return;
    *directory = NULL;
    directory_builder_stop(doomed);
    restore_abandon(doomed);
    struct table *table = atomic_load_explicit(&doomed->table, memory_order_acquire);
    if (table != NULL)
        directory_each(doomed, destroy_partition, doomed);
    free(table);
    recall_destroy(&doomed->common.recall);
    work_destroy(&doomed->common.work);
    memory_close(&doomed->memory);
    lock_deinit(&doomed->lock);
    free(doomed);
}

enum status directory_builder_start(struct directory *directory)
{
    assert(directory->builder == NULL);
    return builder_start(directory, directory->common.settings.builders, &directory->builder);
}

void directory_builder_stop(struct directory *directory)
{
    builder_stop(&directory->builder);
}

/* ---- find ------------------------------------------------------------------------------------ */

struct partition *directory_find(struct directory *directory, const struct partition_key *key)
{
    return table_find(table_now(directory), key, NULL);
}

uint32_t directory_dimension(struct directory *directory, const struct partition_key *key)
{
    epoch_enter(directory->epochs);
    const struct partition *partition = directory_find(directory, key);
    const uint32_t dimension = partition != NULL ? partition_dimension(partition) : 0;
    epoch_leave(directory->epochs);
    return dimension;
}

/* ---- retire ---------------------------------------------------------------------------------- */

/* What is in it goes with it. */
static void uncount(struct index_common *common, const struct partition *partition)
    REQUIRES(partition->lock)
{
    const struct view *view = partition_view(partition);
    const uint64_t graph_rows = (uint64_t)view->chunks_covered * ROWS_CHUNK_MAX;
    atomic_fetch_sub_explicit(&common->rows_dead, partition->rows_dead, memory_order_relaxed);
    atomic_fetch_sub_explicit(&common->segments, view->segments_count, memory_order_relaxed);
    atomic_fetch_sub_explicit(&common->graph_rows, graph_rows, memory_order_relaxed);
}

static void unlink_partition(struct directory *directory, struct partition *partition,
                             uint32_t slot, struct garbage *garbage) REQUIRES(directory->lock)
    REQUIRES(partition->lock)
{
    assert(partition_rows(partition) == 0);
    assert(partition->state == PARTITION_RESTS);
    struct table *table = table_now(directory);
    assert(load_slot(table, slot) == partition);
    atomic_store_explicit(&table->slots[slot], GONE, memory_order_release);
    atomic_fetch_sub_explicit(&directory->partitions, 1, memory_order_relaxed);
    uncount(&directory->common, partition);
    work_forget(directory->common.work, partition);
    garbage_add(garbage, &partition->retired, partition_release);
}

/* Somebody may have put a row into it since it was seen empty: looked at again, under both locks.
 * While somebody works there or is about to enter, it stays, and he comes here afterwards. Whoever
 * holds an empty one has no row to copy and is not long about it. */
void directory_retire_if_empty(struct directory *directory, const struct partition_key *key)
{
    struct garbage garbage = {0};
    uint32_t slot = 0;
    lock_acquire(&directory->lock);
    struct partition *partition = table_find(table_now(directory), key, &slot);
    if (partition != NULL && partition_rows(partition) == 0 &&
        atomic_load_explicit(&partition->awaiting, memory_order_relaxed) == 0) {
        lock_acquire(&partition->lock);
        if (partition_rows(partition) == 0 && partition->state == PARTITION_RESTS)
            unlink_partition(directory, partition, slot, &garbage);
        lock_release(&partition->lock);
    }
    lock_release(&directory->lock);
    garbage_retire(&garbage, directory->epochs);
}

/* ---- lock and unlock ------------------------------------------------------------------------- */

void directory_enter(struct directory *directory, struct partition *partition)
{
    atomic_fetch_add_explicit(&partition->awaiting, 1, memory_order_relaxed);
    lock_release(&directory->lock);
    lock_acquire(&partition->lock);
    const uint32_t before =
        atomic_fetch_sub_explicit(&partition->awaiting, 1, memory_order_relaxed);
    assert(before > 0);
    (void)before;
}

bool directory_lock(struct directory *directory, const struct partition_key *key,
                    struct partition **out_partition)
{
    lock_acquire(&directory->lock);
    *out_partition = table_find(table_now(directory), key, NULL);
    if (*out_partition == NULL) {
        lock_release(&directory->lock);
        return false;
    }
    directory_enter(directory, *out_partition);
    return true;
}

void directory_unlock(struct directory *directory, struct partition *partition)
{
    const struct partition_key key = partition->key;
    const bool is_empty = partition_rows(partition) == 0;
    lock_release(&partition->lock); /* from here on it may be gone */
    if (is_empty)
        directory_retire_if_empty(directory, &key);
}

/* ---- insert ---------------------------------------------------------------------------------- */

static enum status make_partition(struct directory *directory, const struct partition_key *key,
                                  uint32_t dimension, const struct index_choice *choice,
                                  struct garbage *garbage, struct partition **out_partition)
    REQUIRES(directory->lock)
{
    const struct partition_setup setup = {.key = *key,
                                          .dimension = dimension,
                                          .memory = directory->memory,
                                          .common = &directory->common,
                                          .choice = choice};
    const enum status status = partition_create(&setup, out_partition);
    if (status != STATUS_OK)
        return status;
    if (directory->restore != NULL)
        restore_attach(directory->restore, *out_partition, garbage);
    table_put(table_now(directory), *out_partition);
    atomic_fetch_add_explicit(&directory->partitions, 1, memory_order_relaxed);
    return STATUS_OK;
}

static enum status make_slot(struct directory *directory, struct garbage *garbage)
    REQUIRES(directory->lock)
{
    const struct table *table = table_now(directory);
    if ((uint64_t)(table->used + 1) * 4 <= (uint64_t)table->slots_count * 3)
        return STATUS_OK;
    return replace_table(directory, garbage);
}

static enum status find_or_make(struct directory *directory, const struct partition_key *key,
                                uint32_t dimension, const struct index_row *row,
                                struct garbage *garbage, struct partition **out_partition)
    REQUIRES(directory->lock)
{
    struct partition *found = table_find(table_now(directory), key, NULL);
    if (found == NULL) {
        const enum status status = make_slot(directory, garbage);
        return status != STATUS_OK
                   ? status
                   : make_partition(directory, key, dimension, row->choice, garbage, out_partition);
    }
    if (found->dimension != dimension)
        return STATUS_DIM_MISMATCH;
    *out_partition = found;
    return STATUS_OK;
}

static enum status try_insert(struct directory *directory, const struct partition_key *key,
                              uint32_t dimension, const struct index_row *row)
{
    struct garbage garbage = {0};
    struct partition *partition = NULL;
    lock_acquire(&directory->lock);
    enum status status = find_or_make(directory, key, dimension, row, &garbage, &partition);
    if (status == STATUS_OK) {
        directory_enter(directory, partition);
        status = partition_insert(partition, row, &garbage);
        lock_release(&partition->lock);
    } else {
        lock_release(&directory->lock);
    }
    garbage_retire(&garbage, directory->epochs);
    return status;
}

enum status directory_insert(struct directory *directory, const struct partition_key *key,
                             uint32_t dimension, const struct index_row *row)
{
    assert(dimension > 0);
    assert(dimension <= VECTOR_DIMENSION_MAX);
    assert(row->unit != NULL);
    enum status status = try_insert(directory, key, dimension, row);
    if (status == STATUS_NO_MEMORY && builder_reclaim(directory, key))
        status = try_insert(directory, key, dimension, row);
    if (status != STATUS_NO_MEMORY)
        return status;
    atomic_fetch_add_explicit(&directory->refused, 1, memory_order_relaxed);
    if (!atomic_exchange_explicit(&directory->is_pressed, true, memory_order_relaxed))
        work_wake(directory->common.work, 1);
    directory_retire_if_empty(directory, key); /* it may have been made for this row */
    return STATUS_NO_MEMORY;
}

/* ---- remove ---------------------------------------------------------------------------------- */

size_t directory_remove(struct directory *directory, const struct partition_key *key,
                        const struct digest *id, uint64_t sequence)
{
    struct partition *partition = NULL;
    if (!directory_lock(directory, key, &partition))
        return 0;
    const size_t removed = partition_remove(partition, id, sequence);
    directory_unlock(directory, partition);
    return removed;
}

/* ---- one scope ------------------------------------------------------------------------------- */

uint32_t directory_vector(struct directory *directory, const struct partition_key *key,
                          const struct digest *id, uint64_t sequence, float *out, uint32_t max)
{
    struct partition *partition = NULL;
    if (!directory_lock(directory, key, &partition))
        return 0;
    struct row_at at;
    uint32_t dimension = 0;
    if (partition->dimension <= max && row_map_find(&partition->map, id, sequence, &at)) {
        dimension = partition->dimension;
        memcpy(out, rows_chunk_unit(at.chunk, at.row), dimension * sizeof(*out));
    }
    directory_unlock(directory, partition);
    return dimension;
}

enum status directory_set_kind(struct directory *directory, const struct partition_key *key,
                               const struct index_choice *choice)
{
    struct partition *partition = NULL;
    if (!directory_lock(directory, key, &partition))
        return STATUS_NOT_FOUND;
    partition_choose(partition, choice);
    work_ask(directory->common.work, partition);
    directory_unlock(directory, partition);
    return STATUS_OK;
}
