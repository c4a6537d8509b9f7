/*
 * search.c - the nearest rows of one scope, exactly.
 *
 * 1. The query is encoded once.
 * 2. Chunk by chunk, blocks of rows are multiplied as int8; a row that beats the worst candidate,
 *    has the right tag, has not expired and is not dead becomes a candidate. So rows that do not
 *    count never push out one that does.
 * 3. Candidates are multiplied in fp32, sorted, and the best hits_max are handed back.
 *
 * HOW MANY CANDIDATES. int8 misjudges a similarity by about 0.0006 (384 dimensions), so rows next
 * to the last hit may swap places: half again as many candidates and 8 more are kept.
 * test_search.c measures the recall.
 *
 * TAGS. A chunk whose rows all have one tag is scanned or skipped as a whole. Where tags differ, a
 * block with few matching rows multiplies only those: a scope may hold thousands of compatibility
 * values.
 *
 * THREADS. Any, inside an epoch since before the partition was found. No lock, no allocation,
 * nothing waits.
 *
 * NOT HERE. Kernels (vector.c), what a row is (rows.c).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "index/candidates.h"
#include "index/partition_inside.h"
#include "index/vector.h"

enum {
    BLOCK_ROWS = 256, /* multiplied by one call of a kernel            */
    GROUP_ROWS = 64,  /* compared with the worst candidate in one go   */
    FEW_SHARE = 4,    /* fewer than one in four matches: row by row     */
};

struct scan {
    const struct vector_kernels *kernels;
    uint32_t tag;
    int64_t now_ms;
    uint64_t rows_scanned;
    struct candidates candidates;
    _Alignas(VECTOR_ROW_ALIGN) int8_t query[VECTOR_DIMENSION_MAX];
};

/* ---- candidates ------------------------------------------------------------------------------ */

static bool row_counts(const struct scan *scan, const struct rows_chunk *chunk, uint32_t row)
{
    const int64_t expires_ms = chunk->expiries_ms[row];
    return chunk->tags[row] == scan->tag && (expires_ms == 0 || expires_ms > scan->now_ms) &&
           !rows_chunk_is_dead(chunk, row);
}

static void offer(struct scan *scan, const struct rows_chunk *chunk, uint32_t row, float score)
{
    if (score > scan->candidates.worst && row_counts(scan, chunk, row))
        candidates_add(&scan->candidates, &(struct candidate){score, row, chunk});
}

/* ---- blocks ---------------------------------------------------------------------------------- */

/* Most groups hold nothing better than the worst candidate: found out without a branch per row. */
static void offer_group(struct scan *scan, const struct rows_chunk *chunk, uint32_t first,
                        uint32_t count, const int32_t *dots)
{
    assert(count <= GROUP_ROWS);
    float scores[GROUP_ROWS];
    const float worst = scan->candidates.worst;
    int better = 0;
    for (uint32_t i = 0; i < count; i++) {
        scores[i] = (float)dots[i] * chunk->scales[first + i];
        better |= scores[i] > worst;
    }
    for (uint32_t i = 0; better && i < count; i++)
        offer(scan, chunk, first + i, scores[i]);
}

static void scan_all(struct scan *scan, const struct rows_chunk *chunk, uint32_t first,
                     uint32_t count)
{
    int32_t dots[BLOCK_ROWS];
    assert(count <= BLOCK_ROWS);
    scan->kernels->scan(chunk->codes + (size_t)first * chunk->row_bytes, chunk->row_bytes, count,
                        scan->query, dots);
    for (uint32_t i = 0; i < count; i += GROUP_ROWS)
        offer_group(scan, chunk, first + i, count - i < GROUP_ROWS ? count - i : GROUP_ROWS,
                    dots + i);
    scan->rows_scanned += count;
}

static void scan_picked(struct scan *scan, const struct rows_chunk *chunk, const uint32_t *rows,
                        uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *codes = chunk->codes + (size_t)rows[i] * chunk->row_bytes;
        if (i + 1 < count)
            __builtin_prefetch(chunk->codes + (size_t)rows[i + 1] * chunk->row_bytes);
        const int32_t dot = scan->kernels->dot(codes, scan->query, chunk->row_bytes);
        offer(scan, chunk, rows[i], (float)dot * chunk->scales[rows[i]]);
    }
    scan->rows_scanned += count;
}

