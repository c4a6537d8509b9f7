/*
 * candidates.h - the best rows that a search has met so far, by int8 score: a heap of fixed size,
 * the worst on top once it is full. Scans, graphs and lists of one search fill the same one; fp32
 * re-ranks it (search.c). Threads: one search, one heap, on its stack.
 */
#pragma once
#include <assert.h>
#include <math.h>
#include <stdint.h>

#include "index/partition.h"

enum { CANDIDATES_MAX = SEARCH_HITS_MAX + SEARCH_HITS_MAX / 2 + 8 };

struct rows_chunk;

struct candidate {
    float score; /* int8 dot x the row's scale: similarity but for the query's scale */
    uint32_t row;
    const struct rows_chunk *chunk;
};

struct candidates {
    float worst; /* a row must be better to get in; -infinity while there is room */
    uint32_t max, count;
    struct candidate items[CANDIDATES_MAX];
};

static inline void candidates_start(struct candidates *candidates, uint32_t max)
{
    assert(max >= 1);
    assert(max <= CANDIDATES_MAX);
    candidates->worst = -INFINITY;
    candidates->max = max;
    candidates->count = 0;
}

static inline void candidates_sift_down(struct candidate *heap, uint32_t count, uint32_t at)
{
    const struct candidate moving = heap[at];
    for (uint32_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && heap[child + 1].score < heap[child].score)
            child++;
        if (!(heap[child].score < moving.score))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moving;
}

/* Only of a row that counts, with a score above `worst`. */
static inline void candidates_add(struct candidates *candidates, const struct candidate *candidate)
{
    assert(candidate->score > candidates->worst);
    if (candidates->count == candidates->max) {
        candidates->items[0] = *candidate;
        candidates_sift_down(candidates->items, candidates->max, 0);
    } else {
        candidates->items[candidates->count++] = *candidate;
        if (candidates->count < candidates->max)
            return;
        for (uint32_t i = candidates->max / 2; i-- > 0;)
            candidates_sift_down(candidates->items, candidates->max, i);
    }
    candidates->worst = candidates->items[0].score;
}
