/*
 * promotion.h - when a scan becomes a graph: the rule, and nothing else.
 *
 * A scan of N rows costs c N, a lookup in a graph T, and building it N b. It pays after
 * Q = N b / (c N - T) lookups. Pure. Threads: any.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum {
    PROMOTION_ROWS_MIN = 16384,     /* below, a scan takes 0.2 ms at most and is exact         */
    PROMOTION_ROWS_ALWAYS = 131072, /* from here on a scan takes 2 ms and more                 */
    PROMOTION_HORIZON_S_MAX = 3600,
    PROMOTION_LOOKUP_NS = 71000, /* a graph of 100,000 rows, ef 32, re-rank included           */
    PROMOTION_DIMENSION = 384,   /* what the three figures above were measured with            */
};

struct promotion {
    uint64_t rows_flat;  /* that are scanned now                                        */
    bool has_graph;      /* rows beside them have one already                           */
    uint32_t dimension;  /* row limits scale by 384 / dimension                         */
    double lookups_s;    /* smoothed rate                                               */
    double horizon_s;    /* how long the rows are still going to live                   */
    double flat_row_ns;  /* c                                                           */
    double build_row_ns; /* b                                                           */
};

bool promotion_is_due(const struct promotion *promotion);
/* May become due without another row. */
bool promotion_is_near(const struct promotion *promotion);
