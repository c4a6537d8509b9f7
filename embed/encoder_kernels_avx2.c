/*
 * encoder_kernels_avx2.c - the kernels for AVX2 with FMA: sixteen lanes are two registers of eight.
 *
 * AVX2 multiplies unsigned by signed bytes with vpmaddubsw, which adds pairs in 16 bits and
 * saturates silently: 255 x 127 x 2 does not fit. So an activation enters as q = code - 128, from
 * -128 to 127, and the product |q| x (w with the sign of q) is taken: 128 x 127 x 2 = 32512 fits.
 * What the 128 takes away is given back before the first product: 128 x the sum of the column. Both
 * |q| and q are made once for all columns, in the scratch. Slower, by the figures of
 * docs/decisions/0005: both made in the tile, the lowest bit of a code in a second vpmaddubsw, and
 * 16-bit vpmaddwd over widened weights.
 *
 * The int8 tile is 4 rows x 2 registers of 8 columns, three times through a panel of 48.
 *
 * THREADS. Any; pure.
 *
 * NOT HERE. Which set runs (encoder_kernels.c); the float loops (encoder_kernels_body.h).
 */
#include <assert.h>
#include <immintrin.h>

#include "embed/encoder_kernels.h"

enum { ATTENTION_ROWS = 4, ATTENTION_VECTORS = 1 };
enum { TILE_ROWS = 4, PANEL_STRIDE = 192, PREFETCH_BYTES = 8 * PANEL_STRIDE };

struct lanes {
    __m256 low, high;
};

static inline struct lanes lanes_load(const float *at)
{
    return (struct lanes){_mm256_loadu_ps(at), _mm256_loadu_ps(at + 8)};
}

static inline void lanes_store(float *at, struct lanes x)
{
    _mm256_storeu_ps(at, x.low);
    _mm256_storeu_ps(at + 8, x.high);
}

static inline struct lanes lanes_all(float value)
{
    return (struct lanes){_mm256_set1_ps(value), _mm256_set1_ps(value)};
}

static inline struct lanes lanes_add(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
}

static inline struct lanes lanes_sub(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_sub_ps(a.low, b.low), _mm256_sub_ps(a.high, b.high)};
}

static inline struct lanes lanes_mul(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
}

static inline struct lanes lanes_fma(struct lanes a, struct lanes b, struct lanes c)
{
    return (struct lanes){_mm256_fmadd_ps(a.low, b.low, c.low),
                          _mm256_fmadd_ps(a.high, b.high, c.high)};
}

static inline struct lanes lanes_max(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_max_ps(a.low, b.low), _mm256_max_ps(a.high, b.high)};
}

static inline struct lanes lanes_min(struct lanes a, struct lanes b)
{
    return (struct lanes){_mm256_min_ps(a.low, b.low), _mm256_min_ps(a.high, b.high)};
}

static inline struct lanes lanes_minus_abs(struct lanes a)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    return (struct lanes){_mm256_or_ps(a.low, sign), _mm256_or_ps(a.high, sign)};
}

static inline __m256 scale_eight(__m256 x, __m256 whole)
{
    const __m256i exponents = _mm256_slli_epi32(_mm256_castps_si256(whole), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), exponents));
}

/* x 2^n, where `whole` is n + ROUNDER: n goes straight into the exponent. */
static inline struct lanes lanes_scale(struct lanes x, struct lanes whole)
{
    return (struct lanes){scale_eight(x.low, whole.low), scale_eight(x.high, whole.high)};
}

static inline float lanes_sum(struct lanes x)
{
    const __m256 eight = _mm256_add_ps(x.low, x.high);
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

static inline float lanes_most(struct lanes x)
{
    const __m256 eight = _mm256_max_ps(x.low, x.high);
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

static inline float lanes_least(struct lanes x)
{
    const __m256 eight = _mm256_min_ps(x.low, x.high);
    __m128 four = _mm_min_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    four = _mm_min_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_min_ss(four, _mm_movehdup_ps(four)));
}

static inline __m256i whole_eight(__m256 x)
{
    const __m256i bits = _mm256_castps_si256(_mm256_add_ps(x, _mm256_set1_ps(12582912.0f)));
    return _mm256_and_si256(bits, _mm256_set1_epi32(0xff));
}

static inline void lanes_store_codes(uint8_t *at, struct lanes x)
{
    const __m256i words = _mm256_packus_epi32(whole_eight(x.low), whole_eight(x.high));
    const __m256i bytes = _mm256_packus_epi16(words, words); /* fours: 0 8 0 8, 4 12 4 12 */
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5);
    const __m256i sorted = _mm256_permutevar8x32_epi32(bytes, order);
    _mm_storeu_si128((__m128i *)at, _mm256_castsi256_si128(sorted));
}

#include "embed/encoder_kernels_body.h"

/*
 * Eight columns, four products each, none saturated. The sum is one line of assembly because gcc 12
 * gives the new value another register than the old one, runs out of them and spills.
 */
