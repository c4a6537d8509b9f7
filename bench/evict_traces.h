/*
 * evict_traces.h - the generated traces on which eviction is measured: zipf (exponent 0.9); drift
 * (zipf whose keys shift twice); scan (zipf with sweeps over keys that come once); burst (zipf, and
 * keys that are asked for 20 times in a row and never again). The seed is fixed. A program that
 * runs out of memory ends here. Threads: one.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

enum {
    TRACE_REQUESTS = 500000,
    TRACE_POPULAR = 75000, /* keys of the Zipf part */
    TRACE_KEYS = TRACE_POPULAR + TRACE_REQUESTS,
};

enum evict_shape { SHAPE_ZIPF, SHAPE_DRIFT, SHAPE_SCAN, SHAPE_BURST, TRACE_SHAPES };

struct evict_trace {
    const char *name;
    uint32_t *keys; /* TRACE_REQUESTS of them; the caller's to free */
    uint32_t unique_count;
};

void *evict_allocate(size_t count, size_t size);

/* The sums that a Zipf draw looks into; the caller's to free. */
double *evict_zipf(void);
struct evict_trace evict_trace_make(enum evict_shape shape, const double *sums);
