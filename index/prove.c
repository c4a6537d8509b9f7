/*
 * prove.c - small computations with known results, through the same doors that the service uses.
 *
 * The reason is always filled: what was computed, or what was wrong with it. Seeds are fixed: a
 * proof that fails now and then proves nothing.
 *
 * THREADS. Any.
 *
 * NOT HERE. Who asks and prints (server/self_check.c).
 */
#include "index/prove.h"

#include <assert.h>
#include <cblas.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "index/faiss_index.h"
#include "index/vector.h"

enum {
    GRAPH_ROWS = 200,
    GRAPH_DIMENSION = 32,
    GRAPH_LINKS = 16,
    GRAPH_KNOWN = 137, /* the row that is asked for, a little moved */
    MATRIX_ROWS = 7,   /* odd on purpose: edges of the library's blocks */
    MATRIX_COLUMNS = 9,
    MATRIX_INNER = 33,
};

/* xorshift64 (Marsaglia 2003): -1 to 1. */
static float next_value(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (float)(*state >> 40) / (float)(1 << 23) - 1.0f;
}

static void fill(float *values, size_t count, uint64_t seed)
{
    assert(seed != 0); /* xorshift stays at zero for ever */
    for (size_t i = 0; i < count; i++)
        values[i] = next_value(&seed);
}

static enum status say(enum status status, const char *text, char *out_reason, size_t reason_bytes)
{
    assert(out_reason != NULL);
    assert(reason_bytes > 0);
    (void)snprintf(out_reason, reason_bytes, "%s", text);
    return status;
}

/* ---- FAISS ----------------------------------------------------------------------------------- */

static enum status find_known(struct faiss_index *graph, const float *units,
                              struct faiss_index_hit *out_hit)
{
    float query[GRAPH_DIMENSION];
    uint32_t count = 0;
    for (uint32_t i = 0; i < GRAPH_DIMENSION; i++)
        query[i] = units[GRAPH_KNOWN * GRAPH_DIMENSION + i] + (i % 2 == 0 ? 0.01f : -0.01f);
    const bool normal = vector_normalise(query, GRAPH_DIMENSION, query);
    assert(normal);
    enum status status = faiss_index_add(graph, GRAPH_ROWS, units);
    if (status == STATUS_OK)
        status = faiss_index_search(graph, query, 1, out_hit, &count);
    return status == STATUS_OK && count != 1 ? STATUS_INTERNAL : status;
}

enum status prove_faiss(char *out_reason, size_t reason_bytes)
{
    float units[GRAPH_ROWS * GRAPH_DIMENSION];
    fill(units, GRAPH_ROWS * GRAPH_DIMENSION, 88172645463325252u);
    for (uint32_t i = 0; i < GRAPH_ROWS; i++) {
        float *unit = units + i * GRAPH_DIMENSION;
        const bool normal = vector_normalise(unit, GRAPH_DIMENSION, unit);
        assert(normal);
    }
    struct faiss_index *graph = NULL;
    struct faiss_index_hit hit = {0};
    enum status status = faiss_index_create(GRAPH_DIMENSION, GRAPH_LINKS, &graph);
    if (status == STATUS_OK)
        status = find_known(graph, units, &hit);
    faiss_index_destroy(&graph);
    if (status != STATUS_OK)
        return say(status, "HNSW by FAISS: a call failed", out_reason, reason_bytes);
    if (hit.row != GRAPH_KNOWN || !(hit.similarity > 0.99f))
        return say(STATUS_INTERNAL, "HNSW by FAISS: a wrong neighbour", out_reason, reason_bytes);
    return say(STATUS_OK, "HNSW by FAISS: 200 vectors, the known neighbour found", out_reason,
               reason_bytes);
}

/* ---- BLAS ------------------------------------------------------------------------------------ */

static float plain_product(const float *a, const float *b, uint32_t row, uint32_t column)
{
    float sum = 0;
    for (uint32_t i = 0; i < MATRIX_INNER; i++)
        sum += a[row * MATRIX_INNER + i] * b[column * MATRIX_INNER + i];
    return sum;
}

enum status prove_blas(char *out_reason, size_t reason_bytes)
{
    /* Sums of 33 products of at most 1: another order of adding moves them by less than this. */
    const float tolerance = 1e-4f;
    float a[MATRIX_ROWS * MATRIX_INNER], b[MATRIX_COLUMNS * MATRIX_INNER];
    float products[MATRIX_ROWS * MATRIX_COLUMNS];
    fill(a, MATRIX_ROWS * MATRIX_INNER, 1);
    fill(b, MATRIX_COLUMNS * MATRIX_INNER, 2);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, MATRIX_ROWS, MATRIX_COLUMNS, MATRIX_INNER,
                1.0f, a, MATRIX_INNER, b, MATRIX_INNER, 0.0f, products, MATRIX_COLUMNS);
    for (uint32_t row = 0; row < MATRIX_ROWS; row++)
        for (uint32_t column = 0; column < MATRIX_COLUMNS; column++) {
            const float found = products[row * MATRIX_COLUMNS + column];
            if (!(fabsf(found - plain_product(a, b, row, column)) <= tolerance))
                return say(STATUS_INTERNAL, "sgemm by OpenBLAS: a wrong product", out_reason,
                           reason_bytes);
        }
    return say(STATUS_OK, "sgemm by OpenBLAS: 7 x 33 x 9, equal to a plain loop", out_reason,
               reason_bytes);
}
