/*
 * evict_traces.c - the traces of evict_traces.h. Owns nothing. Threads: one.
 */
#include "bench/evict_traces.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { BURST_LENGTH = 20 };
#define ZIPF_EXPONENT 0.9

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014) */
static uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void *evict_allocate(size_t count, size_t size)
{
    void *block = calloc(count, size);
    if (block == NULL) {
        (void)fprintf(stderr, "no memory for %zu x %zu bytes\n", count, size);
        exit(1);
    }
    return block;
}

/* ---- traces ---------------------------------------------------------------------------------- */

double *evict_zipf(void)
{
    double *sums = evict_allocate(TRACE_POPULAR, sizeof(*sums));
    double sum = 0;
    for (uint32_t i = 0; i < TRACE_POPULAR; i++)
        sums[i] = sum += pow(i + 1.0, -ZIPF_EXPONENT);
    return sums;
}

static uint32_t draw_zipf(const double *sums, uint64_t *random)
{
    const double wanted = (double)(next_random(random) >> 11) * 0x1p-53 * sums[TRACE_POPULAR - 1];
    uint32_t low = 0, high = TRACE_POPULAR - 1;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (sums[middle] > wanted)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static uint32_t next_key(enum evict_shape shape, uint32_t at, const double *sums, uint64_t *random,
                         uint32_t *fresh, uint32_t *last_burst)
{
    const uint32_t popular = draw_zipf(sums, random);
    switch (shape) {
    case SHAPE_DRIFT: /* a third of the trace each: other keys are the popular ones */
        return (popular + at / (TRACE_REQUESTS / 3) * (TRACE_POPULAR / 3)) % TRACE_POPULAR;
    case SHAPE_SCAN: /* every tenth part of the trace ends in a sweep */
        return at % (TRACE_REQUESTS / 10) >= TRACE_REQUESTS / 10 * 4 / 5
                   ? TRACE_POPULAR + (*fresh)++
                   : popular;
    case SHAPE_BURST:
        if (at % (2 * BURST_LENGTH) == 0)
            *last_burst = TRACE_POPULAR + (*fresh)++;
        return at % 2 == 0 ? *last_burst : popular;
    case SHAPE_ZIPF:
    case TRACE_SHAPES:
        break;
    }
    return popular;
}

struct evict_trace evict_trace_make(enum evict_shape shape, const double *sums)
{
    static const char *const names[TRACE_SHAPES] = {"zipf", "drift", "scan", "burst"};
    struct evict_trace trace = {.name = names[shape],
                                .keys = evict_allocate(TRACE_REQUESTS, sizeof(*trace.keys))};
    bool *seen = evict_allocate(TRACE_KEYS, sizeof(*seen));
    uint64_t random = 20251125;
    uint32_t fresh = 0, last_burst = 0;
    for (uint32_t i = 0; i < TRACE_REQUESTS; i++) {
        trace.keys[i] = next_key(shape, i, sums, &random, &fresh, &last_burst);
        trace.unique_count += !seen[trace.keys[i]];
        seen[trace.keys[i]] = true;
    }
    free(seen);
    return trace;
}
