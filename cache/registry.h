/*
 * registry.h - a table of items that are found without a lock. namespace.c and scope.c keep theirs
 * in one. Sized at creation, because names are bounded by an option; so a hit costs one hash and
 * one compare. An item that is removed may still be in a reader's hands: the owner retires it
 * through an epoch, and where items are removed at all, finding and visiting happen inside one.
 * Threads: any. Adding and removing take the lock whose rank the owner gave.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "base/status.h"

struct registry;

struct registry_item {                    /* first member of what the owner keeps */
    uint64_t hash;                        /* keyed: clients choose the names      */
    _Atomic(struct registry_item *) next; /* the registry's own */
};

typedef bool registry_matches(const void *context, const struct registry_item *item);
typedef void registry_visit(void *context, struct registry_item *item);

enum status registry_create(uint32_t items_max, enum lock_rank rank,
                            struct registry **out_registry);
/* The items themselves are the owner's to free, by registry_each before. */
void registry_destroy(struct registry **registry);

struct registry_item *registry_find(const struct registry *registry, uint64_t hash,
                                    registry_matches *matches, const void *context);

/* Adds `item` unless one that matches is there. Returns the one that is in the table now: `item`,
 * or an earlier one, or NULL when the table is full. */
struct registry_item *registry_add(struct registry *registry, struct registry_item *item,
                                   registry_matches *matches, const void *context);

/* The item is in the table, and not found any more when this returns. */
void registry_remove(struct registry *registry, struct registry_item *item);

bool registry_is_full(const struct registry *registry);
void registry_each(const struct registry *registry, registry_visit *visit, void *context);
