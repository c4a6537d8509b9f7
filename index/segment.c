/*
 * segment.c - chunks with a structure over them: built, searched, thrown away.
 *
 * ROWS BY TAG. A scope may hold thousands of compatibility values. A walk that meets hardly a row
 * of the one that is asked for finds too little without saying so; so the rows of each tag are
 * known, and few are scanned, exactly: at most FEW_ROWS of them, or one row in FEW_SHARE. A segment
 * whose rows all have one tag needs no such list.
 *
 * THREADS. Building on a builder; afterwards only the chunks' tombstones change. Searching: any
 * thread inside an epoch.
 *
 * NOT HERE. The structures (graph.c, graph_walk.c, ivf.c), what is built when (builder.c), the
 * fp32 re-rank (search.c).
 */
#include "index/segment.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "index/segment_inside.h"

enum { FEW_ROWS = 16384, FEW_SHARE = 8 };

const char *index_kind_name(enum index_kind kind)
{
    static const char *const names[INDEX_KINDS] = {"auto", "flat", "hnsw", "ivf"};
    assert((unsigned)kind < INDEX_KINDS);
    return names[kind];
}

/* ---- rows by tag ----------------------------------------------------------------------------- */

static uint32_t tag_of(struct rows_chunk *const *chunks, uint32_t row)
{
    return chunks[row / ROWS_CHUNK_MAX]->tags[row % ROWS_CHUNK_MAX];
}

static int compare_keys(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* Living rows as tag and row in one number. Returns how many. */
static uint32_t collect_keys(struct rows_chunk *const *chunks, uint32_t rows, uint64_t *keys)
{
    uint32_t count = 0;
    for (uint32_t row = 0; row < rows; row++)
        if (!rows_chunk_is_dead(chunks[row / ROWS_CHUNK_MAX], row % ROWS_CHUNK_MAX))
            keys[count++] = (uint64_t)tag_of(chunks, row) << 32 | row;
    return count;
}

static uint32_t count_values(const uint64_t *keys, uint32_t count)
{
    uint32_t values = 0;
    for (uint32_t i = 0; i < count; i++)
        values += i == 0 || keys[i] >> 32 != keys[i - 1] >> 32;
    return values;
}

static void fill_tags(struct segment_tags *tags, const uint64_t *keys)
{
    uint32_t values = 0;
    for (uint32_t i = 0; i < tags->rows_sum; i++) {
        const uint32_t tag = (uint32_t)(keys[i] >> 32);
        if (values == 0 || tags->values[values - 1] != tag) {
            tags->values[values] = tag;
            tags->firsts[values++] = i;
        }
        if (tags->rows != NULL)
            tags->rows[i] = (uint32_t)keys[i];
    }
    assert(values == tags->count);
    tags->firsts[values] = tags->rows_sum;
}

static enum status tags_from_keys(struct memory *memory, const uint64_t *keys, uint32_t keys_count,
                                  struct segment_tags *out_tags)
{
    struct segment_tags tags = {.count = count_values(keys, keys_count), .rows_sum = keys_count};
    const size_t values = tags.count, rows = values > 1 ? keys_count : 0;
    tags.size_bytes = (2 * values + 1 + rows) * sizeof(uint32_t);
    tags.values = memory_alloc(memory, MEMORY_ROWS, tags.size_bytes);
    if (tags.values == NULL)
        return STATUS_NO_MEMORY;
    tags.firsts = tags.values + values;
    tags.rows = rows > 0 ? tags.firsts + values + 1 : NULL;
    fill_tags(&tags, keys);
    *out_tags = tags;
    return STATUS_OK;
}

static enum status tags_create(struct segment *segment, struct rows_chunk *const *chunks)
{
    const size_t size_bytes = segment->rows * sizeof(uint64_t);
    uint64_t *keys = memory_alloc(segment->memory, MEMORY_ROWS, size_bytes);
    if (keys == NULL)
        return STATUS_NO_MEMORY;
    const uint32_t count = collect_keys(chunks, segment->rows, keys);
    qsort(keys, count, sizeof(*keys), compare_keys);
    const enum status status = tags_from_keys(segment->memory, keys, count, &segment->tags);
    memory_free(segment->memory, keys, size_bytes);
    return status;
}

/* The place of the tag's value, or -1. */
static int64_t tags_find(const struct segment_tags *tags, uint32_t tag)
{
    uint32_t low = 0, high = tags->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (tags->values[middle] < tag)
            low = middle + 1;
        else
            high = middle;
    }
    return low < tags->count && tags->values[low] == tag ? (int64_t)low : -1;
}

