/*
 * search.c - the nearest rows of one scope.
 *
 * 1. The query is encoded once.
 * 2. Segments are searched (segment.c); the rows that none covers are scanned: chunk by chunk,
 *    blocks of rows are multiplied as int8; a row that beats the worst candidate, has the right
 *    tag, has not expired and is not dead becomes a candidate. So rows that do not count never push
 *    out one that does. All fill the same candidates.
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
 * WHAT IT LEAVES BEHIND. The number of searches of the scope, when it was used last, and one query
 * in 10,000 for recall.c.
 *
 * THREADS. Any, inside an epoch since before the partition was found. No allocation, nothing waits
 * (recall.c tries a lock, and gives up).
 *
 * NOT HERE. Kernels (vector.c), graphs and lists (segment.c), what a row is (rows.c).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "index/candidates.h"
#include "index/partition_inside.h"
#include "index/promotion.h"
#include "index/recall.h"
#include "index/vector.h"

enum {
    BLOCK_ROWS = 256, /* multiplied by one call of a kernel            */
    GROUP_ROWS = 64,  /* compared with the worst candidate in one go   */
    FEW_SHARE = 4,    /* fewer than one in four matches: row by row     */
    USED_STEP_MS = 1000,
    GRAPH_ROW_NS = 2000, /* of a walk, for each row of its ef: 71 us at ef 32 and 384 dimensions */
};

struct scan {
    const struct vector_kernels *kernels;
    uint32_t tag;
    bool any_tag;
    int64_t now_ms;
    uint64_t sequence_last; /* later rows do not count */
    uint64_t rows_scanned;
    struct candidates candidates;
    _Alignas(VECTOR_ROW_ALIGN) int8_t query[VECTOR_DIMENSION_MAX];
};

/* ---- candidates ------------------------------------------------------------------------------ */

