/*
 * registry.c - open addressing over atomic pointers, at most half full, never moved and never
 * shrunk. A slot is written once, under the lock, after its item is complete; a reader that sees
 * the pointer (acquire) sees the item (release). Owns the slots, not the items. Threads: see
 * registry.h.
 */
#include "cache/registry.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"

struct registry {
    uint32_t items_max;
    uint64_t mask;          /* slots - 1; constant                             */
    _Atomic uint32_t count; /* written under the lock                          */
    struct lock lock;       /* one adds at a time                              */
    _Atomic(struct registry_item *) slots[];
};

UNSHARED enum status registry_create(uint32_t items_max, enum lock_rank rank,
                                     struct registry **out_registry)
{
    assert(items_max > 0);
    assert(out_registry != NULL);
    uint64_t slots_count = 2;
    while (slots_count < (uint64_t)items_max * 2)
        slots_count *= 2;
    struct registry *registry =
        calloc(1, sizeof(*registry) + slots_count * sizeof(registry->slots[0]));
    if (registry == NULL)
        return STATUS_NO_MEMORY;
    assert((slots_count & (slots_count - 1)) == 0);
    assert(slots_count / 2 >= items_max); /* so that every probe ends */
    registry->items_max = items_max;
    registry->mask = slots_count - 1;
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

/* The slot that holds the match, or the free one where it would go. */
static uint64_t find_slot(const struct registry *registry, uint64_t hash, registry_matches *matches,
                          const void *context, struct registry_item **out_item)
{
    for (uint64_t at = hash & registry->mask;; at = (at + 1) & registry->mask) {
        struct registry_item *item =
            atomic_load_explicit(&registry->slots[at], memory_order_acquire);
        if (item == NULL || (item->hash == hash && matches(context, item))) {
            *out_item = item;
            return at;
        }
    }
}

struct registry_item *registry_find(const struct registry *registry, uint64_t hash,
                                    registry_matches *matches, const void *context)
{
    assert(matches != NULL);
    struct registry_item *item = NULL;
    (void)find_slot(registry, hash, matches, context, &item);
    return item;
}

struct registry_item *registry_add(struct registry *registry, struct registry_item *item,
                                   registry_matches *matches, const void *context)
{
    assert(item != NULL);
    struct registry_item *there = NULL;
    lock_acquire(&registry->lock);
    const uint64_t slot = find_slot(registry, item->hash, matches, context, &there);
    const uint32_t count = atomic_load_explicit(&registry->count, memory_order_relaxed);
    if (there == NULL && count < registry->items_max) {
        assert(atomic_load_explicit(&registry->slots[slot], memory_order_relaxed) == NULL);
        atomic_store_explicit(&registry->slots[slot], item, memory_order_release);
        atomic_store_explicit(&registry->count, count + 1, memory_order_relaxed);
        there = item;
    }
    lock_release(&registry->lock);
    assert(count <= registry->items_max);
    return there;
}

bool registry_is_full(const struct registry *registry)
{
    return atomic_load_explicit(&registry->count, memory_order_relaxed) >= registry->items_max;
}

void registry_each(const struct registry *registry, registry_visit *visit, void *context)
{
    assert(visit != NULL);
    for (uint64_t at = 0; at <= registry->mask; at++) {
        struct registry_item *item =
            atomic_load_explicit(&registry->slots[at], memory_order_acquire);
        if (item != NULL)
            visit(context, item);
    }
}