/* ---- building -------------------------------------------------------------------------------- */

static enum status new_segment(struct memory *memory, enum index_kind kind, uint32_t rows,
                               struct segment **out_segment)
{
    assert(kind == INDEX_HNSW || kind == INDEX_IVF);
    assert(rows > 0);
    assert(rows % ROWS_CHUNK_MAX == 0);
    struct segment *segment = memory_alloc(memory, MEMORY_ROWS, sizeof(*segment));
    if (segment == NULL)
        return STATUS_NO_MEMORY;
    *segment = (struct segment){.memory = memory, .kind = kind, .rows = rows};
    atomic_init(&segment->holders, 1);
    *out_segment = segment;
    return STATUS_OK;
}

static enum status build_graph(struct segment *segment, const struct segment_build *build)
{
    const struct graph_build graph = {.memory = build->memory,
                                      .chunks = build->chunks,
                                      .rows = segment->rows,
                                      .links = build->options->links,
                                      .ef_construction = build->options->ef_construction,
                                      .base = build->base != NULL ? &build->base->graph : NULL,
                                      .stop = build->stop,
                                      .rows_done = build->rows_done};
    return graph_create(&graph, &segment->graph);
}

static enum status build_ivf(struct segment *segment, const struct segment_build *build)
{
    const struct ivf_build ivf = {.memory = build->memory,
                                  .chunks = build->chunks,
                                  .rows = segment->rows,
                                  .lists = build->options->lists,
                                  .base = build->base != NULL ? &build->base->ivf : NULL,
                                  .stop = build->stop,
                                  .rows_done = build->rows_done};
    return ivf_create(&ivf, &segment->ivf);
}

enum status segment_build(const struct segment_build *build, struct segment **out_segment)
{
    assert(build->stop != NULL);
    assert(build->base == NULL || build->base->kind == build->options->kind);
    assert(build->base == NULL || build->base->rows <= build->chunks_count * ROWS_CHUNK_MAX);
    struct segment *segment = NULL;
    enum status status = new_segment(build->memory, build->options->kind,
                                     build->chunks_count * ROWS_CHUNK_MAX, &segment);
    if (status != STATUS_OK)
        return status;
    status = tags_create(segment, build->chunks);
    if (status == STATUS_OK)
        status =
            segment->kind == INDEX_HNSW ? build_graph(segment, build) : build_ivf(segment, build);
    if (status != STATUS_OK)
        goto destroy_segment;
    *out_segment = segment;
    return STATUS_OK;

destroy_segment:
    segment_destroy(&segment);
    return status;
}

void segment_acquire(struct segment *segment)
{
    const uint32_t before = atomic_fetch_add_explicit(&segment->holders, 1, memory_order_relaxed);
    assert(before > 0);
    (void)before;
}

/* Accepts a segment that is only half made. */
void segment_destroy(struct segment **segment)
{
    struct segment *doomed = *segment;
    if (doomed == NULL)
        return;
    *segment = NULL;
    const uint32_t before = atomic_fetch_sub_explicit(&doomed->holders, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1)
        return;
    ivf_destroy(&doomed->ivf);
    graph_destroy(&doomed->graph);
    if (doomed->tags.values != NULL)
        memory_free(doomed->memory, doomed->tags.values, doomed->tags.size_bytes);
    memory_free(doomed->memory, doomed, sizeof(*doomed));
}

