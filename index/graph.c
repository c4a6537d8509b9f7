/*
 * graph.c - HNSW links over the rows of a segment: made by FAISS, kept in plain arrays.
 *
 * A larger graph starts as a copy of the smaller one, and the new rows are inserted into it, each
 * once; high levels first, so that the upper levels stand before the many look for their way.
 *
 * ONE BLOCK: level 0 links, upper links, upper offsets, levels, each 64-byte aligned; with M = 16
 * that is 128 + 4 + 4 + 1 bytes a row. While FAISS works it holds the links a second time: this is
 * charged before (faiss_c_hnsw_bytes).
 *
 * LEVELS are drawn from a hash of the row's number, not from a generator: an extended graph and one
 * that is made at once have the same levels, and the room they need is known before.
 *
 * THREADS. A builder that has said faiss_c_single_thread. Rows of its chunks may die meanwhile.
 *
 * NOT HERE. Walking (graph_walk.c), which rows belong together (segment.c, builder.c).
 */
#include "index/graph.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "index/faiss_c.h"
#include "index/vector.h"

enum { ARRAY_ALIGN = 64 };

_Static_assert((int)GRAPH_LEVEL_MAX <= (int)FAISS_C_LEVEL_MAX, "FAISS must have these levels");

/* ---- levels ---------------------------------------------------------------------------------- */

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* The paper's choice: one row in M has a level above 0, one in M x M a second one. In integers: the
 * same on every machine. */
uint32_t graph_level_of(uint32_t row, uint32_t links)
{
    assert(links >= GRAPH_LINKS_MIN);
    assert(links <= GRAPH_LINKS_MAX);
    uint64_t drawn = mix(row) >> 16; /* 48 bits */
    uint32_t level = 0;
    for (uint64_t limit = (UINT64_C(1) << 48) / links; level < GRAPH_LEVEL_MAX && drawn < limit;
         limit /= links)
        level++;
    return level;
}

/* ---- the block ------------------------------------------------------------------------------- */

static void *take(uint8_t *block, size_t *offset, size_t count, size_t element_bytes)
{
    void *array = block != NULL ? block + *offset : NULL;
    *offset += (count * element_bytes + ARRAY_ALIGN - 1) / ARRAY_ALIGN * ARRAY_ALIGN;
    return array;
}

static size_t lay_out(struct graph *graph, uint8_t *block)
{
    size_t offset = 0;
    const size_t rows = graph->rows, links = graph->links;
    graph->level0 = take(block, &offset, rows * 2 * links, sizeof(*graph->level0));
    graph->upper = take(block, &offset, graph->upper_count * links, sizeof(*graph->upper));
    graph->upper_offsets = take(block, &offset, rows, sizeof(*graph->upper_offsets));
    graph->levels = take(block, &offset, rows, sizeof(*graph->levels));
    return offset;
}

/* rows, links, upper_count and memory are set. */
static enum status allocate(struct graph *graph)
{
    assert(graph->rows > 0);
    assert(graph->links >= GRAPH_LINKS_MIN);
    assert(graph->links <= GRAPH_LINKS_MAX);
    graph->size_bytes = lay_out(graph, NULL);
    uint8_t *block = memory_alloc(graph->memory, MEMORY_ROWS, graph->size_bytes);
    if (block == NULL)
        return STATUS_NO_MEMORY;
    (void)lay_out(graph, block);
    return STATUS_OK;
}

void graph_destroy(struct graph *graph)
{
    if (graph->level0 != NULL)
        memory_free(graph->memory, graph->level0, graph->size_bytes);
    memset(graph, 0, sizeof(*graph));
}

/* ---- building -------------------------------------------------------------------------------- */

static uint32_t count_upper(uint32_t rows, uint32_t links)
{
    uint32_t count = 0;
    for (uint32_t row = 0; row < rows; row++)
        count += graph_level_of(row, links);
    return count;
}

