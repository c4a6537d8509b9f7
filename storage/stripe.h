/*
 * stripe.h - one stripe of the table: a mutex, a map (buckets.c), an eviction rule at work
 * (evict.h), a sweeping hand (expiry.c), its share of the budgets and its counters, on cache lines
 * of its own. Keeps map, queues and sums in step. For table.c alone. Threads: whoever holds the
 * stripe's lock.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "storage/buckets.h"
#include "storage/evict.h"
#include "storage/expiry.h"
#include "storage/table.h"

enum { STRIPE_ALIGNMENT = 64, STRIPE_DEATHS_COUNT = STORE_PURGED + 1 };

struct stripe_share { /* of the budgets, and who goes when it is spent */
    uint64_t bytes_max;
    uint64_t entries_max;          /* 0 = no limit */
    const struct evict_rule *rule; /* NULL: evict_s3fifo */
};

/* Of a stripe's bytes and entries, how much pins may hold: so that there is always one to evict. */
enum { STRIPE_PINS_PART = 10 };

struct stripe {
    _Alignas(STRIPE_ALIGNMENT) struct lock lock;
    struct stripe_share share; /* immutable */
    struct buckets buckets GUARDED;
    struct evict *evict; /* the pointer is immutable, what it points to is guarded */
    struct hand hand GUARDED;
    uint64_t size_bytes GUARDED;                     /* the charges of its entries */
    uint64_t pins_bytes GUARDED, pins_count GUARDED; /* of those in no queue */
    uint64_t sets_count GUARDED;
    uint64_t deaths_count[STRIPE_DEATHS_COUNT] GUARDED; /* by enum store_death */
};

/* Memory must be zeroed. After a failure stripe_deinit is due as well. */
enum status stripe_init(struct stripe *stripe, const struct stripe_share *share,
                        const uint8_t hash_key[16]);
void stripe_deinit(struct stripe *stripe); /* releases its entries, reports nothing */

/* Would the entry fit, in the place of the old one if there is one? */
bool stripe_fits(const struct stripe *stripe, const struct entry *old_entry,
                 const struct entry *entry) REQUIRES(&stripe->lock);

/* Is there room to pin it, in the place of the old one if there is one? */
bool stripe_may_pin(const struct stripe *stripe, const struct entry *old_entry,
                    const struct entry *entry) REQUIRES(&stripe->lock);

/* Both need stripe_fits, and of an entry that is pinned stripe_may_pin. STATUS_NO_MEMORY: nothing
 * has changed. The caller acquires the reference that the stripe then has. */
enum status stripe_insert(struct stripe *stripe, uint64_t hash, struct entry *entry)
    REQUIRES(&stripe->lock);
/* The old entry is out of map and queues, and has to depart. */
enum status stripe_replace(struct stripe *stripe, uint64_t hash, struct entry *old_entry,
                           struct entry *new_entry) REQUIRES(&stripe->lock);

/* Whoever has to go by the rule, out of map and queues: it has to depart. There must be an entry.
 */
struct entry *stripe_evict(struct stripe *stripe) REQUIRES(&stripe->lock);

/* Books out an entry that is in map and queues no more; `departed` takes over the reference. */
void stripe_depart(struct stripe *stripe, struct entry *entry, enum store_death why,
                   struct departed *departed) REQUIRES(&stripe->lock);
/* Takes an entry out of map and queues, and books it out. */
void stripe_take_out(struct stripe *stripe, uint64_t hash, struct entry *entry,
                     enum store_death why, struct departed *departed) REQUIRES(&stripe->lock);

void stripe_add_stats(const struct stripe *stripe, struct store_stats *stats)
    REQUIRES(&stripe->lock);
