/*
 * recall.c - does the index find what is there?
 *
 * WHAT COUNTS. The exact search runs a while later. Rows that came since are left out by their
 * sequence, and one that was removed since is in the sample and not among the exact hits. Where the
 * sample is full, only exact hits better than its last one are wanted: if a hit has been removed,
 * the exact search goes further down than the sample could.
 *
 * THREADS. RECALL guards a ring of a few samples. Lookups try the lock and give up if it is taken:
 * one of ten thousand is chance anyway.
 *
 * NOT HERE. Who repeats the search: builder.c.
 */
#include "index/recall.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/lock.h"

struct recall {
    struct lock lock;
    uint32_t first GUARDED;
    uint32_t count GUARDED;
    struct recall_sample ring[RECALL_RING] GUARDED;
};

UNSHARED enum status recall_create(struct recall **out_recall)
{
    struct recall *recall = calloc(1, sizeof(*recall));
    if (recall == NULL)
        return STATUS_NO_MEMORY;
    lock_init(&recall->lock, LOCK_RANK_RECALL);
    *out_recall = recall;
    return STATUS_OK;
}

UNSHARED void recall_destroy(struct recall **recall)
{
    struct recall *doomed = *recall;
    if (doomed == NULL)
        return;
    *recall = NULL;
    lock_deinit(&doomed->lock);
    free(doomed);
}

static void fill(struct recall_sample *sample, const struct search *search)
{
    sample->dimension = search->dimension;
    sample->tag = search->tag;
    sample->hits_max = search->hits_max;
    sample->hits_count = search->hits_count;
    sample->now_ms = search->now_ms;
    sample->worst =
        search->hits_count > 0 ? search->hits[search->hits_count - 1].similarity : -2.0f;
    for (uint32_t i = 0; i < search->hits_count; i++)
        sample->sequences[i] = search->hits[i].sequence;
    memcpy(sample->unit, search->unit, search->dimension * sizeof(*sample->unit));
}

bool recall_offer(struct recall *recall, const struct partition_key *key,
                  const struct search *search, uint64_t sequence_last)
{
    assert(search->dimension <= VECTOR_DIMENSION_MAX);
    assert(search->hits_count <= SEARCH_HITS_MAX);
    if (!lock_try_acquire(&recall->lock))
        return false;
    const bool fits = recall->count < RECALL_RING;
    if (fits) {
        struct recall_sample *sample = &recall->ring[(recall->first + recall->count) % RECALL_RING];
        sample->key = *key;
        sample->sequence_last = sequence_last;
        fill(sample, search);
        recall->count++;
    }
    lock_release(&recall->lock);
    return fits;
}

bool recall_take(struct recall *recall, struct recall_sample *out_sample)
{
    lock_acquire(&recall->lock);
    const bool some = recall->count > 0;
    if (some) {
        *out_sample = recall->ring[recall->first];
        recall->first = (recall->first + 1) % RECALL_RING;
        recall->count--;
    }
    lock_release(&recall->lock);
    return some;
}

static bool has(const struct recall_sample *sample, uint64_t sequence)
{
    for (uint32_t i = 0; i < sample->hits_count; i++)
        if (sample->sequences[i] == sequence)
            return true;
    return false;
}

struct recall_sum recall_compare(const struct recall_sample *sample, const struct search *exact)
{
    struct recall_sum sum = {0, 0};
    const bool is_full = sample->hits_count == sample->hits_max;
    for (uint32_t i = 0; i < exact->hits_count; i++) {
        const struct search_hit *hit = &exact->hits[i];
        if (hit->sequence > sample->sequence_last)
            continue;
        const bool is_found = has(sample, hit->sequence);
        sum.found += is_found;
        sum.wanted += is_found || !is_full || hit->similarity > sample->worst;
    }
    assert(sum.found <= sum.wanted);
    return sum;
}