static void draw_levels(struct graph *graph)
{
    uint32_t offset = 0;
    for (uint32_t row = 0; row < graph->rows; row++) {
        graph->levels[row] = (uint8_t)graph_level_of(row, graph->links);
        graph->upper_offsets[row] = offset;
        offset += graph->levels[row];
    }
    assert(offset == graph->upper_count);
}

/* Levels come from the row's number, so those of the base are the first of ours. */
static void copy_base(struct graph *graph, const struct graph *base)
{
    const size_t list_bytes = graph->links * sizeof(uint32_t);
    const uint32_t rows = base != NULL ? base->rows : 0;
    const uint32_t lists = base != NULL ? base->upper_count : 0;
    if (base != NULL) {
        assert(base->links == graph->links);
        assert(base->rows <= graph->rows);
        memcpy(graph->level0, base->level0, rows * 2 * list_bytes);
        memcpy(graph->upper, base->upper, lists * list_bytes);
        graph->entry = base->entry;
        graph->top = base->top;
    }
    memset(graph->level0 + (size_t)rows * 2 * graph->links, 0xff,
           (graph->rows - rows) * 2 * list_bytes);
    memset(graph->upper + (size_t)lists * graph->links, 0xff,
           (graph->upper_count - lists) * list_bytes);
}

/* Living rows from `first` on, high levels first. Returns how many. */
static uint32_t order_rows(const struct graph *graph, struct rows_chunk *const *chunks,
                           uint32_t first, uint32_t *order)
{
    uint32_t count = 0;
    for (int level = GRAPH_LEVEL_MAX; level >= 0; level--)
        for (uint32_t row = first; row < graph->rows; row++)
            if (graph->levels[row] == level &&
                !rows_chunk_is_dead(chunks[row / ROWS_CHUNK_MAX], row % ROWS_CHUNK_MAX))
                order[count++] = row;
    return count;
}

static bool go_on(void *context, uint32_t rows_done)
{
    const struct graph_build *build = context;
    if (build->rows_done != NULL)
        atomic_store_explicit(build->rows_done, rows_done, memory_order_relaxed);
    return !atomic_load_explicit(build->stop, memory_order_relaxed);
}

static enum status status_of(int code)
{
    switch (code) {
    case OK:
        return STATUS_OK;
    case FAISS_C_STOPPED:
        return STATUS_CANCELLED;
    case STD_EXCEPT:
        return STATUS_NO_MEMORY;
    default:
        return STATUS_INTERNAL;
    }
}

/* The arrays that FAISS wants to read rows from, and the order of insertion. */
struct work {
    struct faiss_c_rows rows;
    const uint8_t **codes;
    const float **scales;
    uint32_t *order;
    size_t size_bytes;
    void *block;
};

static void work_lay_out(struct work *work, size_t chunks_count, size_t rows, uint8_t *block)
{
    size_t offset = 0;
    work->codes = take(block, &offset, chunks_count, sizeof(*work->codes));
    work->scales = take(block, &offset, chunks_count, sizeof(*work->scales));
    work->order = take(block, &offset, rows, sizeof(*work->order));
    work->size_bytes = offset;
    work->block = block;
}

static enum status work_init(struct work *work, const struct graph_build *build, uint32_t rows)
{
    const size_t chunks_count = build->rows / ROWS_CHUNK_MAX;
    work_lay_out(work, chunks_count, rows, NULL);
    uint8_t *block = memory_alloc(build->memory, MEMORY_ROWS, work->size_bytes);
    if (block == NULL)
        return STATUS_NO_MEMORY;
    work_lay_out(work, chunks_count, rows, block);
    for (size_t i = 0; i < chunks_count; i++) {
        assert(rows_chunk_is_full(build->chunks[i]));
        work->codes[i] = build->chunks[i]->codes;
        work->scales[i] = build->chunks[i]->scales;
    }
    work->rows = (struct faiss_c_rows){.codes = work->codes,
                                       .scales = work->scales,
                                       .chunk_rows = ROWS_CHUNK_MAX,
                                       .row_bytes = build->chunks[0]->row_bytes,
                                       .dot = vector_kernels()->dot};
    return STATUS_OK;
}

