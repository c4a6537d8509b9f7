/*
 * segment_inside.h - between segment.c, graph*.c and ivf*.c, and what a snapshot reads and
 * restores.
 *
 * Threads: a scan belongs to one search; everything else here is constant once built.
 */
#pragma once
#include "index/graph.h"
#include "index/ivf.h"
#include "index/segment.h"
#include "index/vector.h"

/* ---- one search of one segment --------------------------------------------------------------- */

struct segment_scan {
    const struct vector_kernels *kernels;
    struct rows_chunk *const *chunks;
    const struct segment_query *query;
    struct candidates *candidates;
    uint32_t rows;    /* of the segment                             */
    bool one_tag;     /* all rows carry the query's: not looked at  */
    uint32_t widen;   /* rows / rows of that tag, rounded up        */
    uint64_t scanned; /* rows multiplied                            */
};

enum { SEGMENT_WIDEN_MAX = 8, SEGMENT_AHEAD_ROWS = 4 };

static inline const struct rows_chunk *segment_chunk(const struct segment_scan *scan, uint32_t row)
{
    return scan->chunks[row / ROWS_CHUNK_MAX];
}

static inline const uint8_t *segment_codes(const struct segment_scan *scan, uint32_t row)
{
    const struct rows_chunk *chunk = segment_chunk(scan, row);
    return chunk->codes + (size_t)(row % ROWS_CHUNK_MAX) * chunk->row_bytes;
}

static inline void segment_prefetch(const struct segment_scan *scan, uint32_t row)
{
    const struct rows_chunk *chunk = segment_chunk(scan, row);
    const uint8_t *codes = chunk->codes + (size_t)(row % ROWS_CHUNK_MAX) * chunk->row_bytes;
    for (size_t i = 0; i < chunk->row_bytes; i += 64)
        __builtin_prefetch(codes + i);
    __builtin_prefetch(&chunk->scales[row % ROWS_CHUNK_MAX]);
}

static inline float segment_score(const struct segment_scan *scan, uint32_t row)
{
    const struct rows_chunk *chunk = segment_chunk(scan, row);
    const uint32_t at = row % ROWS_CHUNK_MAX;
    const uint8_t *codes = chunk->codes + (size_t)at * chunk->row_bytes;
    return (float)scan->kernels->dot(codes, scan->query->codes, chunk->row_bytes) *
           chunk->scales[at];
}

/* Before a row may become a candidate: it has the tag, lives and has not expired. */
static inline bool segment_row_counts(const struct segment_scan *scan, uint32_t row)
{
    const struct rows_chunk *chunk = segment_chunk(scan, row);
    const uint32_t at = row % ROWS_CHUNK_MAX;
    if (!scan->one_tag && chunk->tags[at] != scan->query->tag)
        return false;
    const int64_t expires_ms = chunk->expiries_ms[at];
    return (expires_ms == 0 || expires_ms > scan->query->now_ms) && !rows_chunk_is_dead(chunk, at);
}

/* The row counts. */
static inline void segment_offer(struct segment_scan *scan, uint32_t row, float score)
{
    if (score > scan->candidates->worst)
        candidates_add(scan->candidates,
                       &(struct candidate){score, row % ROWS_CHUNK_MAX, segment_chunk(scan, row)});
}

/* ---- rows by tag ----------------------------------------------------------------------------- */

/* Which rows carry a tag. With one tag in the whole segment `rows` is NULL. */
struct segment_tags {
    uint32_t *values;  /* [count] ascending                                        */
    uint32_t *firsts;  /* [count + 1] where in `rows` those of a value begin       */
    uint32_t *rows;    /* by tag, ascending inside; rows dead at the build left out */
    uint32_t count;    /* 0: no row lives                                          */
    uint32_t rows_sum; /* firsts[count]                                            */
    size_t size_bytes;
};

/* ---- the whole ------------------------------------------------------------------------------- */

struct segment {
    struct epoch_retired retired;
    struct memory *memory;
    _Atomic uint32_t holders; /* segment_acquire */
    enum index_kind kind;
    uint32_t rows;
    struct segment_tags tags;
    struct graph graph; /* of HNSW */
    struct ivf ivf;     /* of IVF  */
};

/* What a snapshot brings: of HNSW the graph, of IVF the lists; the other is all zeros. */
struct segment_structure {
    enum index_kind kind;
    struct graph graph;
    struct ivf ivf;
};
void segment_structure_destroy(struct segment_structure *structure);

/* Takes the structure over, which has been found sound; on failure it stays the caller's. The tags
 * come from the chunks. */
enum status segment_adopt(struct memory *memory, struct rows_chunk *const *chunks,
                          uint32_t chunks_count, struct segment_structure *structure,
                          struct segment **out_segment);
