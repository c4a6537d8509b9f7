/*
 * encoder_kernels_body.h - the float loops of the encoder, written once over sixteen lanes. Each of
 * the files encoder_kernels_*.c first defines `struct lanes` and the lanes_* verbs with
 * instructions of its own, then ATTENTION_ROWS and ATTENTION_VECTORS (the tile that its registers
 * hold), and then includes this. Nobody else does.
 *
 * THE SAME EVERYWHERE. All verbs are single IEEE operations (fma rounds once), sums over lanes fold
 * halves onto halves, and the tile changes which results are computed together, never the order
 * inside one. The files are compiled with -ffp-contract=off.
 *
 * gcc keeps an array in registers only when every index is a constant after unrolling; hence the
 * always_inline functions with constant counts, and UNROLL.
 */
#pragma once
#include <assert.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "embed/encoder_kernels.h"

#define INLINE       static inline __attribute__((always_inline))
#define PRAGMA(text) _Pragma(#text)
#ifdef __clang__
#define UNROLL(count) PRAGMA(clang loop unroll(full))
#else
#define UNROLL(count) PRAGMA(GCC unroll count)
#endif

/* 1.5 x 2^23: adding it leaves the nearest whole number, ties to even, in the low bits. */
#define ROUNDER 12582912.0f

/* ---- exp2 and gelu --------------------------------------------------------------------------- */

/*
 * 2^t for t up to 127; from -126 down the smallest normal number. 2^t = 2^n 2^f with n the nearest
 * whole number; 2^f - 1 by a minimax polynomial of degree 5 without constant term, relative error
 * 9.2e-8 on [-0.5, 0.5], so that 2^0 is exactly 1.
 */
INLINE struct lanes exp2_of(struct lanes t)
{
    t = lanes_max(t, lanes_all(-126.0f));
    const struct lanes whole = lanes_add(t, lanes_all(ROUNDER));
    const struct lanes f = lanes_sub(t, lanes_sub(whole, lanes_all(ROUNDER)));
    struct lanes p = lanes_all(0x1.5bba12p-10f);
    p = lanes_fma(p, f, lanes_all(0x1.3cea8ap-7f));
    p = lanes_fma(p, f, lanes_all(0x1.c6b752p-5f));
    p = lanes_fma(p, f, lanes_all(0x1.ebf9bcp-3f));
    p = lanes_fma(p, f, lanes_all(0x1.62e42ap-1f));
    p = lanes_fma(p, f, lanes_all(1.0f));
    return lanes_scale(p, whole);
}

/*
 * x (1 + erf(x / sqrt 2)) / 2 = max(x, 0) - a erfc(a / sqrt 2) / 2 with a = |x|, which loses
 * nothing to cancellation. -log2(erfc(a / sqrt 2)) is a smooth curve through 0: a polynomial of
 * degree 7, fitted by weighted least squares (Lawson) on [0, 6] to the error that reaches gelu, at
 * most 4.5e-8. Beyond 6 the product is below 1e-8 and stays what it is at 6. Written in -a. No
 * division, unlike the forms of Abramowitz and Stegun 7.1.25 to 28.
 */
INLINE struct lanes gelu_of(struct lanes x)
{
    const struct lanes b = lanes_max(lanes_minus_abs(x), lanes_all(-6.0f));
    struct lanes q = lanes_all(-5.0075232138624415e-06f);
    q = lanes_fma(q, b, lanes_all(-2.0895657144137658e-05f));
    q = lanes_fma(q, b, lanes_all(0.0005407383432611823f));
    q = lanes_fma(q, b, lanes_all(0.007595770992338657f));
    q = lanes_fma(q, b, lanes_all(0.052865706384181976f));
    q = lanes_fma(q, b, lanes_all(-0.45908811688423157f));
    q = lanes_fma(q, b, lanes_all(1.1511181592941284f));
    const struct lanes tail = exp2_of(lanes_fma(q, b, lanes_all(-1.0f)));
    return lanes_fma(b, tail, lanes_max(x, lanes_all(0.0f)));
}

static void gelu(float *values, size_t count)
{
    assert(count % ENCODER_LANES == 0);
    for (size_t i = 0; i < count; i += ENCODER_LANES)
        lanes_store(values + i, gelu_of(lanes_load(values + i)));
}

/* ---- layer normalisation --------------------------------------------------------------------- */

