/*
 * registry.c - buckets of linked items, never moved and never shrunk. A link is written under the
 * lock, after its item is complete; a reader that sees the pointer (acquire) sees the item
 * (release). A removed item keeps its own link, so a reader that stands on it goes on. Owns the
 * buckets, not the items. Threads: see registry.h.
 *
 * Open addressing was tried first: under names that come and go its marks of removed items grow
 * into one run, and only a copy of the whole table would end that.
 */
#include "cache/registry.h"

#include <stdlib.h>

#include "base/check.h"

typedef _Atomic(struct registry_item *) registry_link;

struct registry {
    uint32_t items_max;
    uint64_t mask;          /* buckets - 1; constant   */
    _Atomic uint32_t count; /* written under the lock  */
    struct lock lock;       /* one changes it at a time */
    registry_link buckets[];
};

UNSHARED enum status registry_create(uint32_t items_max, enum lock_rank rank,
                                     struct registry **out_registry)
{
    assert(items_max > 0);
    assert(out_registry != NULL);
    uint64_t buckets_count = 1;
    while (buckets_count < items_max)
        buckets_count *= 2;
    struct registry *registry =
        calloc(1, sizeof(*registry) + buckets_count * sizeof(registry->buckets[0]));
    if (registry == NULL)
        return STATUS_NO_MEMORY;
    assert((buckets_count & (buckets_count - 1)) == 0);
    registry->items_max = items_max;
    registry->mask = buckets_count - 1;
    lock_init(&registry->lock, rank);
    *out_registry = registry;
    return STATUS_OK;
}

UNSHARED void registry_destroy(struct registry **registry)
{
    struct registry *doomed = *registry;
    if (doomed == NULL)
        return;
    *registry = NULL;
    lock_deinit(&doomed->lock);
    free(doomed);
}

struct registry_item *registry_find(const struct registry *registry, uint64_t hash,
                                    registry_matches *matches, const void *context)
{
    assert(matches != NULL);
    struct registry_item *item =
        atomic_load_explicit(&registry->buckets[hash & registry->mask], memory_order_acquire);
    while (item != NULL && (item->hash != hash || !matches(context, item)))
        item = atomic_load_explicit(&item->next, memory_order_acquire);
    return item;
}

struct registry_item *registry_add(struct registry *registry, struct registry_item *item,
                                   registry_matches *matches, const void *context)
{
    assert(item != NULL);
    registry_link *bucket = &registry->buckets[item->hash & registry->mask];
    lock_acquire(&registry->lock);
    struct registry_item *there = registry_find(registry, item->hash, matches, context);
    const uint32_t count = atomic_load_explicit(&registry->count, memory_order_relaxed);
    if (there == NULL && count < registry->items_max) {
        struct registry_item *first = atomic_load_explicit(bucket, memory_order_relaxed);
        atomic_store_explicit(&item->next, first, memory_order_relaxed);
        atomic_store_explicit(bucket, item, memory_order_release);
        atomic_store_explicit(&registry->count, count + 1, memory_order_relaxed);
        there = item;
    }
    lock_release(&registry->lock);
    assert(count <= registry->items_max);
    return there;
}

void registry_remove(struct registry *registry, struct registry_item *item)
{
    assert(item != NULL);
    registry_link *link = &registry->buckets[item->hash & registry->mask];
    lock_acquire(&registry->lock);
    struct registry_item *at = atomic_load_explicit(link, memory_order_relaxed);
    while (at != item) {
        assert(at != NULL); /* it is in the table */
        link = &at->next;
        at = atomic_load_explicit(link, memory_order_relaxed);
    }
    atomic_store_explicit(link, atomic_load_explicit(&item->next, memory_order_relaxed),
                          memory_order_release);
    const uint32_t count = atomic_load_explicit(&registry->count, memory_order_relaxed);
    assert(count > 0);
    atomic_store_explicit(&registry->count, count - 1, memory_order_relaxed);
    lock_release(&registry->lock);
}

bool registry_is_full(const struct registry *registry)
{
    return atomic_load_explicit(&registry->count, memory_order_relaxed) >= registry->items_max;
}

/* The link is read before the visit: the owner may free the item in it. */
void registry_each(const struct registry *registry, registry_visit *visit, void *context)
{
    assert(visit != NULL);
    for (uint64_t i = 0; i <= registry->mask; i++) {
        struct registry_item *item =
            atomic_load_explicit(&registry->buckets[i], memory_order_acquire);
        while (item != NULL) {
            struct registry_item *next = atomic_load_explicit(&item->next, memory_order_acquire);
            visit(context, item);
            item = next;
        }
    }
}
