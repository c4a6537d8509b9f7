/*
 * adaptive.h - a threshold that follows the verdicts on its hits: the ring of the last 100 and the
 * rule over it. Plain data without a lock. Threads: the owner's.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { ADAPTIVE_RING = 100, ADAPTIVE_VERDICTS_MIN = 10, ADAPTIVE_ONE = 10000 };

struct adaptive_limits { /* ten-thousandths: 9500 is 0.95; 0 <= min <= initial <= max <= 10000, step
                            > 0 */
    int initial, min, max, step;
};

struct adaptive {
    struct adaptive_limits limits;
    uint8_t ring[ADAPTIVE_RING]; /* 1 = right                                       */
    int next, filled, right;
    int cut; /* the live threshold, born at limits.initial */
};

void adaptive_init(struct adaptive *adaptive, const struct adaptive_limits *limits);
/* A verdict enters the ring; the cut stays. */
void adaptive_count(struct adaptive *adaptive, bool right);
/* A verdict enters the ring, and the cut may move a step. */
void adaptive_label(struct adaptive *adaptive, bool right);
