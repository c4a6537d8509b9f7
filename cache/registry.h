/*
 * registry.h - a table that only grows: items are added once, found without a lock, and stay until
 * the end. namespace.c and scope.c keep their items in one. Sized at creation, because names are
 * bounded by an option; so readers need neither an epoch nor a lock, and a hit costs one hash and
 * one compare. Threads: any. Adding takes the lock whose rank the owner gave.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "base/status.h"

struct registry;

struct registry_item { /* first member of what the owner keeps */
    uint64_t hash;     /* keyed: clients choose the names      */
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

bool registry_is_full(const struct registry *registry);
void registry_each(const struct registry *registry, registry_visit *visit, void *context);