static void scan_tagged(struct scan *scan, const struct rows_chunk *chunk, uint32_t first,
                        uint32_t count)
{
    uint32_t picked[BLOCK_ROWS], picked_count = 0;
    assert(count <= BLOCK_ROWS);
    for (uint32_t i = 0; i < count; i++) {
        picked[picked_count] = first + i;
        picked_count += chunk->tags[first + i] == scan->tag;
    }
    if (picked_count * FEW_SHARE < count)
        scan_picked(scan, chunk, picked, picked_count);
    else
        scan_all(scan, chunk, first, count);
}

static void scan_chunk(struct scan *scan, const struct rows_chunk *chunk)
{
    const uint32_t rows_count = rows_chunk_count(chunk);
    if (rows_count == 0)
        return;
    /* Loaded after the count: if a row below it has another tag, this is seen too. */
    const bool differ = atomic_load_explicit(&chunk->tags_differ, memory_order_relaxed);
    if (!differ && chunk->tags[0] != scan->tag)
        return;
    for (uint32_t first = 0; first < rows_count; first += BLOCK_ROWS) {
        const uint32_t left = rows_count - first;
        const uint32_t count = left < BLOCK_ROWS ? left : BLOCK_ROWS;
        if (differ)
            scan_tagged(scan, chunk, first, count);
        else
            scan_all(scan, chunk, first, count);
    }
}

/* ---- hits ------------------------------------------------------------------------------------ */

struct ranked {
    float similarity;
    uint64_t sequence;
    const struct candidate *candidate;
};

/* Best first; among equals the newest, so that the order is the same on every run. */
static int compare_ranked(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;
    if (a->similarity != b->similarity)
        return a->similarity > b->similarity ? -1 : 1;
    return a->sequence > b->sequence ? -1 : a->sequence < b->sequence;
}

static void prefetch_unit(const struct candidate *candidate)
{
    const char *unit = (const char *)rows_chunk_unit(candidate->chunk, candidate->row);
    for (size_t i = 0; i < candidate->chunk->dimension * sizeof(float); i += 64)
        __builtin_prefetch(unit + i);
    __builtin_prefetch(&candidate->chunk->sequences[candidate->row]);
}

static void fill_hit(struct search_hit *hit, const struct ranked *ranked)
{
    const struct rows_chunk *chunk = ranked->candidate->chunk;
    const uint32_t row = ranked->candidate->row;
    hit->similarity = ranked->similarity;
    hit->sequence = ranked->sequence;
    hit->id = chunk->ids[row];
    memcpy(hit->side, chunk->sides + (size_t)row * INDEX_SIDE_BYTES, INDEX_SIDE_BYTES);
}

static void rank(const struct scan *scan, struct search *search)
{
    enum { AHEAD = 2 };
    struct ranked ranked[CANDIDATES_MAX];
    const uint32_t count = scan->candidates.count;
    for (uint32_t i = 0; i < count && i < AHEAD; i++)
        prefetch_unit(&scan->candidates.items[i]);
    for (uint32_t i = 0; i < count; i++) {
        const struct candidate *candidate = &scan->candidates.items[i];
        if (i + AHEAD < count)
            prefetch_unit(&scan->candidates.items[i + AHEAD]);
        const float *unit = rows_chunk_unit(candidate->chunk, candidate->row);
        ranked[i] = (struct ranked){vector_dot(search->unit, unit, search->dimension),
                                    candidate->chunk->sequences[candidate->row], candidate};
    }
    qsort(ranked, count, sizeof(ranked[0]), compare_ranked);
    search->hits_count = count < search->hits_max ? count : search->hits_max;
    for (uint32_t i = 0; i < search->hits_count; i++)
        fill_hit(&search->hits[i], &ranked[i]);
}

static void scan_start(struct scan *scan, const struct search *search)
{
    scan->kernels = vector_kernels();
    scan->tag = search->tag;
    scan->now_ms = search->now_ms;
    scan->rows_scanned = 0;
    candidates_start(&scan->candidates, search->hits_max + search->hits_max / 2 + 8);
    (void)vector_encode_query(search->unit, search->dimension, scan->query);
}

void partition_search(const struct partition *partition, struct search *search)
{
    assert(search->unit != NULL);
    assert(search->hits_max >= 1);
    assert(search->hits_max <= SEARCH_HITS_MAX);
    search->hits_count = 0;
    search->rows_scanned = 0;
    if (search->dimension != partition->dimension)
        return;
    struct scan scan;
    scan_start(&scan, search);
    const struct view *view = atomic_load_explicit(&partition->view, memory_order_acquire);
    for (uint32_t i = 0; i < view->chunks_count; i++)
        scan_chunk(&scan, view->chunks[i]);
    search->rows_scanned = scan.rows_scanned;
    if (scan.candidates.count > 0)
        rank(&scan, search);
}
