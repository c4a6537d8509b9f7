/*
 * partition_inside.h - what the rooms of index/ know of a partition and other floors do not: its
 * view, and the writers' verbs.
 *
 * Threads: the view is read inside an epoch; the verbs want PARTITION, as their REQUIRES says.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/epoch.h"
#include "base/lock.h"
#include "index/directory.h"
#include "index/memory.h"
#include "index/row_map.h"
#include "index/rows.h"

/* Immutable once published. The chunks in it grow until they are full, and count their own rows. */
struct view {
    struct epoch_retired retired;
    uint32_t chunks_count;
    struct rows_chunk *chunks[];
};

/* Of all partitions together; kept by the writers, read by directory_stats. */
struct index_totals {
    _Atomic uint64_t rows, rows_dead;
};

struct partition {
    struct epoch_retired retired;
    struct partition_key key;    /* never changes */
    uint32_t dimension;          /* never changes */
    struct memory *memory;       /* never changes */
    struct index_totals *totals; /* never changes */
    _Atomic(struct view *) view; /* never NULL    */
    _Atomic uint64_t rows_live;
    struct lock lock;
    uint64_t rows_dead GUARDED;         /* in chunks of the view                          */
    uint64_t capacity GUARDED;          /* rows that the chunks of the view have room for */
    struct rows_chunk *growing GUARDED; /* one of the view's, or NULL: takes the next row */
    struct row_map map GUARDED;         /* every living row                               */
};

/* What has been unlinked under a lock, and is handed to the epochs after the lock is released: they
 * may call release functions, which belong under no lock. */
struct garbage {
    struct epoch_retired *first;
};

void garbage_add(struct garbage *garbage, struct epoch_retired *object,
                 void (*release)(struct epoch_retired *object));
/* Holding no lock; empties the list. */
void garbage_retire(struct garbage *garbage, struct epochs *epochs);

enum status view_create(uint32_t chunks_max, struct view **out_view);
/* Publishes `next` and throws the present view away; its chunks are the caller's affair. */
void partition_publish(struct partition *partition, struct view *next, struct garbage *garbage)
    REQUIRES(partition->lock);

struct partition_setup {
    struct partition_key key;
    uint32_t dimension;
    struct memory *memory;
    struct index_totals *totals; /* outlives the partition's last insert and removal */
};
enum status partition_create(const struct partition_setup *setup, struct partition **out_partition);
/* Frees rows, view and all. Nobody can reach it any more. */
void partition_destroy(struct partition **partition);
/* For epoch_retire. */
void partition_release(struct epoch_retired *retired);

/* The row is findable when it returns. */
enum status partition_insert(struct partition *partition, const struct index_row *row,
                             struct garbage *garbage) REQUIRES(partition->lock);
/* Every row of that entry at or below the sequence; returns how many. */
size_t partition_remove(struct partition *partition, const struct digest *id, uint64_t sequence,
                        struct garbage *garbage) REQUIRES(partition->lock);

/* Copies living rows of chunks with many dead ones into fresh chunks; false if there was nothing to
 * gain, or no memory. */
bool partition_rewrite(struct partition *partition, struct garbage *garbage)
    REQUIRES(partition->lock);
/* When rewriting pays: by the share of dead rows, and earlier when memory is tight. */
bool partition_rewrite_is_due(const struct partition *partition) REQUIRES(partition->lock);
