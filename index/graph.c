/*
 * graph.c - the one door from C to FAISS: codes become statuses here, and nothing else includes
 * its headers but what measures against it.
 *
 * FAISS throws on a bad description or dimension and runs out of memory by std::bad_alloc; the
 * shim turns both into codes. bad_alloc and whatever else the standard library throws become
 * STATUS_NO_MEMORY, since nothing else can be done about them; a FaissException is a fault of
 * ours.
 *
 * THREADS. Searches side by side; adding alone. FAISS is told to use one thread on each thread
 * that comes here.
 *
 * NOT HERE. Searching the rows of a scope, which is exact and needs no graph (search.c).
 */
#include "index/graph.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "index/faiss_c.h"
#include "index/vector.h"

struct graph {
    FaissIndex *index;
    uint32_t dimension;
};

static enum status status_of(int code)
{
    switch (code) {
    case OK:
        return STATUS_OK;
    case STD_EXCEPT:
        return STATUS_NO_MEMORY;
    default:
        return STATUS_INTERNAL;
    }
}

enum status graph_create(uint32_t dimension, uint32_t links, struct graph **out_graph)
{
    assert(dimension > 0);
    assert(dimension <= VECTOR_DIMENSION_MAX);
    assert(links >= GRAPH_LINKS_MIN);
    assert(links <= GRAPH_LINKS_MAX);
    struct graph *graph = calloc(1, sizeof(*graph));
    if (graph == NULL)
        return STATUS_NO_MEMORY;
    graph->dimension = dimension;
    char description[32];
    (void)snprintf(description, sizeof(description), "HNSW%u", (unsigned)links);
    faiss_c_single_thread();
    const enum status status = status_of(
        faiss_index_factory(&graph->index, (int)dimension, description, METRIC_INNER_PRODUCT));
    if (status != STATUS_OK) {
        graph_destroy(&graph);
        return status;
    }
    assert(graph->index != NULL);
    *out_graph = graph;
    return STATUS_OK;
}

/* Accepts a graph that is only half made. */
void graph_destroy(struct graph **graph)
{
    struct graph *doomed = *graph;
    if (doomed == NULL)
        return;
    *graph = NULL;
    if (doomed->index != NULL)
        faiss_Index_free(doomed->index);
    free(doomed);
}

enum status graph_add(struct graph *graph, uint32_t rows_count, const float *units)
{
    assert(units != NULL);
    const uint64_t before = graph_rows(graph);
    assert(before + rows_count <= UINT32_MAX);
    faiss_c_single_thread();
    const enum status status = status_of(faiss_Index_add(graph->index, rows_count, units));
    assert(status != STATUS_OK || graph_rows(graph) == before + rows_count);
    return status;
}

uint64_t graph_rows(const struct graph *graph)
{
    const idx_t rows = faiss_Index_ntotal(graph->index);
    assert(rows >= 0);
    return (uint64_t)rows;
}

enum status graph_search(const struct graph *graph, const float *unit, uint32_t hits_max,
                         struct graph_hit *out_hits, uint32_t *out_count)
{
    assert(unit != NULL);
    assert(hits_max >= 1);
    assert(hits_max <= GRAPH_HITS_MAX);
    float similarities[GRAPH_HITS_MAX];
    idx_t rows[GRAPH_HITS_MAX];
    faiss_c_single_thread();
    const enum status status =
        status_of(faiss_Index_search(graph->index, 1, unit, hits_max, similarities, rows));
    if (status != STATUS_OK)
        return status;
    uint32_t count = 0;
    while (count < hits_max && rows[count] >= 0) { /* -1: nothing found from here on */
        assert((uint64_t)rows[count] < graph_rows(graph));
        out_hits[count] = (struct graph_hit){(uint32_t)rows[count], similarities[count]};
        count++;
    }
    *out_count = count;
    return STATUS_OK;
}