static bool row_counts(const struct scan *scan, const struct rows_chunk *chunk, uint32_t row)
{
    const int64_t expires_ms = chunk->expiries_ms[row];
    return (scan->any_tag || chunk->tags[row] == scan->tag) &&
           (expires_ms == 0 || expires_ms > scan->now_ms) && !rows_chunk_is_dead(chunk, row) &&
           (scan->sequence_last == UINT64_MAX || chunk->sequences[row] <= scan->sequence_last);
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
        picked_count += scan->any_tag || chunk->tags[first + i] == scan->tag;
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
    if (!differ && !scan->any_tag && chunk->tags[0] != scan->tag)
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
static bool is_before(const struct ranked *a, const struct ranked *b)
{
    return a->similarity != b->similarity ? a->similarity > b->similarity
                                          : a->sequence > b->sequence;
}

/* Shell's, with Ciura's gaps (2001): qsort may allocate, which nothing does inside an epoch. */
static void sort_ranked(struct ranked *ranked, uint32_t count)
{
    static const uint32_t gaps[] = {132, 57, 23, 10, 4, 1};
    for (size_t g = 0; g < sizeof(gaps) / sizeof(gaps[0]); g++)
        for (uint32_t i = gaps[g]; i < count; i++) {
            const struct ranked moving = ranked[i];
            uint32_t at = i;
            for (; at >= gaps[g] && is_before(&moving, &ranked[at - gaps[g]]); at -= gaps[g])
                ranked[at] = ranked[at - gaps[g]];
            ranked[at] = moving;
        }
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
    sort_ranked(ranked, count);
    search->hits_count = count < search->hits_max ? count : search->hits_max;
    for (uint32_t i = 0; i < search->hits_count; i++)
        fill_hit(&search->hits[i], &ranked[i]);
}

/* ---- search ---------------------------------------------------------------------------------- */

static void scan_start(struct scan *scan, const struct search *search, uint64_t sequence_last)
{
    assert(search->unit != NULL);
    assert(search->hits_max >= 1);
    assert(search->hits_max <= SEARCH_HITS_MAX);
    scan->kernels = vector_kernels();
    scan->tag = search->tag;
    scan->any_tag = false;
    scan->now_ms = search->now_ms;
    scan->sequence_last = sequence_last;
    scan->rows_scanned = 0;
    candidates_start(&scan->candidates, search->hits_max + search->hits_max / 2 + 8);
    (void)vector_encode_query(search->unit, search->dimension, scan->query);
}

static void search_segments(const struct partition *partition, const struct view *view,
                            struct scan *scan)
{
    const uint32_t ef = atomic_load_explicit(&partition->ef_search, memory_order_relaxed);
    const struct segment_query query = {
        .codes = scan->query,
        .tag = scan->tag,
        .now_ms = scan->now_ms,
        .ef = ef > scan->candidates.max ? ef : scan->candidates.max,
        .nprobe = atomic_load_explicit(&partition->nprobe, memory_order_relaxed),
    };
    struct rows_chunk *const *chunks = view->chunks;
    for (uint32_t i = 0; i < view->segments_count; i++) {
        const struct view_segment *covered = &view->segments[i];
        scan->rows_scanned += segment_search(covered->segment, chunks, &query, &scan->candidates);
        chunks += covered->chunks_count;
    }
    assert(chunks == view->chunks + view->chunks_covered);
}

static void hand_back(const struct scan *scan, struct search *search)
{
    search->rows_scanned = scan->rows_scanned;
    search->hits_count = 0;
    if (scan->candidates.count > 0)
        rank(scan, search);
}

/* Written once a second at most, for readers on all cores read it. */
static void note_time(const struct partition *partition, int64_t now_ms)
{
    _Atomic int64_t *places[] = {&partition->use->used_ms, &partition->common->now_ms};
    for (size_t i = 0; i < 2; i++)
        if (now_ms - atomic_load_explicit(places[i], memory_order_relaxed) >= USED_STEP_MS)
            atomic_store_explicit(places[i], now_ms, memory_order_relaxed);
}

static void note(const struct partition *partition, const struct view *view,
                 const struct search *search, uint64_t sequence_last)
{
    const uint64_t number =
        atomic_fetch_add_explicit(&partition->use->searches, 1, memory_order_relaxed);
    struct recall *recall = partition->common->recall;
    note_time(partition, search->now_ms);
    if (number % RECALL_SHARE == RECALL_SHARE - 1 && view->segments_count > 0 && recall != NULL)
        (void)recall_offer(recall, &partition->key, search, sequence_last);
}

static void search_view(const struct partition *partition, const struct view *view,
                        struct search *search)
{
    struct scan scan;
    scan_start(&scan, search, UINT64_MAX);
    search_segments(partition, view, &scan);
    for (uint32_t i = view->chunks_covered; i < view->chunks_count; i++)
        scan_chunk(&scan, view->chunks[i]);
    hand_back(&scan, search);
}

/* False: vectors of another length, and no hits. */
static bool fits(const struct partition *partition, struct search *search)
{
    search->hits_count = 0;
    search->rows_scanned = 0;
    return search->dimension == partition->dimension;
}

void partition_search(const struct partition *partition, struct search *search)
{
    if (!fits(partition, search))
        return;
    const uint64_t sequence_last =
        atomic_load_explicit(&partition->sequence_last, memory_order_relaxed);
    const struct view *view = partition_view(partition);
    search_view(partition, view, search);
    note(partition, view, search, sequence_last);
}

void partition_search_unseen(const struct partition *partition, struct search *search)
{
    if (fits(partition, search))
        search_view(partition, partition_view(partition), search);
}

static void scan_view(const struct partition *partition, struct scan *scan, struct search *search)
{
    const struct view *view = partition_view(partition);
    for (uint32_t i = 0; i < view->chunks_count; i++)
        scan_chunk(scan, view->chunks[i]);
    hand_back(scan, search);
}

void partition_search_exact(const struct partition *partition, uint64_t sequence_last,
                            struct search *search)
{
    assert(search->dimension == partition->dimension);
    struct scan scan;
    scan_start(&scan, search, sequence_last);
    scan_view(partition, &scan, search);
}

void partition_search_every(const struct partition *partition, bool any_tag, struct search *search)
{
    if (!fits(partition, search))
        return;
    struct scan scan;
    scan_start(&scan, search, UINT64_MAX);
    scan.any_tag = any_tag;
    scan_view(partition, &scan, search);
}

uint32_t partition_cost_us(const struct partition *partition)
{
    const struct view *view = partition_view(partition);
    const uint64_t row_ps =
        atomic_load_explicit(&partition->common->flat_row_ps, memory_order_relaxed);
    const uint64_t ef = atomic_load_explicit(&partition->ef_search, memory_order_relaxed);
    uint64_t rows = 0;
    for (uint32_t i = view->chunks_covered; i < view->chunks_count; i++)
        rows += rows_chunk_count(view->chunks[i]);
    const uint64_t cost_ns = rows * row_ps / 1000 + view->segments_count * ef * GRAPH_ROW_NS;
    const uint64_t cost_us = cost_ns * partition->dimension / PROMOTION_DIMENSION / 1000;
    return cost_us < UINT32_MAX ? (uint32_t)cost_us : UINT32_MAX;
}
