/*
 * recall.h - does the index find what is there? Of ten thousand searches one is remembered, to be
 * repeated exactly in the background, and what it found is compared.
 *
 * Threads: any. Offering never waits: it happens inside an epoch, on the thread of a lookup.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "index/directory.h"
#include "index/vector.h"

enum { RECALL_SHARE = 10000, RECALL_RING = 8 };

struct recall;

/* A search that was answered, and what it found. */
struct recall_sample {
    struct partition_key key;
    uint32_t dimension, tag, hits_max, hits_count;
    int64_t now_ms;
    uint64_t sequence_last; /* rows that came later do not count */
    float worst;            /* similarity of the last hit        */
    uint64_t sequences[SEARCH_HITS_MAX];
    float unit[VECTOR_DIMENSION_MAX];
};

enum status recall_create(struct recall **out_recall);
void recall_destroy(struct recall **recall);

/* False if the ring is full or somebody else is at it: that sample is lost. */
bool recall_offer(struct recall *recall, const struct partition_key *key,
                  const struct search *search, uint64_t sequence_last);
/* The oldest one; false if there is none. */
bool recall_take(struct recall *recall, struct recall_sample *out_sample);

struct recall_sum {
    uint32_t found, wanted;
};
/* `exact` has been found by looking at every row. Removed since then: wanted of nobody. */
struct recall_sum recall_compare(const struct recall_sample *sample, const struct search *exact);
