/*
 * graph.h - an HNSW graph over the rows of a segment (Malkov, Yashunin, arXiv 1603.09320): FAISS
 * draws the links (graph.c), a loop of ours walks them (graph_walk.c).
 *
 * Threads: building alone; walking by any number of threads, nothing here changes any more.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "index/memory.h"
#include "index/rows.h"

enum {
    GRAPH_LINKS_MIN = 8,
    GRAPH_LINKS_MAX = 48,
    GRAPH_LEVEL_MAX = 5, /* as in faiss_c.h */
    GRAPH_EF_MAX = 512,
};
#define GRAPH_NONE UINT32_MAX /* no link, and only such follow; as an entry point: no row */

/* One block holds all arrays. */
struct graph {
    struct memory *memory;
    size_t size_bytes;
    uint32_t rows, links;    /* links: M; twice as many on level 0                */
    uint32_t entry, top;     /* a row on the highest level, and which that is     */
    uint32_t upper_count;    /* lists above level 0                               */
    uint32_t *level0;        /* [rows][2 links]                                   */
    uint32_t *upper;         /* [upper_count][links], a row's from level 1 upward */
    uint32_t *upper_offsets; /* [rows] upper lists of the rows before             */
    uint8_t *levels;         /* [rows]                                            */
};

struct graph_build {
    struct memory *memory;
    struct rows_chunk *const *chunks; /* full ones */
    uint32_t rows;
    uint32_t links, ef_construction;
    const struct graph *base; /* its rows come first; NULL: from nothing */
    const atomic_bool *stop;
    _Atomic uint32_t *rows_done; /* may be NULL */
};
/* Rows that are dead by now stay without links. On failure *out_graph is untouched. */
enum status graph_create(const struct graph_build *build, struct graph *out_graph);
/* One from a snapshot: its levels are drawn; links, entry and top are the caller's to set, and
 * then to be found sound. */
enum status graph_allocate(struct memory *memory, uint32_t rows, uint32_t links,
                           struct graph *out_graph);
/* Every link leads to a row on that level, and a list ends at its first missing link. */
bool graph_is_sound(const struct graph *graph);
void graph_destroy(struct graph *graph); /* one of zeros is fine */

/* Links rows that were inserted and that nothing leads to any more; graph_create does it.
 * *out_repaired counts them as it goes. NO_MEMORY: nothing has changed. CANCELLED: the graph is
 * good for nothing but to be destroyed or repaired again. */
enum status graph_repair(struct graph *graph, const atomic_bool *stop, uint32_t *out_repaired);

/* Which levels a row has is drawn from its number: the same on every run. */
uint32_t graph_level_of(uint32_t row, uint32_t links);

static inline const uint32_t *graph_links_at(const struct graph *graph, uint32_t row,
                                             uint32_t level)
{
    if (level == 0)
        return graph->level0 + (size_t)row * 2 * graph->links;
    return graph->upper + ((size_t)graph->upper_offsets[row] + level - 1) * graph->links;
}

static inline uint32_t graph_links_max(const struct graph *graph, uint32_t level)
{
    return level == 0 ? 2 * graph->links : graph->links;
}

struct segment_scan;
/* Offers what it meets. False if this thread got no memory for its marks: nothing was done. */
bool graph_walk(const struct graph *graph, struct segment_scan *scan);
