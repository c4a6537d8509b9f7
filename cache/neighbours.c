/*
 * neighbours.c - a scope's partition is searched inside an epoch; what it finds are digests, each
 * fetched from the store with a reference, uncounted, and passed over if its entry has died, was
 * replaced, or is incompatible where that matters.
 *
 * HOW MANY ROWS. An entry may have more rows than one while it is replaced, and some are dead by
 * the time they are fetched: twice as many rows as entries wanted, and 8 more.
 *
 * Owns nothing beyond the references of a list. Threads: see neighbours.h.
 */
#include "cache/neighbours.h"

#include <string.h>

#include "base/check.h"
#include "cache/freshness.h"
#include "cache/parts.h"

enum status neighbours_init(struct neighbours *list, size_t max, struct arena *arena)
{
    assert(max > 0);
    assert(max <= NEIGHBOURS_MAX);
    *list =
        (struct neighbours){.items = arena_calloc(arena, max, sizeof(list->items[0])), .max = max};
    if (list->items == NULL)
        list->max = 0;
    return list->items != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

void neighbours_deinit(struct neighbours *list)
{
    assert(list->count <= list->max);
    for (size_t i = 0; i < list->count; i++)
        entry_release(list->items[i].entry);
    list->count = 0;
}

static bool is_known(const struct neighbours *list, const struct digest *id)
{
    for (size_t i = 0; i < list->count; i++) {
        if (digest_equal(entry_digest(list->items[i].entry), id))
            return true;
    }
    return false;
}

/* Behind those that are as near; the last of a full list goes. Takes over the reference. */
static void insert(struct neighbours *list, const struct neighbour *neighbour)
{
    assert(neighbour->entry != NULL);
    size_t at = list->count;
    while (at > 0 && list->items[at - 1].similarity < neighbour->similarity)
        at--;
    if (at == list->max) {
        entry_release(neighbour->entry);
        return;
    }
    if (list->count == list->max)
        entry_release(list->items[--list->count].entry);
    memmove(&list->items[at + 1], &list->items[at], (list->count - at) * sizeof(list->items[0]));
    list->items[at] = *neighbour;
    list->count++;
    assert(list->count <= list->max);
}

/* Stale answers are the exact tier's. */
static bool is_within_ttl(const struct store_hit *found, int64_t now_ms)
{
    struct freshness freshness;
    freshness_read(found->entry, &freshness);
    const int64_t end_ms = freshness_end_ms(&freshness, found->expires_ms);
    return end_ms == 0 || end_ms > now_ms;
}

/* False: the row's entry may not stand for it any more, or is not asked for. */
static bool fetch(struct cache *cache, const struct neighbour_search *search,
                  const struct search_hit *hit, struct neighbour *out)
{
    struct store_hit found;
    if (store_find(cache->store, &hit->id, search->now_ms, STORE_PEEK, &found) != STORE_FOUND)
        return false;
    *out = (struct neighbour){.entry = found.entry, .similarity = hit->similarity};
    out->compatible =
        memcmp(entry_compatibility(found.entry), search->compatibility, ENTRY_ID_BYTES) == 0;
    memcpy(&out->signature, hit->side, sizeof(out->signature));
    if (entry_sequence(found.entry) <= hit->sequence && is_within_ttl(&found, search->now_ms) &&
        (search->any_compatibility || out->compatible))
        return true;
    entry_release(found.entry);
    return false;
}

static bool search_rows(struct cache *cache, const struct neighbour_search *asked,
                        struct search *search)
{
    epoch_enter(cache->epochs);
    const struct partition *partition = directory_find(cache->directory, &asked->where);
    const bool fits = partition == NULL || partition_dimension(partition) == search->dimension;
    if (partition != NULL && fits && (asked->any_compatibility || asked->exhaustive))
        partition_search_every(partition, asked->any_compatibility, search);
    else if (partition != NULL && fits)
        partition_search_unseen(partition, search);
    epoch_leave(cache->epochs);
    return fits;
}

bool neighbours_add(struct cache *cache, const struct neighbour_search *asked,
                    struct neighbours *list)
{
    assert(asked->unit != NULL);
    assert(list->max > 0);
    static_assert(sizeof(struct guard_signature) <= INDEX_SIDE_BYTES, "lies beside the vector");
    struct search search;
    const size_t wanted = 2 * list->max + 8;
    search.unit = asked->unit;
    search.dimension = asked->dimension;
    memcpy(&search.tag, asked->compatibility, sizeof(search.tag));
    search.now_ms = asked->now_ms;
    search.hits_max = wanted < SEARCH_HITS_MAX ? (uint32_t)wanted : SEARCH_HITS_MAX;
    search.hits_count = 0;
    search.rows_scanned = 0;
    const bool fits = search_rows(cache, asked, &search);
    list->scanned += search.rows_scanned;
    for (uint32_t i = 0; i < search.hits_count; i++) {
        struct neighbour neighbour;
        const struct search_hit *hit = &search.hits[i];
        if (hit->similarity < asked->min_similarity || is_known(list, &hit->id))
            continue;
        if (fetch(cache, asked, hit, &neighbour))
            insert(list, &neighbour);
    }
    return fits;
}
