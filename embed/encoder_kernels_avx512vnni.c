/*
 * encoder_kernels_avx512vnni.c - the kernels for AVX-512 with VNNI: vpdpbusd multiplies 64 unsigned
 * codes with 64 signed ones and adds fours of products to 32-bit lanes, without saturation.
 *
 * The int8 tile is 8 rows x 3 registers of 16 columns: 24 sums, 3 registers of weights, one of
 * activations. gcc 12 keeps sums of the intrinsic on the stack, whatever they are declared as, and
 * takes 2.2 times as long; hence the one line of assembly.
 *
 * THREADS. Any; pure.
 *
 * NOT HERE. Which set runs (encoder_kernels.c); the float loops (encoder_kernels_body.h).
 */
#include <assert.h>
#include <immintrin.h>

#include "embed/encoder_kernels.h"

enum { ATTENTION_ROWS = 8, ATTENTION_VECTORS = 2 };
enum { TILE_ROWS = 8, TILE_VECTORS = 3, PREFETCH_BYTES = 16 * 192 };

struct lanes {
    __m512 all;
};

static inline struct lanes lanes_load(const float *at)
{
    return (struct lanes){_mm512_loadu_ps(at)};
}

static inline void lanes_store(float *at, struct lanes x)
{
    _mm512_storeu_ps(at, x.all);
}

static inline struct lanes lanes_all(float value)
{
    return (struct lanes){_mm512_set1_ps(value)};
}

static inline struct lanes lanes_add(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_add_ps(a.all, b.all)};
}

static inline struct lanes lanes_sub(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_sub_ps(a.all, b.all)};
}

static inline struct lanes lanes_mul(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_mul_ps(a.all, b.all)};
}

static inline struct lanes lanes_fma(struct lanes a, struct lanes b, struct lanes c)
{
    return (struct lanes){_mm512_fmadd_ps(a.all, b.all, c.all)};
}

static inline struct lanes lanes_max(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_max_ps(a.all, b.all)};
}

static inline struct lanes lanes_min(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm512_min_ps(a.all, b.all)};
}

static inline struct lanes lanes_minus_abs(struct lanes a)
{
    return (struct lanes){_mm512_or_ps(a.all, _mm512_set1_ps(-0.0f))};
}

/* x 2^n, where `whole` is n + ROUNDER: n goes straight into the exponent. */
static inline struct lanes lanes_scale(struct lanes x, struct lanes whole)
{
    const __m512i exponents = _mm512_slli_epi32(_mm512_castps_si512(whole.all), 23);
    return (struct lanes){
        _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x.all), exponents))};
}

static inline __m256 upper_half(struct lanes x)
{
    return _mm512_extractf32x8_ps(x.all, 1);
}

static inline float lanes_sum(struct lanes x)
{
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x.all), upper_half(x));
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

static inline float lanes_most(struct lanes x)
{
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(x.all), upper_half(x));
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

static inline float lanes_least(struct lanes x)
{
    const __m256 eight = _mm256_min_ps(_mm512_castps512_ps256(x.all), upper_half(x));
    __m128 four = _mm_min_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_min_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_min_ss(four, _mm_movehdup_ps(four)));
}

static inline void lanes_store_codes(uint8_t *at, struct lanes x)
{
    const __m512i whole = _mm512_castps_si512(_mm512_add_ps(x.all, _mm512_set1_ps(12582912.0f)));
    _mm_storeu_si128((__m128i *)at, _mm512_cvtepi32_epi8(whole));
}

#include "embed/encoder_kernels_body.h"

INLINE void add_products(__m512i *sums, __m512i codes, __m512i weights)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(*sums) : "v"(codes), "v"(weights));
}

/* Rows (a constant) x 48 columns. */
INLINE void tile(const struct encoder_panels *panels, size_t column, const uint8_t *codes,
                 const struct encoder_row *rows, float *out, const size_t rows_count)
{
    const size_t inputs = panels->inputs;
    const int8_t *weights = panels->codes + column * inputs;
    __m512i sums[TILE_ROWS][TILE_VECTORS];
    UNROLL(8)
    for (size_t r = 0; r < rows_count; r++)
        UNROLL(3)
    for (size_t v = 0; v < TILE_VECTORS; v++)
        sums[r][v] = _mm512_setzero_si512();
    for (size_t k = 0; k < inputs; k += ENCODER_PANEL_DEPTH, weights += TILE_VECTORS * 64) {
        __m512i w[TILE_VECTORS];
        UNROLL(3)
        for (size_t v = 0; v < TILE_VECTORS; v++) {
            w[v] = _mm512_load_si512(weights + v * 64);
            __builtin_prefetch(weights + PREFETCH_BYTES + v * 64);
        }
        UNROLL(8)
        for (size_t r = 0; r < rows_count; r++) {
            int32_t four;
            memcpy(&four, codes + r * inputs + k, sizeof(four));
            const __m512i broadcast = _mm512_set1_epi32(four);
            UNROLL(3)
            for (size_t v = 0; v < TILE_VECTORS; v++)
                add_products(&sums[r][v], broadcast, w[v]);
        }
    }
    UNROLL(8)
    for (size_t r = 0; r < rows_count; r++)
        UNROLL(3)
    for (size_t v = 0; v < TILE_VECTORS; v++) {
        const size_t at = column + v * ENCODER_LANES;
        const struct lanes x = {_mm512_cvtepi32_ps(sums[r][v])};
        lanes_store(out + r * panels->columns + at, finish(panels, at, x, &rows[r]));
    }
}

#define TILE_OF(count)                                                                             \
    static void tile_##count(const struct encoder_panels *panels, size_t column,                   \
                             const uint8_t *codes, const struct encoder_row *rows, float *out)     \
    {                                                                                              \
        tile(panels, column, codes, rows, out, count);                                             \
    }
TILE_OF(1)
TILE_OF(2)
TILE_OF(3)
TILE_OF(4)
TILE_OF(5)
TILE_OF(6)
TILE_OF(7)
TILE_OF(8)

static void multiply(const struct encoder_panels *panels,
                     const struct encoder_activations *activations, size_t rows_count, float *out)
{
    static void (*const tiles[])(const struct encoder_panels *, size_t, const uint8_t *,
                                 const struct encoder_row *, float *) = {
        tile_1, tile_2, tile_3, tile_4, tile_5, tile_6, tile_7, tile_8};
    for (size_t column = 0; column < panels->columns; column += ENCODER_PANEL_COLUMNS)
        for (size_t r = 0; r < rows_count; r += TILE_ROWS) {
            const size_t left = rows_count - r;
            tiles[(left < TILE_ROWS ? left : TILE_ROWS) - 1](
                panels, column, activations->codes + r * panels->inputs, activations->rows + r,
                out + r * panels->columns);
        }
}

const struct encoder_kernels encoder_kernels_avx512vnni = {"avx512vnni", quantise, multiply,
                                                           gelu,         add_norm, attend};
