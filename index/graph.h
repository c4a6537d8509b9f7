/*
 * graph.h - a graph of unit vectors (HNSW), by FAISS through its C API.
 *
 * Threads: searches side by side; adding alone. Every thread may call; no call starts threads of
 * its own.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { GRAPH_LINKS_MIN = 4, GRAPH_LINKS_MAX = 48 };

struct graph;

/* links: M of the paper (Malkov, Yashunin, arXiv 1603.09320); level 0 has twice as many. */
enum status graph_create(uint32_t dimension, uint32_t links, struct graph **out_graph);
void graph_destroy(struct graph **graph);

/* Rows are numbered in the order they come, from 0. units: rows_count x dimension floats, copied.
 */
enum status graph_add(struct graph *graph, uint32_t rows_count, const float *units);
uint64_t graph_rows(const struct graph *graph);

enum { GRAPH_HITS_MAX = 128 };
struct graph_hit {
    uint32_t row;
    float similarity;
};
/* Best first; fewer than hits_max (1 to GRAPH_HITS_MAX) if the graph found fewer. */
enum status graph_search(const struct graph *graph, const float *unit, uint32_t hits_max,
                         struct graph_hit *out_hits, uint32_t *out_count);
