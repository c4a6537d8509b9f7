/*
 * vector.c - vectors: normalised, encoded, multiplied in fp32; and the choice of the int8 kernel.
 *
 * THE SAME ON EVERY PROCESSOR. The fp32 dot adds in a fixed order, 16 lanes and blocks of 128,
 * which the compiler turns into whatever registers there are; no fused multiply-add
 * (-ffp-contract=off), no fast-math. So a similarity never depends on the machine. An AVX2 variant
 * was considered: only a few dozen rows per search are re-ranked, and equal figures everywhere are
 * worth more than its microsecond.
 *
 * Threads: any; all of it is pure, but for the chosen kernel, which is found once and never
 * changes.
 */
#include "index/vector.h"

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "index/vector_kernels.h"

enum { LANES = 16, BLOCK = 128, CODE_MAX = 127, CODE_ZERO = 128 };

bool vector_normalise(const float *vector, uint32_t dimension, float *out_unit)
{
    assert(dimension > 0);
    assert(dimension <= VECTOR_DIMENSION_MAX);
    double squares = 0;
    for (uint32_t i = 0; i < dimension; i++)
        squares += (double)vector[i] * (double)vector[i];
    if (!(squares > 0) || !isfinite(squares)) /* the first also catches NaN */
        return false;
    const double length = sqrt(squares);
    for (uint32_t i = 0; i < dimension; i++)
        out_unit[i] = (float)((double)vector[i] / length);
    return true;
}

/* ---- fp32 ------------------------------------------------------------------------------------ */

static inline void add_products(const float *a, const float *b, float lanes[LANES])
{
    for (uint32_t lane = 0; lane < LANES; lane++)
        lanes[lane] += a[lane] * b[lane];
}

static inline void add_block(const float *a, const float *b, uint32_t count, float totals[LANES])
{
    assert(count % LANES == 0);
    float lanes[LANES] = {0};
    for (uint32_t i = 0; i < count; i += LANES)
        add_products(a + i, b + i, lanes);
    for (uint32_t lane = 0; lane < LANES; lane++)
        totals[lane] += lanes[lane];
}

static void add_tail(const float *a, const float *b, uint32_t count, float totals[LANES])
{
    assert(count < LANES);
    float padded_a[LANES] = {0}, padded_b[LANES] = {0};
    memcpy(padded_a, a, count * sizeof(*a));
    memcpy(padded_b, b, count * sizeof(*b));
    add_products(padded_a, padded_b, totals);
}

static float sum_halves(float lanes[LANES])
{
    for (uint32_t width = LANES / 2; width > 0; width /= 2)
        for (uint32_t lane = 0; lane < width; lane++)
            lanes[lane] += lanes[lane + width];
    return lanes[0];
}

static float clip(float similarity)
{
    assert(!isnan(similarity));
    if (similarity >= 1.0f - VECTOR_ONE_EPSILON)
        return 1.0f;
    return similarity < -1.0f ? -1.0f : similarity;
}

float vector_dot(const float *a, const float *b, uint32_t dimension)
{
    assert(dimension > 0);
    assert(dimension <= VECTOR_DIMENSION_MAX);
    float totals[LANES] = {0};
    uint32_t done = 0;
    for (; done + BLOCK <= dimension; done += BLOCK)
        add_block(a + done, b + done, BLOCK, totals);
    const uint32_t whole = (dimension - done) / LANES * LANES;
    add_block(a + done, b + done, whole, totals);
    done += whole;
    if (done < dimension)
        add_tail(a + done, b + done, dimension - done, totals);
    return clip(sum_halves(totals));
}

/* ---- int8 ------------------------------------------------------------------------------------ */

static float largest(const float *unit, uint32_t dimension)
{
    assert(dimension > 0);
    assert(dimension <= VECTOR_DIMENSION_MAX);
    float lanes[LANES] = {0}; /* one chain of maxima would wait for itself */
    const uint32_t whole = dimension / LANES * LANES;
    for (uint32_t i = 0; i < whole; i += LANES)
        for (uint32_t lane = 0; lane < LANES; lane++)
            lanes[lane] = fabsf(unit[i + lane]) > lanes[lane] ? fabsf(unit[i + lane]) : lanes[lane];
    for (uint32_t i = whole; i < dimension; i++)
        lanes[0] = fabsf(unit[i]) > lanes[0] ? fabsf(unit[i]) : lanes[0];
    float most = 0;
    for (uint32_t lane = 0; lane < LANES; lane++)
        most = lanes[lane] > most ? lanes[lane] : most;
    assert(most > 0); /* a unit vector has something in it */
    return most;
}

/* Nearest whole number, halves away from zero; `lrintf` would be a call per element without
 * fast-math. */
static inline int32_t nearest(float value)
{
    return (int32_t)(value + (value < 0 ? -0.5f : 0.5f));
}

float vector_encode_row(const float *unit, uint32_t dimension, uint8_t *out_row)
{
    const float most = largest(unit, dimension), codes_a_unit = CODE_MAX / most;
    for (uint32_t i = 0; i < dimension; i++)
        out_row[i] = (uint8_t)(nearest(unit[i] * codes_a_unit) + CODE_ZERO);
    memset(out_row + dimension, CODE_ZERO, vector_row_bytes(dimension) - dimension);
    return most / CODE_MAX;
}

float vector_encode_query(const float *unit, uint32_t dimension, int8_t *out_query)
{
    const float most = largest(unit, dimension), codes_a_unit = CODE_MAX / most;
    for (uint32_t i = 0; i < dimension; i++)
        out_query[i] = (int8_t)nearest(unit[i] * codes_a_unit);
    memset(out_query + dimension, 0, vector_row_bytes(dimension) - dimension);
    return most / CODE_MAX;
}

/* ---- which kernel ---------------------------------------------------------------------------- */

static const struct vector_kernels *const KERNELS[] = {
/* best first */
#if defined(__x86_64__)
    &vector_kernels_avx512vnni,
    &vector_kernels_avx2,
#endif
    &vector_kernels_scalar,
};
enum { KERNELS_COUNT = sizeof(KERNELS) / sizeof(KERNELS[0]) };

static bool runs_here(const struct vector_kernels *kernels)
{
#if defined(__x86_64__)
    if (kernels == &vector_kernels_avx512vnni)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
    if (kernels == &vector_kernels_avx2)
        return __builtin_cpu_supports("avx2");
#endif
    return kernels == &vector_kernels_scalar;
}

const struct vector_kernels *vector_kernels(void)
{
    /* Threads that race here find the same answer. */
    static _Atomic(const struct vector_kernels *) chosen;
    const struct vector_kernels *found = atomic_load_explicit(&chosen, memory_order_relaxed);
    for (size_t i = 0; found == NULL && i < KERNELS_COUNT; i++)
        if (runs_here(KERNELS[i]))
            found = KERNELS[i];
    assert(found != NULL);
    atomic_store_explicit(&chosen, found, memory_order_relaxed);
    return found;
}

size_t vector_kernels_all(const struct vector_kernels **out_list, bool *out_runs_here, size_t max)
{
    const size_t count = KERNELS_COUNT < max ? KERNELS_COUNT : max;
    for (size_t i = 0; i < count; i++) {
        out_list[i] = KERNELS[i];
        if (out_runs_here != NULL)
            out_runs_here[i] = runs_here(KERNELS[i]);
    }
    return count;
}
