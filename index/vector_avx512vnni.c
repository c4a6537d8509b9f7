/*
 * vector_avx512vnni.c - the int8 kernels for AVX-512 VNNI: one vpdpbusd multiplies 64 unsigned
 * codes with 64 signed bytes of the query and adds fours of products to 32-bit lanes, without
 * saturation. Rows enter as code + 128, so 128 x the query's sum is taken off at the end.
 *
 * Threads: any; pure.
 *
 * NOT HERE: which kernel runs (vector.c).
 */
#include "index/vector_kernels.h"

#include <assert.h>
#include <immintrin.h>

enum { ROWS_A_PASS = 4, STEP = 64 };

/* 128 x the sum of the query: what storing code + 128 adds to every dot. */
static inline int32_t offset_of(const int8_t *query, size_t row_bytes)
{
    const __m512i offset = _mm512_set1_epi8((char)128); /* read as unsigned by vpdpbusd */
    __m512i sum = _mm512_setzero_si512();
    for (size_t i = 0; i < row_bytes; i += STEP)
        sum = _mm512_dpbusd_epi32(sum, offset, _mm512_loadu_si512(query + i));
    return _mm512_reduce_add_epi32(sum);
}

static inline int32_t dot_with_offset(const uint8_t *row, const int8_t *query, size_t row_bytes)
{
    __m512i sum = _mm512_setzero_si512();
    for (size_t i = 0; i < row_bytes; i += STEP)
        sum = _mm512_dpbusd_epi32(sum, _mm512_loadu_si512(row + i), _mm512_loadu_si512(query + i));
    return _mm512_reduce_add_epi32(sum);
}

static int32_t dot(const uint8_t *row, const int8_t *query, size_t row_bytes)
{
    assert(row_bytes > 0);
    assert(row_bytes % VECTOR_ROW_ALIGN == 0);
    return dot_with_offset(row, query, row_bytes) - offset_of(query, row_bytes);
}

/* The four sums of four registers in one go: a 4 x 4 transpose that adds, then the four quarters.
 */
static inline __m128i sum_four(__m512i a, __m512i b, __m512i c, __m512i d)
{
    const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
    const __m512i abcd =
        _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    const __m256i half =
        _mm256_add_epi32(_mm512_castsi512_si256(abcd), _mm512_extracti64x4_epi64(abcd, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

static inline __m128i dot_four(const uint8_t *rows, size_t row_bytes, const int8_t *query)
{
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
    for (size_t i = 0; i < row_bytes; i += STEP) {
        const __m512i part = _mm512_loadu_si512(query + i);
        a = _mm512_dpbusd_epi32(a, _mm512_loadu_si512(rows + i), part);
        b = _mm512_dpbusd_epi32(b, _mm512_loadu_si512(rows + row_bytes + i), part);
        c = _mm512_dpbusd_epi32(c, _mm512_loadu_si512(rows + 2 * row_bytes + i), part);
        d = _mm512_dpbusd_epi32(d, _mm512_loadu_si512(rows + 3 * row_bytes + i), part);
    }
    return sum_four(a, b, c, d);
}

static void scan(const uint8_t *rows, size_t row_bytes, size_t rows_count, const int8_t *query,
                 int32_t *out_dots)
{
    assert(row_bytes > 0);
    assert(row_bytes % VECTOR_ROW_ALIGN == 0);
    const int32_t offset = offset_of(query, row_bytes);
    const __m128i offsets = _mm_set1_epi32(offset);
    size_t done = 0;
    for (; done + ROWS_A_PASS <= rows_count; done += ROWS_A_PASS) {
        const uint8_t *first = rows + done * row_bytes;
        for (size_t i = 0; i < ROWS_A_PASS * row_bytes; i += 64)
            __builtin_prefetch(first + 2 * ROWS_A_PASS * row_bytes + i);
        const __m128i sums = dot_four(first, row_bytes, query);
        _mm_storeu_si128((__m128i *)(out_dots + done), _mm_sub_epi32(sums, offsets));
    }
    for (; done < rows_count; done++)
        out_dots[done] = dot_with_offset(rows + done * row_bytes, query, row_bytes) - offset;
}

const struct vector_kernels vector_kernels_avx512vnni = {"avx512vnni", dot, scan};