/* Mean first, then the variance of the differences: one pass with squares would cancel. */
static void add_norm_row(float *row, const float *added, size_t width,
                         const struct encoder_norm *norm)
{
    struct lanes sum = lanes_all(0.0f), squares = sum;
    for (size_t i = 0; i < width; i += ENCODER_LANES) {
        const struct lanes x = lanes_add(lanes_load(row + i), lanes_load(added + i));
        lanes_store(row + i, x);
        sum = lanes_add(sum, x);
    }
    const struct lanes mean = lanes_all(lanes_sum(sum) / (float)width);
    for (size_t i = 0; i < width; i += ENCODER_LANES) {
        const struct lanes x = lanes_sub(lanes_load(row + i), mean);
        squares = lanes_fma(x, x, squares);
    }
    const float variance = lanes_sum(squares) / (float)width;
    const struct lanes factor = lanes_all(1.0f / sqrtf(variance + 1e-12f));
    for (size_t i = 0; i < width; i += ENCODER_LANES) {
        const struct lanes x = lanes_mul(lanes_sub(lanes_load(row + i), mean), factor);
        lanes_store(row + i,
                    lanes_fma(x, lanes_load(norm->weights + i), lanes_load(norm->biases + i)));
    }
}

static void add_norm(float *rows, const float *added, size_t rows_count, size_t width,
                     const struct encoder_norm *norm)
{
    assert(width % ENCODER_LANES == 0);
    for (size_t i = 0; i < rows_count; i++)
        add_norm_row(rows + i * width, added + i * width, width, norm);
}

/* ---- activations in 8 bits ------------------------------------------------------------------- */

static void quantise(const float *rows, size_t rows_count, size_t width,
                     struct encoder_activations *out_activations)
{
    assert(width % ENCODER_LANES == 0);
    for (size_t r = 0; r < rows_count; r++) {
        const float *row = rows + r * width;
        uint8_t *codes = out_activations->codes + r * width;
        struct lanes low = lanes_load(row), high = low;
        for (size_t i = ENCODER_LANES; i < width; i += ENCODER_LANES) {
            const struct lanes x = lanes_load(row + i);
            low = lanes_min(low, x);
            high = lanes_max(high, x);
        }
        const float least = lanes_least(low), spread = lanes_most(high) - least;
        const float step = spread > 1e-30f ? spread / 255.0f : 1.0f;
        const struct lanes lows = lanes_all(least), factor = lanes_all(1.0f / step);
        for (size_t i = 0; i < width; i += ENCODER_LANES)
            lanes_store_codes(codes + i, lanes_mul(lanes_sub(lanes_load(row + i), lows), factor));
        out_activations->rows[r] = (struct encoder_row){.low = least, .step = step};
    }
}

/* What a tile of integer sums becomes: y = step_row step_column acc + (low step_sum + bias). */
INLINE struct lanes finish(const struct encoder_panels *panels, size_t column, struct lanes sums,
                           const struct encoder_row *row)
{
    const struct lanes offset =
        lanes_fma(lanes_all(row->low), lanes_load(panels->step_sums + column),
                  lanes_load(panels->biases + column));
    const struct lanes step = lanes_mul(lanes_all(row->step), lanes_load(panels->steps + column));
    return lanes_fma(sums, step, offset);
}

/* ---- attention ------------------------------------------------------------------------------- */

struct product {
    const float *left, *right; /* left: rows_count x depth; right: depth x columns */
    size_t left_stride, right_stride, out_stride, rows_count, depth;
    const float *factors; /* of each row of the result */
    float *out;
};

/* ATTENTION_ROWS x (vectors x 16) results; rows beyond rows_count repeat the last, unstored. */
INLINE void product_tile(const struct product *product, size_t column, const size_t vectors)
{
    struct lanes sums[ATTENTION_ROWS][ATTENTION_VECTORS];
    const float *left[ATTENTION_ROWS];
    UNROLL(8)
    for (size_t r = 0; r < ATTENTION_ROWS; r++) {
        const size_t row = r < product->rows_count ? r : product->rows_count - 1;
        left[r] = product->left + row * product->left_stride;
        UNROLL(2)
        for (size_t v = 0; v < vectors; v++)
            sums[r][v] = lanes_all(0.0f);
    }
    const float *right = product->right + column;
    for (size_t k = 0; k < product->depth; k++, right += product->right_stride) {
        struct lanes b[ATTENTION_VECTORS];
        UNROLL(2)
        for (size_t v = 0; v < vectors; v++)
            b[v] = lanes_load(right + v * ENCODER_LANES);
        UNROLL(8)
        for (size_t r = 0; r < ATTENTION_ROWS; r++) {
            const struct lanes a = lanes_all(left[r][k]);
            UNROLL(2)
            for (size_t v = 0; v < vectors; v++)
                sums[r][v] = lanes_fma(a, b[v], sums[r][v]);
        }
    }
    UNROLL(8)
    for (size_t r = 0; r < ATTENTION_ROWS; r++)
        if (r < product->rows_count)
            for (size_t v = 0; v < vectors; v++)
                lanes_store(product->out + r * product->out_stride + column + v * ENCODER_LANES,
                            lanes_mul(sums[r][v], lanes_all(product->factors[r])));
}

