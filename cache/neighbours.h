/*
 * neighbours.h - the living entries around a vector, for verbs that only look (Search, Explain):
 * nothing is counted and nothing served. Inside cache/ only. Threads: compute, for a search may
 * take long; one at a time a list.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"
#include "trust/guard.h"

struct neighbour {
    struct entry *entry; /* a reference */
    float similarity;
    bool compatible; /* its compatibility is the request's */
    struct guard_signature signature;
};

enum { NEIGHBOURS_MAX = 100 };

struct neighbours { /* best first, each entry once */
    struct neighbour *items;
    size_t count, max; /* max: at most NEIGHBOURS_MAX */
    uint64_t scanned;
};

struct neighbour_search {
    struct partition_key where;
    const float *unit;
    uint32_t dimension;
    const uint8_t *compatibility; /* ENTRY_ID_BYTES */
    bool any_compatibility;
    bool exhaustive; /* by every row; any_compatibility always is */
    float min_similarity;
    int64_t now_ms;
};

/* Room for `max` in the arena. STATUS_NO_MEMORY. */
enum status neighbours_init(struct neighbours *list, size_t max, struct arena *arena);
/* Drops the references. */
void neighbours_deinit(struct neighbours *list);
/* Adds those of one scope. Rows of another dimension: none, and false. */
bool neighbours_add(struct cache *cache, const struct neighbour_search *search,
                    struct neighbours *list);
