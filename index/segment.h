/*
 * segment.h - a run of full chunks with a structure over it that makes searches short: a graph
 * (HNSW, graph.c) or lists (IVF, ivf.c). A segment is immutable; a larger one is built beside it
 * and shares the chunks. Rows in it are numbered by place: row r is chunks[r / ROWS_CHUNK_MAX], row
 * r % ROWS_CHUNK_MAX there. Death, expiry and tags stay in the chunks, so old and new segments see
 * the same.
 *
 * Threads: building alone, on a builder; searching by any number of threads inside an epoch,
 * without a lock and without allocating from the budget.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/epoch.h"
#include "base/status.h"
#include "index/candidates.h"
#include "index/kind.h"
#include "index/memory.h"
#include "index/rows.h"

struct segment_options {
    enum index_kind kind; /* HNSW or IVF */
    uint32_t links, ef_construction;
    uint32_t lists; /* 0: 2 x sqrt(rows), at least 64; never above rows / 39 */
};

struct segment;

struct segment_build {
    struct memory *memory;
    const struct segment_options *options;
    const struct segment *base;       /* extend this one; NULL: from nothing. Of the same kind */
    struct rows_chunk *const *chunks; /* those of base first, then new full ones; all of
                                         ROWS_CHUNK_MAX rows                       */
    uint32_t chunks_count;
    const atomic_bool *stop;     /* looked at every 256 rows; then STATUS_CANCELLED  */
    _Atomic uint32_t *rows_done; /* progress; may be NULL                            */
};
/*
 * Charges its memory first. On a thread that has said faiss_c_single_thread. Rows that are dead
 * already may be left out of the structure. STATUS_NO_MEMORY, STATUS_CANCELLED: nothing is left
 * behind. The segment borrows the chunks: whoever publishes it keeps them alive.
 */
enum status segment_build(const struct segment_build *build, struct segment **out_segment);
/* One more holds it, until its own segment_destroy: who reads it outside of any epoch. By who may
 * still see it. The chunks are held apart from it. */
void segment_acquire(struct segment *segment);
/* The last holder's frees it. */
void segment_destroy(struct segment **segment);
void segment_release(struct epoch_retired *retired); /* for epoch_retire */
struct epoch_retired *segment_retired(struct segment *segment);

enum index_kind segment_kind(const struct segment *segment);
uint32_t segment_rows(const struct segment *segment);     /* multiple of ROWS_CHUNK_MAX */
size_t segment_size_bytes(const struct segment *segment); /* beyond its chunks */

struct segment_query {
    const int8_t *codes; /* the query, encoded once; padded as rows are   */
    uint32_t tag;
    int64_t now_ms;
    uint32_t ef;     /* HNSW: at least the candidates wanted */
    uint32_t nprobe; /* IVF                                  */
};
/*
 * Offers rows (chunk, row, int8 dot x the row's scale) that live, have not expired and carry the
 * tag. Few rows of that tag (at most 16,384, or an eighth of the segment): exactly those are
 * scanned; else the structure is walked and ef or nprobe grows by rows / matching rows, at most
 * eightfold. Returns how many rows were multiplied.
 */
uint64_t segment_search(const struct segment *segment, struct rows_chunk *const *chunks,
                        const struct segment_query *query, struct candidates *candidates);
