/*
 * faiss_index.h - a graph of unit vectors (HNSW) that FAISS builds and searches, through its C API:
 * what
 * --self-check proves, and the oracle of the tests. No lookup goes through it (graph.c).
 *
 * Threads: searches side by side; adding alone. Every thread may call; no call starts threads of
 * its own.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum { FAISS_INDEX_LINKS_MIN = 4, FAISS_INDEX_LINKS_MAX = 48 };

struct faiss_index;

/* links: M of the paper (Malkov, Yashunin, arXiv 1603.09320); level 0 has twice as many. */
enum status faiss_index_create(uint32_t dimension, uint32_t links, struct faiss_index **out_index);
void faiss_index_destroy(struct faiss_index **index);

/* Rows are numbered in the order they come, from 0. units: rows_count x dimension floats, copied.
 */
enum status faiss_index_add(struct faiss_index *index, uint32_t rows_count, const float *units);
uint64_t faiss_index_rows(const struct faiss_index *index);

enum { FAISS_INDEX_HITS_MAX = 128 };
struct faiss_index_hit {
    uint32_t row;
    float similarity;
};
/* Best first; fewer than hits_max (1 to FAISS_INDEX_HITS_MAX) if the graph found fewer. */
enum status faiss_index_search(const struct faiss_index *index, const float *unit,
                               uint32_t hits_max, struct faiss_index_hit *out_hits,
                               uint32_t *out_count);