static void multiply_floats(const struct product *product, size_t columns)
{
    size_t column = 0;
    for (; column + ATTENTION_VECTORS * ENCODER_LANES <= columns;
         column += ATTENTION_VECTORS * ENCODER_LANES)
        product_tile(product, column, ATTENTION_VECTORS);
    for (; column < columns; column += ENCODER_LANES)
        product_tile(product, column, 1);
}

/* Scores become weights that are still to be divided by their sum; returns 1 / sum. */
INLINE float softmax_row(float *scores, size_t tokens, size_t padded)
{
    for (size_t i = tokens; i < padded; i++)
        scores[i] = -FLT_MAX; /* 2^-126 beside a sum of at least 1: nothing */
    struct lanes most = lanes_load(scores), sum = lanes_all(0.0f);
    for (size_t i = ENCODER_LANES; i < padded; i += ENCODER_LANES)
        most = lanes_max(most, lanes_load(scores + i));
    const struct lanes top = lanes_all(lanes_most(most));
    for (size_t i = 0; i < padded; i += ENCODER_LANES) {
        const struct lanes weight = exp2_of(lanes_sub(lanes_load(scores + i), top));
        lanes_store(scores + i, weight);
        sum = lanes_add(sum, weight);
    }
    return 1.0f / lanes_sum(sum);
}

static void transpose_keys(const float *keys, size_t stride, size_t tokens, size_t head_size,
                           float *out)
{
    const size_t padded = encoder_padded(tokens);
    for (size_t d = 0; d < head_size; d++) {
        for (size_t i = 0; i < tokens; i++)
            out[d * padded + i] = keys[i * stride + d];
        memset(out + d * padded + tokens, 0, (padded - tokens) * sizeof(*out));
    }
}

static void attend_head(const struct encoder_attention *attention, const float *queries,
                        size_t tokens, float *out)
{
    const size_t width = attention->width, padded = encoder_padded(tokens);
    const size_t head_size = width / attention->heads;
    float factors[ENCODER_ATTENTION_ROWS];
    transpose_keys(queries + width, 3 * width, tokens, head_size, attention->keys);
    for (size_t first = 0; first < tokens; first += ATTENTION_ROWS) {
        const size_t left = tokens - first;
        struct product product = {
            .left = queries + first * 3 * width,
            .right = attention->keys,
            .left_stride = 3 * width,
            .right_stride = padded,
            .out_stride = padded,
            .rows_count = left < ATTENTION_ROWS ? left : ATTENTION_ROWS,
            .depth = head_size,
            .factors = factors,
            .out = attention->scores,
        };
        for (size_t r = 0; r < ATTENTION_ROWS; r++)
            factors[r] = 1.44269504f / sqrtf((float)head_size); /* log2(e): exp2 follows */
        multiply_floats(&product, padded);
        for (size_t r = 0; r < product.rows_count; r++)
            factors[r] = softmax_row(attention->scores + r * padded, tokens, padded);
        product.left = attention->scores;
        product.left_stride = padded;
        product.right = queries + 2 * width;
        product.right_stride = 3 * width;
        product.depth = tokens;
        product.out = out + first * width;
        product.out_stride = width;
        multiply_floats(&product, head_size);
    }
}

static void attend(const struct encoder_attention *attention, const float *rows, size_t tokens,
                   float *out)
{
    const size_t head_size = attention->width / attention->heads;
    assert(tokens > 0);
    assert(head_size % ENCODER_LANES == 0);
    for (size_t head = 0; head < attention->heads; head++)
        attend_head(attention, rows + head * head_size, tokens, out + head * head_size);
}