void segment_structure_destroy(struct segment_structure *structure)
{
    ivf_destroy(&structure->ivf);
    graph_destroy(&structure->graph);
}

enum status segment_adopt(struct memory *memory, struct rows_chunk *const *chunks,
                          uint32_t chunks_count, struct segment_structure *structure,
                          struct segment **out_segment)
{
    const uint32_t rows = chunks_count * ROWS_CHUNK_MAX;
    assert(rows == (structure->kind == INDEX_HNSW ? structure->graph.rows : structure->ivf.rows));
    struct segment *segment = NULL;
    enum status status = new_segment(memory, structure->kind, rows, &segment);
    if (status != STATUS_OK)
        return status;
    status = tags_create(segment, chunks);
    if (status != STATUS_OK) {
        segment_destroy(&segment);
        return status;
    }
    segment->graph = structure->graph;
    segment->ivf = structure->ivf;
    *structure = (struct segment_structure){.kind = structure->kind};
    *out_segment = segment;
    return STATUS_OK;
}

void segment_release(struct epoch_retired *retired)
{
    struct segment *segment =
        (struct segment *)((char *)retired - offsetof(struct segment, retired));
    segment_destroy(&segment);
}

struct epoch_retired *segment_retired(struct segment *segment)
{
    return &segment->retired;
}

enum index_kind segment_kind(const struct segment *segment)
{
    return segment->kind;
}

uint32_t segment_rows(const struct segment *segment)
{
    return segment->rows;
}

size_t segment_size_bytes(const struct segment *segment)
{
    return sizeof(*segment) + segment->tags.size_bytes + segment->graph.size_bytes +
           segment->ivf.size_bytes;
}

/* ---- searching ------------------------------------------------------------------------------- */

static void scan_row(struct segment_scan *scan, uint32_t row)
{
    const float score = segment_score(scan, row);
    if (score > scan->candidates->worst && segment_row_counts(scan, row))
        segment_offer(scan, row, score);
}

/* `rows` NULL: the first `count`. */
static void scan_rows(struct segment_scan *scan, const uint32_t *rows, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (i + SEGMENT_AHEAD_ROWS < count)
            segment_prefetch(scan,
                             rows != NULL ? rows[i + SEGMENT_AHEAD_ROWS] : i + SEGMENT_AHEAD_ROWS);
        scan_row(scan, rows != NULL ? rows[i] : i);
    }
    scan->scanned += count;
}

static bool are_few(const struct segment *segment, uint32_t matching)
{
    return segment->tags.count > 1 &&
           (matching <= FEW_ROWS || matching <= segment->rows / FEW_SHARE);
}

uint64_t segment_search(const struct segment *segment, struct rows_chunk *const *chunks,
                        const struct segment_query *query, struct candidates *candidates)
{
    const struct segment_tags *tags = &segment->tags;
    const int64_t at = tags_find(tags, query->tag);
    if (at < 0)
        return 0;
    const uint32_t matching = tags->firsts[at + 1] - tags->firsts[at];
    assert(matching > 0);
    const uint32_t widen = (segment->rows + matching - 1) / matching;
    struct segment_scan scan = {.kernels = vector_kernels(),
                                .chunks = chunks,
                                .query = query,
                                .candidates = candidates,
                                .rows = segment->rows,
                                .one_tag = tags->count == 1,
                                .widen = widen < SEGMENT_WIDEN_MAX ? widen : SEGMENT_WIDEN_MAX};
    if (are_few(segment, matching))
        scan_rows(&scan, tags->rows + tags->firsts[at], matching);
    else if (segment->kind == INDEX_IVF)
        ivf_scan(&segment->ivf, &scan);
    else if (!graph_walk(&segment->graph, &scan))
        scan_rows(&scan, NULL, segment->rows);
    return scan.scanned;
}
