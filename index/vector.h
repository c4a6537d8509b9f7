/*
 * vector.h - vectors: normalise, encode as int8, multiply. Kernels for AVX-512 VNNI, AVX2 and
 * plain C are chosen once at run time; all return the very same integers.
 *
 * Threads: any; all of it is pure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VECTOR_DIMENSION_MAX = 4096, VECTOR_ROW_ALIGN = 64 };

/* Codes of a row are padded with 128 (= zero) to a multiple of 64 bytes. */
static inline size_t vector_row_bytes(uint32_t dimension)
{
    return ((size_t)dimension + VECTOR_ROW_ALIGN - 1) / VECTOR_ROW_ALIGN * VECTOR_ROW_ALIGN;
}

/* Copies and scales to length 1 (in double precision inside). False if zero, infinite or NaN. */
bool vector_normalise(const float *vector, uint32_t dimension, float *out_unit);

/*
 * Cosine of two unit vectors, fp32, the same figure on every processor. Never outside of [-1, 1],
 * and exactly 1.0f from 1 - VECTOR_ONE_EPSILON on, so that a vector is exactly like itself. The
 * epsilon is above the worst case: a lane adds at most 8 products to a block and 32 blocks to a
 * total, and 4 halvings follow, 44 roundings of 2^-24 of a sum that is at most 1 (2.6e-6); rounding
 * the unit vector itself to fp32 adds 1.2e-7.
 */
#define VECTOR_ONE_EPSILON 0x1p-18f /* 3.8e-6, an angle of 0.16 degrees */
float vector_dot(const float *a, const float *b, uint32_t dimension);

/* Row: u8 = round(v * 127 / max|v|) + 128, `vector_row_bytes` of them; returns the scale max|v| /
 * 127. */
float vector_encode_row(const float *unit, uint32_t dimension, uint8_t *out_row);

/* Query: i8 without offset, zero padding, same number of bytes; returns the scale. */
float vector_encode_query(const float *unit, uint32_t dimension, int8_t *out_query);

/* sum of (row[i] - 128) * query[i]; row_bytes a multiple of 64, both 64-byte aligned. */
typedef int32_t vector_dot_i8(const uint8_t *row, const int8_t *query, size_t row_bytes);

/* Scans `rows_count` rows lying row_bytes apart: out_dots[i] = dot of row i. */
typedef void vector_scan_i8(const uint8_t *rows, size_t row_bytes, size_t rows_count,
                            const int8_t *query, int32_t *out_dots);

struct vector_kernels {
    const char *name; /* "avx512vnni", "avx2", "scalar" */
    vector_dot_i8 *dot;
    vector_scan_i8 *scan;
};

/* The best that this processor can run. */
const struct vector_kernels *vector_kernels(void);
/* All that are built in, best first; `out_runs_here` may be NULL. For tests and bench. */
size_t vector_kernels_all(const struct vector_kernels **out_list, bool *out_runs_here, size_t max);
