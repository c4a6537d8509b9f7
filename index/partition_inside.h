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
#include "index/segment.h"
#include "index/work.h"

struct awaited;
struct recall;

enum { VIEW_SEGMENTS_MAX = 64 };

struct view_segment {
    struct segment *segment;
    uint32_t chunks_count;
};

/*
 * Immutable once published. First come the chunks of the segments, segment after segment, oldest
 * first; the others, `flat` ones, are scanned. These may still grow and count their own rows.
 */
struct view {
    struct epoch_retired retired;
    uint32_t chunks_count;
    uint32_t chunks_covered; /* by segments */
    uint32_t segments_count;
    struct view_segment *segments; /* in the same block */
    struct rows_chunk *chunks[];
};

/* Of all partitions together. */
struct index_common {
    struct index_settings settings; /* never changes                                */
    struct work *work;              /* never changes; NULL: nobody is asked         */
    struct recall *recall;          /* never changes; NULL: no search is remembered */
    _Atomic uint64_t rows, rows_dead;
    _Atomic uint64_t segments, graph_rows;
    _Atomic uint64_t builds, builds_refused, rewrites;
    _Atomic uint64_t recall_found, recall_wanted;
    _Atomic int64_t now_ms;        /* the caller's clock, as searches tell it; seconds late */
    _Atomic uint32_t flat_row_ps;  /* c of promotion.h, of PROMOTION_DIMENSION              */
    _Atomic uint32_t build_row_ns; /* b, likewise                                           */
};

/* What searches write; a cache line of its own, so that they do not slow down each other's look at
 * the view. */
struct partition_use {
    _Alignas(64) _Atomic uint64_t searches;
    _Atomic int64_t used_ms; /* by the caller's clock; seconds late */
    _Atomic uint32_t recall_found, recall_wanted;
};

struct partition {
    struct epoch_retired retired;
    struct partition_key key;    /* never changes */
    uint32_t dimension;          /* never changes */
    struct memory *memory;       /* never changes */
    struct index_common *common; /* never changes */
    struct partition_use *use;   /* never changes */
    _Atomic(struct view *) view; /* never NULL    */
    _Atomic uint64_t rows_live;
    _Atomic uint64_t sequence_last;     /* the highest one so far              */
    _Atomic uint32_t kind;              /* enum index_kind that is asked for   */
    _Atomic uint32_t ef_search, nprobe; /* resolved                            */
    _Atomic uint32_t work_rows, work_rows_done;
    struct work_link link;     /* INDEX_WORK guards it */
    _Atomic uint32_t awaiting; /* who is about to take the lock; raised under DIRECTORY only */
    struct lock lock;
    uint64_t rows_dead GUARDED;         /* in chunks of the view                          */
    uint64_t capacity GUARDED;          /* rows that the chunks of the view have room for */
    struct rows_chunk *growing GUARDED; /* one of the view's, or NULL: takes the next row */
    struct row_map map GUARDED;         /* every living row                               */
    /* While somebody works here without PARTITION, chunks leave the view by his hand only, and the
     * partition is not retired. */
    enum partition_state state GUARDED; /* RESTS, or what somebody does here */
    struct awaited *awaited GUARDED;    /* rows that come back; NULL: none   */
    uint64_t searches_seen GUARDED;     /* when the rate was taken last */
    uint64_t rate_us GUARDED;
    double lookups_s GUARDED;
};

/* ---- garbage --------------------------------------------------------------------------------- */

/* What has been unlinked under a lock, and is handed to the epochs after the lock is released: they
 * may call release functions, which belong under no lock. */
struct garbage {
    struct epoch_retired *first;
};

void garbage_add(struct garbage *garbage, struct epoch_retired *object,
                 void (*release)(struct epoch_retired *object));
/* Holding no lock; empties the list. */
void garbage_retire(struct garbage *garbage, struct epochs *epochs);

/* ---- views ----------------------------------------------------------------------------------- */

static inline struct view *partition_view(const struct partition *partition)
{
    return atomic_load_explicit(&partition->view, memory_order_acquire);
}

/* How the next view differs from the present one: chunks by their marks, and this. */
struct view_change {
    uint64_t segments_dropped; /* a bit each: their chunks become flat unless marked otherwise */
    struct segment *segment;   /* a new one, over `joined`; or NULL                            */
    struct rows_chunk *const *joined;
    uint32_t joined_count;
    struct rows_chunk *const *flat; /* further chunks, to be scanned */
    uint32_t flat_count;
};
static inline uint64_t view_every_segment(const struct view *view)
{
    return view->segments_count == VIEW_SEGMENTS_MAX ? UINT64_MAX
                                                     : (UINT64_C(1) << view->segments_count) - 1;
}

/* From the present one; STATUS_NO_MEMORY changes nothing. */
enum status view_next(const struct view *before, const struct view_change *change,
                      struct view **out_next);
/*
 * Publishes it, clears the marks, and puts the old view and the segments dropped into the garbage.
 * Chunks that leave are the caller's to retire: rows of the map may still lie in them.
 */
void partition_publish(struct partition *partition, struct view *next,
                       const struct view_change *change, struct garbage *garbage)
    REQUIRES(partition->lock);

/* ---- the partition --------------------------------------------------------------------------- */

struct partition_setup {
    struct partition_key key;
    uint32_t dimension;
    struct memory *memory;
    struct index_common *common;       /* outlives the partition's last insert and removal */
    const struct index_choice *choice; /* NULL: the options                                */
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
size_t partition_remove(struct partition *partition, const struct digest *id, uint64_t sequence)
    REQUIRES(partition->lock);
/* Every row; nobody works here. Returns how many lived. */
uint64_t partition_clear(struct partition *partition, struct garbage *garbage)
    REQUIRES(partition->lock);

void partition_choose(struct partition *partition, const struct index_choice *choice)
    REQUIRES(partition->lock);
/* All that it holds, in bytes. */
uint64_t partition_size_bytes(const struct partition *partition) REQUIRES(partition->lock);

/* As partition_search, by looking at every row up to a sequence, and counted nowhere. Inside an
 * epoch, or by who works here. */
void partition_search_exact(const struct partition *partition, uint64_t sequence_last,
                            struct search *search);

/* Dead rows cost more than to copy the living ones. */
bool rewrite_is_due(const struct partition *partition, uint64_t dead, uint64_t live);
