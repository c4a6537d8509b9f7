/*
 * index_support.h - what the tests of index/ share: seeded chance, unit vectors, rows, and the
 * truth by a plain loop. Everything is made from a seed, so a failing test fails again.
 */
#pragma once
#include "tests/support/unit.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "index/partition.h"
#include "index/vector.h"

/* FAISS and libgomp are not instrumented: ThreadSanitizer reports races that are none. */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif

static inline void skip_foreign_code_under_tsan(void)
{
    if (UNDER_TSAN)
        skip();
}

/* xorshift64 (Marsaglia 2003). */
static inline uint64_t chance(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static inline uint64_t chance_below(uint64_t *state, uint64_t limit)
{
    return (chance(state) >> 11) % limit;
}

/* About normal: the sum of four uniform values, variance 1. */
static inline float chance_normal(uint64_t *state)
{
    float sum = 0;
    for (int i = 0; i < 4; i++)
        sum += (float)(chance(state) >> 40) / (float)(1 << 24);
    return (sum - 2.0f) * 1.7320508f;
}

static inline void chance_unit(uint64_t *state, uint32_t dimension, float *out_unit)
{
    for (uint32_t i = 0; i < dimension; i++)
        out_unit[i] = chance_normal(state);
    assert_true(vector_normalise(out_unit, dimension, out_unit));
}

/* A vector near another one: noise of about that length is added. */
static inline void chance_near(uint64_t *state, const float *unit, uint32_t dimension, float noise,
                               float *out_unit)
{
    for (uint32_t i = 0; i < dimension; i++)
        out_unit[i] = unit[i] + noise * chance_normal(state) / sqrtf((float)dimension);
    assert_true(vector_normalise(out_unit, dimension, out_unit));
}

static inline struct digest id_of(uint64_t number)
{
    return digest_sha256(&number, sizeof(number));
}

/* The side bytes of a row tell its sequence, so that a mix-up shows. */
static inline struct index_row row_of(uint64_t id, uint64_t sequence, const float *unit)
{
    struct index_row row = {.id = id_of(id), .sequence = sequence, .tag = 1, .unit = unit};
    memcpy(row.side, &sequence, sizeof(sequence));
    memset(row.side + 8, (int)(sequence & 0xff), INDEX_SIDE_BYTES - 8);
    return row;
}

static inline void assert_side_of(const struct search_hit *hit)
{
    const struct index_row row = row_of(0, hit->sequence, NULL);
    assert_memory_equal(hit->side, row.side, INDEX_SIDE_BYTES);
}
