/*
 * interval.h - how sure a share is that was counted: `hits` of `trials` were seen; between which
 * bounds does the true share lie? Exact bounds, never too narrow. Pure. Threads: any.
 */
#pragma once
#include <stdint.h>

struct interval { /* shares, 0 to 1; low <= value <= high */
    double low, value, high;
};

/* Two-sided: the true share lies outside with a probability of at most `miss` (0.05: a 95 %
 * interval), half of it on either side. hits <= trials; without trials: 0 to 1, and a value of 0.
 */
struct interval interval_of(uint64_t hits, uint64_t trials, double miss);
/* One-sided: the true share is above it with a probability of at most `miss`. Without trials: 1. */
double interval_upper(uint64_t hits, uint64_t trials, double miss);
