/*
 * quota.c - a ring of ids. What has died or been replaced stays in it until the hand comes by, or
 * until the ring has doubled since it was last cleaned: so it holds at most about twice what lives.
 * Owns the ring. Threads: see quota.h.
 *
 * NOT HERE. How much a namespace holds and may hold (fill.c), the removal itself (storage/).
 */
#include "cache/quota.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/lock.h"

enum { RING_FIRST = 64, CLEAN_FIRST = 256 };

struct noted {
    struct digest id;
    uint64_t sequence;
    uint32_t hits; /* when it was queued */
};

struct quota {
    struct lock lock;
    struct noted *ring GUARDED; /* capacity is a power of two */
    size_t first GUARDED, count GUARDED, capacity GUARDED;
    size_t clean_at GUARDED; /* at so many the dead are taken out */
};

UNSHARED enum status quota_create(struct quota **out_quota)
{
    assert(out_quota != NULL);
    struct quota *quota = calloc(1, sizeof(*quota));
    if (quota == NULL)
        return STATUS_NO_MEMORY;
    quota->clean_at = CLEAN_FIRST;
    lock_init(&quota->lock, LOCK_RANK_QUOTA);
    *out_quota = quota;
    return STATUS_OK;
}

UNSHARED void quota_destroy(struct quota **quota)
{
    assert(quota != NULL);
    if (*quota == NULL)
        return;
    lock_deinit(&(*quota)->lock);
    free((*quota)->ring);
    free(*quota);
    *quota = NULL;
}

/* ---- the ring -------------------------------------------------------------------------------- */

static bool push(struct quota *quota, const struct noted *noted) REQUIRES(&quota->lock)
{
    if (quota->count == quota->capacity) {
        const size_t capacity = quota->capacity > 0 ? quota->capacity * 2 : RING_FIRST;
        struct noted *grown = calloc(capacity, sizeof(*grown));
        if (grown == NULL)
            return false;
        for (size_t i = 0; i < quota->count; i++)
            grown[i] = quota->ring[(quota->first + i) & (quota->capacity - 1)];
        free(quota->ring);
        quota->ring = grown;
        quota->first = 0;
        quota->capacity = capacity;
    }
    assert(quota->count < quota->capacity);
    quota->ring[(quota->first + quota->count++) & (quota->capacity - 1)] = *noted;
    return true;
}

static bool pop(struct quota *quota, struct noted *out_noted) REQUIRES(&quota->lock)
{
    if (quota->count == 0)
        return false;
    *out_noted = quota->ring[quota->first];
    quota->first = (quota->first + 1) & (quota->capacity - 1);
    quota->count--;
    return true;
}

/* Whether it is the entry that was noted, expired or not; how often it has been asked for, and
 * UINT32_MAX if it is pinned. */
static bool lives(struct store *store, const struct noted *noted, uint32_t *out_hits)
{
    struct store_hit found;
    *out_hits = 0;
    const enum store_found state = store_find(store, &noted->id, 0, STORE_PEEK, &found);
    if (state != STORE_FOUND)
        return false;
    const bool same = entry_sequence(found.entry) == noted->sequence;
    const bool is_pinned = (entry_marks(found.entry) & ENTRY_PINNED) != 0;
    *out_hits = is_pinned ? UINT32_MAX : found.hits_count;
    entry_release(found.entry);
    return same;
}

/* Once around. QUOTA ranks before STRIPE, so the store may be asked under it. */
static void clean(struct quota *quota, struct store *store) REQUIRES(&quota->lock)
{
    const size_t count = quota->count;
    for (size_t i = 0; i < count; i++) {
        struct noted noted;
        uint32_t hits = 0;
        const bool some = pop(quota, &noted);
        assert(some);
        if (lives(store, &noted, &hits)) {
            const bool fits = push(quota, &noted);
            assert(fits); /* one has just left */
        }
    }
    quota->clean_at = quota->count * 2 > CLEAN_FIRST ? quota->count * 2 : CLEAN_FIRST;
}

enum status quota_note(struct quota *quota, const struct digest *id, uint64_t sequence,
                       struct store *store)
{
    const struct noted noted = {.id = *id, .sequence = sequence};
    assert(sequence != 0);
    lock_acquire(&quota->lock);
    if (quota->count >= quota->clean_at)
        clean(quota, store);
    const bool fits = push(quota, &noted);
    lock_release(&quota->lock);
    return fits ? STATUS_OK : STATUS_NO_MEMORY;
}

/* A second round ends it: by then each has had its chance. Pinned ones stay, and if there are no
 * others the budget is passed. */
bool quota_victim(struct quota *quota, struct store *store, struct quota_victim *out_victim)
{
    bool found = false;
    lock_acquire(&quota->lock);
    for (size_t left = 2 * quota->count; left > 0 && !found; left--) {
        struct noted noted;
        uint32_t hits = 0;
        if (!pop(quota, &noted))
            break;
        if (!lives(store, &noted, &hits))
            continue;
        if (hits > noted.hits || hits == UINT32_MAX) {
            noted.hits = hits;
            const bool fits = push(quota, &noted);
            assert(fits); /* one has just left */
            continue;
        }
        *out_victim = (struct quota_victim){noted.id, noted.sequence};
        found = true;
    }
    lock_release(&quota->lock);
    return found;
}
