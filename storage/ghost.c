/*
 * ghost.c - fingerprints of departed entries, in buckets of one cache line: eight fingerprints and,
 * for each, the number of the addition that brought it. Age = additions since; nothing has to be
 * queued or removed in order (the table S3-FIFO's authors propose: Yang et al., SOSP 2023,
 * section 4.2). A bucket that overflows loses its oldest. After 2^32 additions a forgotten
 * fingerprint may look young again: it is advice.
 */
#include "storage/ghost.h"

#include <assert.h>
#include <stdlib.h>

enum { BUCKET_SLOTS = 8, BUCKETS_MAX = 1 << 28 };

struct ghost_bucket {
    uint32_t fingerprints[BUCKET_SLOTS]; /* 0 = free slot */
    uint32_t births[BUCKET_SLOTS];
};
static_assert(sizeof(struct ghost_bucket) == 64, "a bucket is a cache line");

void ghost_deinit(struct ghost *ghost)
{
    free(ghost->buckets);
    *ghost = (struct ghost){0};
}

static uint32_t nonzero(uint32_t fingerprint)
{
    return fingerprint != 0 ? fingerprint : 1;
}

static struct ghost_bucket *bucket_of(const struct ghost *ghost, uint32_t fingerprint)
{
    assert(ghost->buckets_count > 0);
    return &ghost->buckets[fingerprint & (ghost->buckets_count - 1)];
}

/* The slot that a fingerprint should take: its own, else a free one, else the oldest. */
static unsigned slot_for(const struct ghost *ghost, const struct ghost_bucket *bucket,
                         uint32_t fingerprint)
{
    unsigned best = 0;
    uint64_t best_age = 0;
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        if (bucket->fingerprints[i] == fingerprint)
            return i;
        const bool is_free = bucket->fingerprints[i] == 0;
        const uint64_t age =
            is_free ? UINT64_MAX : (uint64_t)(ghost->additions - bucket->births[i]);
        if (age > best_age) {
            best = i;
            best_age = age;
        }
    }
    return best;
}

static void put(const struct ghost *ghost, uint32_t fingerprint, uint32_t birth)
{
    struct ghost_bucket *bucket = bucket_of(ghost, fingerprint);
    const unsigned slot = slot_for(ghost, bucket, fingerprint);
    bucket->fingerprints[slot] = fingerprint;
    bucket->births[slot] = birth;
}

static void grow(struct ghost *ghost, uint32_t entries_max)
{
    struct ghost larger = *ghost;
    larger.buckets_count = ghost->buckets_count > 0 ? ghost->buckets_count : 1;
    while (larger.buckets_count < BUCKETS_MAX &&
           (uint64_t)larger.buckets_count * BUCKET_SLOTS < entries_max)
        larger.buckets_count *= 2;
    larger.buckets = calloc(larger.buckets_count, sizeof(*larger.buckets));
    if (larger.buckets == NULL)
        return; /* the smaller one forgets sooner */
    for (uint32_t i = 0; i < ghost->buckets_count; i++) {
        const struct ghost_bucket *bucket = &ghost->buckets[i];
        for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++) {
            if (bucket->fingerprints[slot] != 0)
                put(&larger, bucket->fingerprints[slot], bucket->births[slot]);
        }
    }
    free(ghost->buckets);
    *ghost = larger;
}

void ghost_add(struct ghost *ghost, uint32_t fingerprint, uint32_t entries_max)
{
    if (entries_max == 0)
        return;
    if ((uint64_t)ghost->buckets_count * BUCKET_SLOTS < entries_max)
        grow(ghost, entries_max);
    if (ghost->buckets_count == 0)
        return;
    ghost->additions++;
    put(ghost, nonzero(fingerprint), ghost->additions);
}

bool ghost_take(struct ghost *ghost, uint32_t fingerprint, uint32_t entries_max)
{
    if (ghost->buckets_count == 0)
        return false;
    struct ghost_bucket *bucket = bucket_of(ghost, nonzero(fingerprint));
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        if (bucket->fingerprints[i] != nonzero(fingerprint))
            continue;
        bucket->fingerprints[i] = 0;
        return ghost->additions - bucket->births[i] < entries_max;
    }
    return false;
}
