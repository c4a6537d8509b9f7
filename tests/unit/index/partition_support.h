/*
 * partition_support.h - one partition with its epochs and budget, for the tests of the rooms
 * behind partition.h.
 */
#pragma once
#include "tests/unit/index/index_support.h"

#include "base/epoch.h"
#include "base/thread.h"
#include "index/job.h"

struct stand {
    struct epochs *epochs;
    struct memory *memory;
    struct index_common common;
    struct partition *partition;
};

static inline void stand_start(struct stand *stand, uint32_t dimension, uint64_t memory_bytes)
{
    *stand = (struct stand){0};
    assert_int_equal(thread_register(THREAD_COMPUTE), STATUS_OK);
    assert_int_equal(epochs_create(&stand->epochs), STATUS_OK);
    assert_int_equal(memory_open(memory_bytes, &stand->memory), STATUS_OK);
    index_settings_read(NULL, &stand->common.settings);
    atomic_store(&stand->common.flat_row_ps, 12000);
    atomic_store(&stand->common.build_row_ns, 100000);
    const struct partition_setup setup = {
        .dimension = dimension, .memory = stand->memory, .common = &stand->common};
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
    struct partition *partition = stand->partition;
    const struct digest digest = id_of(id);
    lock_acquire(&partition->lock);
    const size_t removed = partition_remove(partition, &digest, sequence);
    lock_release(&partition->lock);
    return removed;
}

static inline enum plan_kind stand_plan(struct stand *stand, const struct plan_setup *setup,
                                        struct plan *out_plan)
{
    struct partition *partition = stand->partition;
    lock_acquire(&partition->lock);
    assert_int_equal(plan_make(partition, setup, out_plan), STATUS_OK);
    lock_release(&partition->lock);
    return out_plan->kind;
}

static inline enum status stand_run(struct stand *stand, struct plan *plan,
                                    const atomic_bool *stop)
{
    struct partition *partition = stand->partition;
    const struct job job = {.partition = partition, .epochs = stand->epochs, .stop = stop};
    const enum status status =
        plan->kind == PLAN_BUILD ? extend_run(&job, plan) : rewrite_run(&job, plan);
    lock_acquire(&partition->lock);
    plan_end(partition, plan);
    lock_release(&partition->lock);
    return status;
}

/* What a builder would do next, done; what it was. */
static inline enum plan_kind stand_step(struct stand *stand)
{
    static const atomic_bool never = false;
    const struct plan_setup setup = {.has_graph_room = true};
    struct garbage garbage = {0};
    struct partition *partition = stand->partition;
    struct plan plan;
    const enum plan_kind kind = stand_plan(stand, &setup, &plan);
    if (kind == PLAN_BUILD || kind == PLAN_REWRITE)
        assert_int_equal(stand_run(stand, &plan, &never), STATUS_OK);
    if (kind == PLAN_DISSOLVE) {
        lock_acquire(&partition->lock);
        assert_int_equal(extend_dissolve(partition, plan.segments_dropped, &garbage), STATUS_OK);
        lock_release(&partition->lock);
        garbage_retire(&garbage, stand->epochs);
    }
    return kind;
}

/* Until there is nothing left to do. */
static inline void stand_settle(struct stand *stand)
{
    for (enum plan_kind kind = PLAN_BUILD; kind != PLAN_NOTHING && kind != PLAN_WATCH;)
        kind = stand_step(stand);
}

/* As an insert does that has no room: true if dead rows left. */
static inline bool stand_rewrite(struct stand *stand)
{
    static const atomic_bool never = false;
    const struct plan_setup setup = {.wants_rows_back = true};
    struct plan plan;
    if (stand_plan(stand, &setup, &plan) != PLAN_REWRITE)
        return false;
    return stand_run(stand, &plan, &never) == STATUS_OK;
}

static inline void stand_choose(struct stand *stand, enum index_kind kind)
{
    const struct index_choice choice = {.is_kind_set = true, .kind = kind};
    lock_acquire(&stand->partition->lock);
    partition_choose(stand->partition, &choice);
    lock_release(&stand->partition->lock);
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
