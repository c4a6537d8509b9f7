/*
 * quota_order.h - in which order the entries of one namespace leave: the three rules of
 * `evict.policy`, over ids instead of entries. The table's own rules (storage/evict_*.c) are told
 * of every hit, under a stripe; a namespace lies across all stripes, and a hit may not wait for a
 * lock of its own. So a hit only counts in its entry, and is found there when the order comes to
 * it. Threads: one at a time, the caller holds what guards it (quota.c).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/status.h"
#include "cache/cache.h"
#include "storage/ghost.h"

struct noted { /* one entry that the order knows */
    struct digest id;
    uint64_t sequence;
    double score;   /* lru: when it was last used; lfu_aging: hits by weight; s3fifo: frequency */
    uint32_t hits;  /* of these it is known */
    uint32_t bytes; /* what it is charged   */
};

struct noted_now { /* what its entry says */
    int64_t used_ms;
    uint32_t hits, bytes;
};

/* False: it is gone, replaced, or never to be named; the order forgets it. */
typedef bool order_look(void *context, const struct noted *noted, struct noted_now *out_now);
struct order_eyes {
    order_look *look;
    void *context;
};

struct noted_list { /* a ring whose capacity is a power of two, or a heap, the first to go on top */
    struct noted *items;
    size_t first, count, capacity;
    uint64_t bytes;
};

struct order {                /* zeroed memory with a rule is an empty one */
    enum cache_eviction rule; /* not EVICTION_DEFAULT */
    struct noted_list small;  /* s3fifo */
    struct noted_list main;   /* s3fifo's other queue; everything of the other two */
    struct ghost ghost;
    double weight;        /* of a hit now; lfu_aging. 0 stands for 1 */
    uint64_t period_hits; /* of lfu_aging's period  */
};

void order_deinit(struct order *order);
size_t order_count(const struct order *order);

/* The youngest from now on. STATUS_NO_MEMORY: nothing has changed. */
enum status order_add(struct order *order, const struct noted *noted, const struct noted_now *now);
/* Names the one to go and forgets it; false: there is none. */
bool order_victim(struct order *order, const struct order_eyes *eyes, struct noted *out_noted);
/* Forgets what is gone. */
void order_clean(struct order *order, const struct order_eyes *eyes);
/* By another rule from now on, which sees in each entry what it was asked for till now.
 * STATUS_NO_MEMORY: nothing has changed. */
enum status order_change(struct order *order, enum cache_eviction rule,
                         const struct order_eyes *eyes);
