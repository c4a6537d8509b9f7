/*
 * vector_avx2.c - the int8 kernels for AVX2. Bytes are widened to 16 bits and multiplied with
 * `madd`, whose pair sums are 32 bits wide: `maddubs` would save the widening, but its 16-bit pair
 * sums saturate with full-range codes, and a wrong neighbour looks like any other. Rows enter as
 * code + 128, so 128 x the query's sum is taken off at the end. The largest sum, 4096 x 255 x 128,
 * is far inside 32 bits.
 *
 * Threads: any; pure.
 *
 * NOT HERE: which kernel runs (vector.c).
 */
#include "index/vector_kernels.h"

#include <assert.h>
#include <immintrin.h>

enum { ROWS_A_PASS = 4, STEP = 16 };

static inline __m256i widen_codes(const uint8_t *row)
{
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)row));
}

static inline __m256i widen_query(const int8_t *query)
{
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)query));
}

static inline int32_t sum_lanes(__m256i lanes)
{
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, _MM_SHUFFLE(1, 0, 3, 2)));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, _MM_SHUFFLE(2, 3, 0, 1)));
    return _mm_cvtsi128_si32(half);
}

/* 128 x the sum of the query: what storing code + 128 adds to every dot. */
static inline int32_t offset_of(const int8_t *query, size_t row_bytes)
{
    const __m256i offset = _mm256_set1_epi16(128);
    __m256i sum = _mm256_setzero_si256();
    for (size_t i = 0; i < row_bytes; i += STEP)
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(widen_query(query + i), offset));
    return sum_lanes(sum);
}

static inline int32_t dot_with_offset(const uint8_t *row, const int8_t *query, size_t row_bytes)
{
    __m256i sum = _mm256_setzero_si256();
    for (size_t i = 0; i < row_bytes; i += STEP)
        sum =
            _mm256_add_epi32(sum, _mm256_madd_epi16(widen_codes(row + i), widen_query(query + i)));
    return sum_lanes(sum);
}

static int32_t dot(const uint8_t *row, const int8_t *query, size_t row_bytes)
{
    assert(row_bytes > 0);
    assert(row_bytes % VECTOR_ROW_ALIGN == 0);
    return dot_with_offset(row, query, row_bytes) - offset_of(query, row_bytes);
}

/* Four rows share each widened piece of the query. */
static inline void dot_four(const uint8_t *rows, size_t row_bytes, const int8_t *query,
                            int32_t *out_dots)
{
    __m256i sums[ROWS_A_PASS];
    for (size_t r = 0; r < ROWS_A_PASS; r++)
        sums[r] = _mm256_setzero_si256();
    for (size_t i = 0; i < row_bytes; i += STEP) {
        const __m256i wide = widen_query(query + i);
        for (size_t r = 0; r < ROWS_A_PASS; r++) {
            const __m256i codes = widen_codes(rows + r * row_bytes + i);
            sums[r] = _mm256_add_epi32(sums[r], _mm256_madd_epi16(codes, wide));
        }
    }
    for (size_t r = 0; r < ROWS_A_PASS; r++)
        out_dots[r] = sum_lanes(sums[r]);
}

static void scan(const uint8_t *rows, size_t row_bytes, size_t rows_count, const int8_t *query,
                 int32_t *out_dots)
{
    assert(row_bytes > 0);
    assert(row_bytes % VECTOR_ROW_ALIGN == 0);
    const int32_t offset = offset_of(query, row_bytes);
    size_t done = 0;
    for (; done + ROWS_A_PASS <= rows_count; done += ROWS_A_PASS) {
        const uint8_t *first = rows + done * row_bytes;
        for (size_t i = 0; i < ROWS_A_PASS * row_bytes; i += 64)
            __builtin_prefetch(first + 2 * ROWS_A_PASS * row_bytes + i);
        dot_four(first, row_bytes, query, out_dots + done);
    }
    for (; done < rows_count; done++)
        out_dots[done] = dot_with_offset(rows + done * row_bytes, query, row_bytes);
    for (size_t i = 0; i < rows_count; i++)
        out_dots[i] -= offset;
}

const struct vector_kernels vector_kernels_avx2 = {"avx2", dot, scan};