INLINE void add_products(__m256i *sums, __m256i codes, __m256i magnitudes, __m256i weights)
{
    const __m256i pairs = _mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(weights, codes));
    const __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    __asm__("vpaddd %1, %0, %0" : "+x"(*sums) : "x"(fours));
}

/* What a tile reads of a row, a row of `inputs` bytes each. */
struct signed_codes {
    const uint8_t *codes;      /* code - 128 */
    const uint8_t *magnitudes; /* its absolute value */
};

INLINE __m256i broadcast_four(const uint8_t *at)
{
    int32_t four;
    memcpy(&four, at, sizeof(four));
    return _mm256_set1_epi32(four);
}

/* Rows (a constant) x 16 columns, which begin `inside` columns into the panel. */
INLINE void tile(const struct encoder_panels *panels, size_t column, struct signed_codes from,
                 const struct encoder_row *rows, float *out, const size_t rows_count)
{
    const size_t inputs = panels->inputs, inside = column % ENCODER_PANEL_COLUMNS;
    const int8_t *weights =
        panels->codes + (column - inside) * inputs + inside * ENCODER_PANEL_DEPTH;
    __m256i sums[TILE_ROWS][2];
    UNROLL(2)
    for (size_t v = 0; v < 2; v++) {
        const __m256i all =
            _mm256_loadu_si256((const __m256i *)(const void *)(panels->code_sums + column + 8 * v));
        UNROLL(4)
        for (size_t r = 0; r < rows_count; r++)
            sums[r][v] = _mm256_slli_epi32(all, 7);
    }
    for (size_t k = 0; k < inputs; k += ENCODER_PANEL_DEPTH, weights += PANEL_STRIDE) {
        const __m256i w0 = _mm256_load_si256((const __m256i *)(const void *)weights);
        const __m256i w1 = _mm256_load_si256((const __m256i *)(const void *)(weights + 32));
        __builtin_prefetch(weights + PREFETCH_BYTES);
        UNROLL(4)
        for (size_t r = 0; r < rows_count; r++) {
            const __m256i q = broadcast_four(from.codes + r * inputs + k);
            const __m256i magnitude = broadcast_four(from.magnitudes + r * inputs + k);
            add_products(&sums[r][0], q, magnitude, w0);
            add_products(&sums[r][1], q, magnitude, w1);
        }
    }
    UNROLL(4)
    for (size_t r = 0; r < rows_count; r++) {
        const struct lanes x = {_mm256_cvtepi32_ps(sums[r][0]), _mm256_cvtepi32_ps(sums[r][1])};
        lanes_store(out + r * panels->columns + column, finish(panels, column, x, &rows[r]));
    }
}

#define TILE_OF(count)                                                                             \
    static void tile_##count(const struct encoder_panels *panels, size_t column,                   \
                             struct signed_codes from, const struct encoder_row *rows, float *out) \
    {                                                                                              \
        tile(panels, column, from, rows, out, count);                                              \
    }
TILE_OF(1)
TILE_OF(2)
TILE_OF(3)
TILE_OF(4)

/* Once for all columns: codes - 128 and their absolute values, one after the other in the scratch.
 */
static struct signed_codes sign_codes(const struct encoder_activations *activations, size_t count)
{
    uint8_t *codes = activations->scratch, *magnitudes = codes + count;
    assert(count % 32 == 0);
    for (size_t i = 0; i < count; i += 32) {
        const __m256i code =
            _mm256_loadu_si256((const __m256i *)(const void *)(activations->codes + i));
        const __m256i q = _mm256_xor_si256(code, _mm256_set1_epi8(-128));
        _mm256_storeu_si256((__m256i *)(void *)(codes + i), q);
        _mm256_storeu_si256((__m256i *)(void *)(magnitudes + i), _mm256_abs_epi8(q));
    }
    return (struct signed_codes){.codes = codes, .magnitudes = magnitudes};
}

static void multiply(const struct encoder_panels *panels,
                     const struct encoder_activations *activations, size_t rows_count, float *out)
{
    static void (*const tiles[])(const struct encoder_panels *, size_t, struct signed_codes,
                                 const struct encoder_row *,
                                 float *) = {tile_1, tile_2, tile_3, tile_4};
    const struct signed_codes all = sign_codes(activations, rows_count * panels->inputs);
    for (size_t column = 0; column < panels->columns; column += ENCODER_LANES)
        for (size_t r = 0; r < rows_count; r += TILE_ROWS) {
            const size_t left = rows_count - r, first = r * panels->inputs;
            const struct signed_codes from = {all.codes + first, all.magnitudes + first};
            tiles[(left < TILE_ROWS ? left : TILE_ROWS) - 1](
                panels, column, from, activations->rows + r, out + r * panels->columns);
        }
}

const struct encoder_kernels encoder_kernels_avx2 = {"avx2", quantise, multiply,
                                                     gelu,   add_norm, attend};
