/*
 * encoder_kernels_scalar.c - the kernels in plain C: what the others are compared with, and what
 * runs where neither AVX2 nor AVX-512 VNNI does. The compiler vectorises most of it with whatever
 * the target has.
 *
 * THREADS. Any; pure.
 *
 * NOT HERE. Which set runs (encoder_kernels.c); the float loops (encoder_kernels_body.h).
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "embed/encoder_kernels.h"

enum { ATTENTION_ROWS = 4, ATTENTION_VECTORS = 1 };

struct lanes {
    float at[ENCODER_LANES];
};

/*
 * a b + c rounded once. Without an instruction for it libm's fmaf is slow and is not vectorised,
 * so: the product of two floats is exact in double; their sum there is rounded to odd with the
 * error term of Knuth's two-sum, and a value rounded to odd with at least two bits more rounds to
 * float as the exact one does (Boldo, Melquiond 2008).
 */
static inline float fused(float a, float b, float c)
{
#if defined(__FMA__) || defined(__aarch64__)
    return __builtin_fmaf(a, b, c);
#else
    const double product = (double)a * (double)b, sum = product + (double)c;
    const double part = sum - product;
    const double error = (product - (sum - part)) + ((double)c - part);
    uint64_t bits;
    memcpy(&bits, &sum, sizeof(bits));
    if (error != 0 && (bits & 1) == 0)
        bits += (error > 0) == (sum > 0) ? 1 : UINT64_MAX; /* away from zero, or towards it */
    double odd;
    memcpy(&odd, &bits, sizeof(odd));
    return (float)odd;
#endif
}

#define EACH_LANE(expression)                                                                      \
    struct lanes out;                                                                              \
    for (int i = 0; i < ENCODER_LANES; i++)                                                        \
        out.at[i] = (expression);                                                                  \
    return out

static inline struct lanes lanes_load(const float *at)
{
    EACH_LANE(at[i]);
}

static inline void lanes_store(float *at, struct lanes x)
{
    memcpy(at, x.at, sizeof(x.at));
}

static inline struct lanes lanes_all(float value)
{
    EACH_LANE(value);
}

static inline struct lanes lanes_add(struct lanes a, struct lanes b)
{
    EACH_LANE(a.at[i] + b.at[i]);
}

static inline struct lanes lanes_sub(struct lanes a, struct lanes b)
{
    EACH_LANE(a.at[i] - b.at[i]);
}

static inline struct lanes lanes_mul(struct lanes a, struct lanes b)
{
    EACH_LANE(a.at[i] * b.at[i]);
}

static inline struct lanes lanes_fma(struct lanes a, struct lanes b, struct lanes c)
{
    EACH_LANE(fused(a.at[i], b.at[i], c.at[i]));
}

/* Of equal ones the second, as maxps and minps do: it decides the sign of a zero. */
static inline struct lanes lanes_max(struct lanes a, struct lanes b)
{
    EACH_LANE(a.at[i] > b.at[i] ? a.at[i] : b.at[i]);
}

static inline struct lanes lanes_min(struct lanes a, struct lanes b)
{
    EACH_LANE(a.at[i] < b.at[i] ? a.at[i] : b.at[i]);
}

static inline struct lanes lanes_minus_abs(struct lanes a)
{
    EACH_LANE(-fabsf(a.at[i]));
}

static inline float scaled(float x, float whole)
{
    uint32_t bits, exponent;
    memcpy(&bits, &x, sizeof(bits));
    memcpy(&exponent, &whole, sizeof(exponent));
    bits += exponent << 23;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* x 2^n, where `whole` is n + ROUNDER: n goes straight into the exponent. */
static inline struct lanes lanes_scale(struct lanes x, struct lanes whole)
{
    EACH_LANE(scaled(x.at[i], whole.at[i]));
}

static inline float lanes_sum(struct lanes x)
{
    for (int half = ENCODER_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            x.at[i] += x.at[i + half];
    return x.at[0];
}

static inline float lanes_most(struct lanes x)
{
    for (int half = ENCODER_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            x.at[i] = x.at[i] > x.at[i + half] ? x.at[i] : x.at[i + half];
    return x.at[0];
}

static inline float lanes_least(struct lanes x)
{
    for (int half = ENCODER_LANES / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            x.at[i] = x.at[i] < x.at[i + half] ? x.at[i] : x.at[i + half];
    return x.at[0];
}

/* The nearest whole numbers, ties to even; x is from 0 to 255. */
static inline void lanes_store_codes(uint8_t *at, struct lanes x)
{
    for (int i = 0; i < ENCODER_LANES; i++) {
        const float whole = x.at[i] + 12582912.0f;
        uint32_t bits;
        memcpy(&bits, &whole, sizeof(bits));
        at[i] = (uint8_t)bits;
    }
}

#include "embed/encoder_kernels_body.h"

/* 48 sums of products of one row. */
static void multiply_row(const struct encoder_panels *panels, const int8_t *weights,
                         const uint8_t *codes, int32_t sums[ENCODER_PANEL_COLUMNS])
{
    memset(sums, 0, ENCODER_PANEL_COLUMNS * sizeof(*sums));
    for (size_t k = 0; k < panels->inputs; k += ENCODER_PANEL_DEPTH)
        for (size_t c = 0; c < ENCODER_PANEL_COLUMNS; c++, weights += ENCODER_PANEL_DEPTH)
            for (size_t d = 0; d < ENCODER_PANEL_DEPTH; d++)
                sums[c] += (int32_t)codes[k + d] * weights[d];
}

static void multiply(const struct encoder_panels *panels,
                     const struct encoder_activations *activations, size_t rows_count, float *out)
{
    const size_t panel_bytes = (size_t)panels->inputs * ENCODER_PANEL_COLUMNS;
    for (size_t r = 0; r < rows_count; r++) {
        const int8_t *weights = panels->codes;
        for (size_t column = 0; column < panels->columns; weights += panel_bytes) {
            int32_t sums[ENCODER_PANEL_COLUMNS];
            multiply_row(panels, weights, activations->codes + r * panels->inputs, sums);
            for (size_t c = 0; c < ENCODER_PANEL_COLUMNS; c += ENCODER_LANES) {
                struct lanes x;
                for (size_t i = 0; i < ENCODER_LANES; i++)
                    x.at[i] = (float)sums[c + i];
                lanes_store(out + r * panels->columns + column + c,
                            finish(panels, column + c, x, &activations->rows[r]));
            }
            column += ENCODER_PANEL_COLUMNS;
        }
    }
}

const struct encoder_kernels encoder_kernels_scalar = {"scalar", quantise, multiply,
                                                       gelu,     add_norm, attend};
