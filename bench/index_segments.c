/*
 * index_segments.c - rows in segments of at most 262,144 with a structure each, and the last rows,
 * which fill no chunk, scanned: what a partition looks like when its builder has nothing left to
 * do.
 *
 * Threads: building alone; searching by any number of registered threads.
 */
#include "bench/index_segments.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "index/candidates.h"
#include "index/faiss_c.h"
#include "index/rows.h"
#include "index/segment.h"
#include "index/vector.h"

enum { SEGMENT_CHUNKS = 64, SEGMENTS_MAX = 64, BLOCK_ROWS = 256 };

struct segments {
    struct memory *memory;
    uint32_t dimension;
    uint64_t rows_count;
    uint32_t chunks_count, segments_count;
    struct rows_chunk **chunks; /* the last one may be short of rows */
    struct segment *all[SEGMENTS_MAX];
};

static void add_rows(struct segments *segments, const struct bench *bench)
{
    segments->chunks_count = (uint32_t)((bench->rows_count + ROWS_CHUNK_MAX - 1) / ROWS_CHUNK_MAX);
    segments->chunks = calloc(segments->chunks_count, sizeof(struct rows_chunk *));
    must(segments->chunks != NULL, "memory");
    for (uint64_t i = 0; i < bench->rows_count; i++) {
        struct rows_chunk **chunk = &segments->chunks[i / ROWS_CHUNK_MAX];
        if (*chunk == NULL)
            must(rows_chunk_create(segments->memory, MEMORY_ROWS, bench->dimension, ROWS_CHUNK_MAX,
                                   chunk) == STATUS_OK,
                 "memory for rows");
        struct index_row row = {.sequence = i + 1, .tag = 1, .unit = bench_row(bench, i)};
        memcpy(row.id.bytes + 16, &i, sizeof(i));
        rows_chunk_append(*chunk, &row);
    }
}

static uint32_t full_chunks(const struct segments *segments)
{
    return (uint32_t)(segments->rows_count / ROWS_CHUNK_MAX);
}

static void build_all(struct segments *segments, const struct own_plan *plan)
{
    const atomic_bool stop = false;
    const struct segment_options options = {.kind = plan->kind,
                                            .links = plan->links,
                                            .ef_construction = plan->ef_construction,
                                            .lists = plan->lists};
    const uint32_t full = full_chunks(segments);
    for (uint32_t first = 0; first < full; first += SEGMENT_CHUNKS) {
        const struct segment_build build = {
            .memory = segments->memory,
            .options = &options,
            .chunks = segments->chunks + first,
            .chunks_count = full - first < SEGMENT_CHUNKS ? full - first : SEGMENT_CHUNKS,
            .stop = &stop,
        };
        must(segment_build(&build, &segments->all[segments->segments_count++]) == STATUS_OK,
             "building a segment");
        (void)fprintf(stderr, "    segments: %u of %u chunks\n", first + build.chunks_count, full);
    }
}

struct segments *segments_create(const struct bench *bench, const struct own_plan *plan)
{
    struct segments *segments = calloc(1, sizeof(*segments));
    must(segments != NULL, "memory");
    segments->dimension = bench->dimension;
    segments->rows_count = bench->rows_count;
    must(memory_open(UINT64_C(16) << 30, &segments->memory) == STATUS_OK, "the budget");
    faiss_c_single_thread();
    add_rows(segments, bench);
    build_all(segments, plan);
    return segments;
}

void segments_destroy(struct segments **segments)
{
    struct segments *doomed = *segments;
    if (doomed == NULL)
        return;
    *segments = NULL;
    for (uint32_t i = 0; i < doomed->segments_count; i++)
        segment_destroy(&doomed->all[i]);
    for (uint32_t i = 0; i < doomed->chunks_count; i++)
        rows_chunk_destroy(&doomed->chunks[i]);
    free(doomed->chunks);
    memory_close(&doomed->memory);
    free(doomed);
}

static void scan_last(const struct segments *segments, const int8_t *codes,
                      struct candidates *candidates)
{
    const uint32_t full = full_chunks(segments);
    if (full == segments->chunks_count)
        return;
    const struct rows_chunk *chunk = segments->chunks[full];
    int32_t dots[BLOCK_ROWS];
    const uint32_t rows = rows_chunk_count(chunk);
    for (uint32_t first = 0; first < rows; first += BLOCK_ROWS) {
        const uint32_t count = rows - first < BLOCK_ROWS ? rows - first : BLOCK_ROWS;
        vector_kernels()->scan(chunk->codes + first * chunk->row_bytes, chunk->row_bytes, count,
                               codes, dots);
        for (uint32_t i = 0; i < count; i++) {
            const float score = (float)dots[i] * chunk->scales[first + i];
            if (score > candidates->worst)
                candidates_add(candidates, &(struct candidate){score, first + i, chunk});
        }
    }
}

static int compare_hits(const void *left, const void *right)
{
    const struct search_hit *a = left, *b = right;
    return (b->similarity > a->similarity) - (b->similarity < a->similarity);
}

static void rank(const struct candidates *candidates, struct search *search)
{
    struct search_hit hits[CANDIDATES_MAX];
    for (uint32_t i = 0; i < candidates->count; i++) {
        const struct candidate *candidate = &candidates->items[i];
        hits[i].similarity = vector_dot(
            search->unit, rows_chunk_unit(candidate->chunk, candidate->row), search->dimension);
        hits[i].sequence = candidate->chunk->sequences[candidate->row];
    }
    qsort(hits, candidates->count, sizeof(hits[0]), compare_hits);
    search->hits_count =
        candidates->count < search->hits_max ? candidates->count : search->hits_max;
    memcpy(search->hits, hits, search->hits_count * sizeof(hits[0]));
}

void segments_search(const struct segments *segments, uint32_t breadth, struct search *search)
{
    _Alignas(VECTOR_ROW_ALIGN) int8_t codes[VECTOR_DIMENSION_MAX];
    struct candidates candidates;
    (void)vector_encode_query(search->unit, search->dimension, codes);
    candidates_start(&candidates, search->hits_max + search->hits_max / 2 + 8);
    const struct segment_query query = {
        .codes = codes, .tag = search->tag, .ef = breadth, .nprobe = breadth};
    search->rows_scanned = 0;
    for (uint32_t i = 0; i < segments->segments_count; i++)
        search->rows_scanned += segment_search(
            segments->all[i], segments->chunks + (size_t)i * SEGMENT_CHUNKS, &query, &candidates);
    scan_last(segments, codes, &candidates);
    rank(&candidates, search);
}

/* Codes and scale, tag and expiry, the tombstone's bit, and the structure. */
double segments_hot_bytes(const struct segments *segments)
{
    size_t structures = 0;
    for (uint32_t i = 0; i < segments->segments_count; i++)
        structures += segment_size_bytes(segments->all[i]);
    return (double)vector_row_bytes(segments->dimension) + sizeof(float) + sizeof(uint32_t) +
           sizeof(int64_t) + 1.0 / 8 +
           (double)structures / ((double)full_chunks(segments) * ROWS_CHUNK_MAX);
}