/* Only on success anything of the graph changes. */
static enum status run_faiss(struct graph *graph, const struct graph_build *build,
                             const struct work *work, uint32_t order_count)
{
    struct faiss_c_links links = {.rows = graph->rows,
                                  .links = graph->links,
                                  .levels = graph->levels,
                                  .level0 = graph->level0,
                                  .upper_offsets = graph->upper_offsets,
                                  .upper = graph->upper,
                                  .entry = graph->entry,
                                  .top = graph->top};
    const struct faiss_c_extension extension = {.rows = &work->rows,
                                                .order = work->order,
                                                .order_count = order_count,
                                                .ef_construction = build->ef_construction,
                                                .watch = {go_on, (void *)(uintptr_t)build}};
    const size_t size_bytes = faiss_c_hnsw_bytes(graph->rows, graph->links, graph->upper_count);
    if (!memory_charge(build->memory, MEMORY_ROWS, size_bytes))
        return STATUS_NO_MEMORY;
    const enum status status = status_of(faiss_c_hnsw_extend(&extension, &links));
    memory_discharge(build->memory, size_bytes);
    graph->entry = links.entry;
    graph->top = links.top;
    return status;
}

static enum status insert_rows(struct graph *graph, const struct graph_build *build)
{
    const uint32_t first = build->base != NULL ? build->base->rows : 0;
    struct work work;
    enum status status = work_init(&work, build, graph->rows - first);
    if (status != STATUS_OK)
        return status;
    const uint32_t order_count = order_rows(graph, build->chunks, first, work.order);
    status = run_faiss(graph, build, &work, order_count);
    memory_free(build->memory, work.block, work.size_bytes);
    return status;
}

enum status graph_allocate(struct memory *memory, uint32_t rows, uint32_t links,
                           struct graph *out_graph)
{
    struct graph graph = {.memory = memory,
                          .rows = rows,
                          .links = links,
                          .entry = GRAPH_NONE,
                          .upper_count = count_upper(rows, links)};
    const enum status status = allocate(&graph);
    if (status != STATUS_OK)
        return status;
    draw_levels(&graph);
    *out_graph = graph;
    return STATUS_OK;
}

enum status graph_create(const struct graph_build *build, struct graph *out_graph)
{
    assert(build->rows > 0);
    assert(build->rows % ROWS_CHUNK_MAX == 0);
    struct graph graph;
    enum status status = graph_allocate(build->memory, build->rows, build->links, &graph);
    if (status != STATUS_OK)
        return status;
    copy_base(&graph, build->base);
    status = insert_rows(&graph, build);
    uint32_t repaired = 0;
    if (status == STATUS_OK)
        status = graph_repair(&graph, build->stop, &repaired);
    if (status != STATUS_OK) {
        graph_destroy(&graph);
        return status;
    }
    assert(graph.entry == GRAPH_NONE || graph.levels[graph.entry] == graph.top);
    *out_graph = graph;
    return STATUS_OK;
}

/* ---- from outside ---------------------------------------------------------------------------- */

/* A walk goes down from a link on the level it was found on. */
static bool are_sound(const struct graph *graph, uint32_t row, uint32_t level)
{
    const uint32_t *links = graph_links_at(graph, row, level);
    const uint32_t max = graph_links_max(graph, level);
    uint32_t count = 0;
    for (; count < max && links[count] != GRAPH_NONE; count++)
        if (links[count] >= graph->rows || graph->levels[links[count]] < level)
            return false;
    for (; count < max; count++)
        if (links[count] != GRAPH_NONE)
            return false;
    return true;
}

bool graph_is_sound(const struct graph *graph)
{
    if (graph->entry == GRAPH_NONE
            ? graph->top != 0
            : graph->entry >= graph->rows || graph->levels[graph->entry] != graph->top)
        return false;
    for (uint32_t row = 0; row < graph->rows; row++)
        for (uint32_t level = 0; level <= graph->levels[row]; level++)
            if (!are_sound(graph, row, level))
                return false;
    return true;
}
