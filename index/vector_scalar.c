/*
 * vector_scalar.c - the int8 kernels in plain C: what the others must equal, and what runs where
 * they cannot.
 *
 * Threads: any; pure.
 *
 * NOT HERE: which kernel runs (vector.c).
 */
#include "index/vector_kernels.h"

#include <assert.h>

static int32_t dot(const uint8_t *row, const int8_t *query, size_t row_bytes)
{
    assert(row_bytes > 0);
    assert(row_bytes % VECTOR_ROW_ALIGN == 0);
    int32_t sum = 0;
    for (size_t i = 0; i < row_bytes; i++)
        sum += ((int32_t)row[i] - 128) * query[i];
    return sum;
}

static void scan(const uint8_t *rows, size_t row_bytes, size_t rows_count, const int8_t *query,
                 int32_t *out_dots)
{
    for (size_t i = 0; i < rows_count; i++)
        out_dots[i] = dot(rows + i * row_bytes, query, row_bytes);
}

const struct vector_kernels vector_kernels_scalar = {"scalar", dot, scan};
