/*
 * faiss_index.c - the one door from C to FAISS: codes become statuses here, and nothing else
 * includes its headers but what measures against it.
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
#include "index/faiss_index.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "index/faiss_c.h"
#include "index/vector.h"

struct faiss_index {
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

enum status faiss_index_create(uint32_t dimension, uint32_t links, struct faiss_index **out_index)
{
    assert(dimension > 0);
    assert(dimension <= VECTOR_DIMENSION_MAX);
    assert(links >= FAISS_INDEX_LINKS_MIN);
    assert(links <= FAISS_INDEX_LINKS_MAX);
    struct faiss_index *index = calloc(1, sizeof(*index));
    if (index == NULL)
        return STATUS_NO_MEMORY;
    index->dimension = dimension;
    char description[32];
    (void)snprintf(description, sizeof(description), "HNSW%u", (unsigned)links);
    faiss_c_single_thread();
    const enum status status = status_of(
        faiss_index_factory(&index->index, (int)dimension, description, METRIC_INNER_PRODUCT));
    if (status != STATUS_OK) {
        faiss_index_destroy(&index);
        return status;
    }
    assert(index->index != NULL);
    *out_index = index;
    return STATUS_OK;
}

/* Accepts an index that is only half made. */
void faiss_index_destroy(struct faiss_index **index)
{
    struct faiss_index *doomed = *index;
    if (doomed == NULL)
        return;
    *index = NULL;
    if (doomed->index != NULL)
        faiss_Index_free(doomed->index);
    free(doomed);
}

enum status faiss_index_add(struct faiss_index *index, uint32_t rows_count, const float *units)
{
    assert(units != NULL);
    const uint64_t before = faiss_index_rows(index);
    assert(before + rows_count <= UINT32_MAX);
    faiss_c_single_thread();
    const enum status status = status_of(faiss_Index_add(index->index, rows_count, units));
    assert(status != STATUS_OK || faiss_index_rows(index) == before + rows_count);
    return status;
}

uint64_t faiss_index_rows(const struct faiss_index *index)
{
    const idx_t rows = faiss_Index_ntotal(index->index);
    assert(rows >= 0);
    return (uint64_t)rows;
}

enum status faiss_index_search(const struct faiss_index *index, const float *unit,
                               uint32_t hits_max, struct faiss_index_hit *out_hits,
                               uint32_t *out_count)
{
    assert(unit != NULL);
    assert(hits_max >= 1);
    assert(hits_max <= FAISS_INDEX_HITS_MAX);
    float similarities[FAISS_INDEX_HITS_MAX];
    idx_t rows[FAISS_INDEX_HITS_MAX];
    faiss_c_single_thread();
    const enum status status =
        status_of(faiss_Index_search(index->index, 1, unit, hits_max, similarities, rows));
    if (status != STATUS_OK)
        return status;
    uint32_t count = 0;
    while (count < hits_max && rows[count] >= 0) { /* -1: nothing found from here on */
        assert((uint64_t)rows[count] < faiss_index_rows(index));
        out_hits[count] = (struct faiss_index_hit){(uint32_t)rows[count], similarities[count]};
        count++;
    }
    *out_count = count;
    return STATUS_OK;
}
