/*
 * partition_support.h - one partition with its epochs and budget, for the tests of the rooms
 * behind partition.h.
 */
#pragma once
#include "tests/unit/index/index_support.h"

#include "base/epoch.h"
#include "base/thread.h"
#include "index/partition_inside.h"

struct stand {
    struct epochs *epochs;
    struct memory *memory;
    struct index_totals totals;
    struct partition *partition;
};

static inline void stand_start(struct stand *stand, uint32_t dimension, uint64_t memory_bytes)
{
    *stand = (struct stand){0};
    assert_int_equal(thread_register(THREAD_COMPUTE), STATUS_OK);
    assert_int_equal(epochs_create(&stand->epochs), STATUS_OK);
    assert_int_equal(memory_open(memory_bytes, &stand->memory), STATUS_OK);
    const struct partition_setup setup = {
        .dimension = dimension, .memory = stand->memory, .totals = &stand->totals};
    assert_int_equal(partition_create(&setup, &stand->partition), STATUS_OK);
}

/* Everything must have been given back. */
static inline void stand_stop(struct stand *stand)
{
    partition_destroy(&stand->partition);
    (void)epoch_collect(stand->epochs);
    assert_int_equal(memory_used(stand->memory), 0);
    memory_close(&stand->memory);
    epochs_destroy(&stand->epochs);
    thread_unregister();
}

static inline enum status stand_insert(struct stand *stand, const struct index_row *row)
{
    struct garbage garbage = {0};
    struct partition *partition = stand->partition;
    lock_acquire(&partition->lock);
    const enum status status = partition_insert(partition, row, &garbage);
    lock_release(&partition->lock);
    garbage_retire(&garbage, stand->epochs);
    return status;
}

static inline size_t stand_remove(struct stand *stand, uint64_t id, uint64_t sequence)
{
    struct garbage garbage = {0};
    struct partition *partition = stand->partition;
    const struct digest digest = id_of(id);
    lock_acquire(&partition->lock);
    const size_t removed = partition_remove(partition, &digest, sequence, &garbage);
    lock_release(&partition->lock);
    garbage_retire(&garbage, stand->epochs);
    return removed;
}

static inline bool stand_rewrite(struct stand *stand)
{
    struct garbage garbage = {0};
    struct partition *partition = stand->partition;
    lock_acquire(&partition->lock);
    const bool some = partition_rewrite(partition, &garbage);
    lock_release(&partition->lock);
    garbage_retire(&garbage, stand->epochs);
    return some;
}

static inline uint64_t stand_dead(struct stand *stand)
{
    struct partition *partition = stand->partition;
    lock_acquire(&partition->lock);
    const uint64_t dead = partition->rows_dead;
    lock_release(&partition->lock);
    return dead;
}

/* The test's search on the caller's behalf: unit, tag 1, time 0. */
static inline void stand_search(struct stand *stand, const float *unit, uint32_t hits_max,
                                struct search *out_search)
{
    out_search->unit = unit;
    out_search->dimension = stand->partition->dimension;
    out_search->tag = 1;
    out_search->now_ms = 0;
    out_search->hits_max = hits_max;
    epoch_enter(stand->epochs);
    partition_search(stand->partition, out_search);
    epoch_leave(stand->epochs);
}
