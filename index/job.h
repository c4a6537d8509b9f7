/*
 * job.h - work on one partition that takes longer than a lock may be held: what it needs next
 * (plan.c), segments built (extend.c), dead rows thrown out (rewrite.c).
 *
 * Threads: planned holding PARTITION; run holding nothing by the one thread that planned it, for
 * as long as the partition's state says so. Inserts, removals and searches go on.
 */
#pragma once
#include "index/partition_inside.h"

enum plan_kind {
    PLAN_NOTHING,
    PLAN_WATCH,    /* nothing yet, but time alone may change that    */
    PLAN_DISSOLVE, /* segments go, their rows are scanned            */
    PLAN_BUILD,    /* a segment over `chunks`                        */
    PLAN_REWRITE,  /* living rows of `chunks` are copied to new ones */
};

struct plan {
    enum plan_kind kind;
    uint64_t segments_dropped;    /* bits of the view's                             */
    enum index_kind segment_kind; /* of the one that comes; INDEX_FLAT: none        */
    const struct segment *base;   /* it begins with the chunks of this one; or NULL */
    struct rows_chunk **chunks;   /* the plan's; freed by plan_free                 */
    uint32_t chunks_count;
    uint64_t rows_new; /* BUILD: beyond those of base. REWRITE: living ones */
};

struct plan_setup {
    uint64_t now_us;      /* 0: no clock, no rates                             */
    bool has_graph_room;  /* memory for a build is not excluded from the start */
    bool wants_rows_back; /* any dead row is worth a rewrite of flat chunks, and nothing else is */
};

/* Fills the plan, and sets the partition's state unless nothing is to be done. */
enum status plan_make(struct partition *partition, const struct plan_setup *setup,
                      struct plan *out_plan) REQUIRES(partition->lock);
/* The partition rests again. */
void plan_end(struct partition *partition, struct plan *plan) REQUIRES(partition->lock);

struct job {
    struct partition *partition;
    struct epochs *epochs;
    const atomic_bool *stop;
    uint64_t (*clock_us)(void); /* may be NULL */
};

/* STATUS_CANCELLED and STATUS_NO_MEMORY: the partition is as it was. */
enum status extend_run(const struct job *job, const struct plan *plan);
/* STATUS_OK: some rows were copied, perhaps not those of all chunks. */
enum status rewrite_run(const struct job *job, const struct plan *plan);

/* The new segment, not published. Counts what it took. */
enum status extend_build(const struct job *job, const struct plan *plan,
                         struct rows_chunk *const *chunks, uint32_t chunks_count,
                         struct segment **out_segment);
/* Segments go, their chunks are scanned. */
enum status extend_dissolve(struct partition *partition, uint64_t segments_dropped,
                            struct garbage *garbage) REQUIRES(partition->lock);
