/*
 * stripe.c - one stripe: map, queues and sums, kept in step. An entry is in the map and in one
 * queue (a pin in none), or in neither; its charge counts from its insertion to its departure. NOT
 * HERE. Locking, and when what has to happen (table.c).
 */
#include "storage/stripe.h"

#include <assert.h>
#include <stddef.h>

#include "storage/entry_block.h"

static const struct evict_rule *rule_of(const struct stripe *stripe)
{
    return stripe->share.rule != NULL ? stripe->share.rule : &evict_s3fifo;
}

UNSHARED enum status stripe_init(struct stripe *stripe, const struct stripe_share *share,
                                 const uint8_t hash_key[16])
{
    assert(share->bytes_max > 0);
    lock_init(&stripe->lock, LOCK_RANK_STRIPE);
    hand_init(&stripe->hand);
    stripe->share = *share;
    const enum status status = buckets_init(&stripe->buckets, hash_key);
    if (status != STATUS_OK)
        return status;
    return rule_of(stripe)->create(&stripe->evict);
}

static void release_visited(void *context, struct entry *entry)
{
    (void)context;
    entry_release(entry);
}

/* The mirror of stripe_init; accepts a stripe that is only half made. */
UNSHARED void stripe_deinit(struct stripe *stripe)
{
    rule_of(stripe)->destroy(&stripe->evict);
    uint64_t position = 0;
    bool is_over = stripe->buckets.entries_count == 0;
    while (!is_over) {
        buckets_visit(&stripe->buckets, position, release_visited, NULL);
        position += buckets_width(&stripe->buckets, position);
        is_over = position == 0;
    }
    buckets_deinit(&stripe->buckets);
    lock_deinit(&stripe->lock);
}

bool stripe_fits(const struct stripe *stripe, const struct entry *old_entry,
                 const struct entry *entry)
{
    const struct stripe_share *share = &stripe->share;
    const uint64_t freed_bytes = old_entry != NULL ? entry_charge(old_entry) : 0;
    assert(stripe->size_bytes >= freed_bytes);
    if (stripe->size_bytes - freed_bytes + entry_charge(entry) > share->bytes_max)
        return false;
    return old_entry != NULL || share->entries_max == 0 ||
           stripe->buckets.entries_count < share->entries_max;
}

bool stripe_may_pin(const struct stripe *stripe, const struct entry *old_entry,
                    const struct entry *entry)
{
    const struct stripe_share *share = &stripe->share;
    const bool was_pinned = old_entry != NULL && old_entry->pinned;
    const uint64_t freed_bytes = was_pinned ? entry_charge(old_entry) : 0;
    assert(stripe->pins_bytes >= freed_bytes);
    if (stripe->pins_bytes - freed_bytes + entry_charge(entry) >
        share->bytes_max / STRIPE_PINS_PART)
        return false;
    return was_pinned || share->entries_max == 0 ||
           stripe->pins_count < share->entries_max / STRIPE_PINS_PART;
}

/* A pin is in no queue, so that no rule ever names it. */
static enum status enter_queue(struct stripe *stripe, struct entry *entry) REQUIRES(&stripe->lock)
{
    if (!entry->pinned)
        return stripe->evict->rule->inserted(stripe->evict, entry);
    stripe->pins_bytes += entry_charge(entry);
    stripe->pins_count++;
    return STATUS_OK;
}

static void leave_queue(struct stripe *stripe, struct entry *entry) REQUIRES(&stripe->lock)
{
    if (!entry->pinned) {
        stripe->evict->rule->removed(stripe->evict, entry);
        return;
    }
    assert(stripe->pins_bytes >= entry_charge(entry));
    assert(stripe->pins_count > 0);
    stripe->pins_bytes -= entry_charge(entry);
    stripe->pins_count--;
}

enum status stripe_insert(struct stripe *stripe, uint64_t hash, struct entry *entry)
{
    assert(stripe_fits(stripe, NULL, entry));
    assert(!entry->pinned || stripe_may_pin(stripe, NULL, entry));
    enum status status = buckets_insert(&stripe->buckets, hash, entry);
    if (status != STATUS_OK)
        return status;
    status = enter_queue(stripe, entry);
    if (status == STATUS_OK)
        stripe->size_bytes += entry_charge(entry);
    else
        buckets_remove(&stripe->buckets, hash, entry);
    return status;
}

enum status stripe_replace(struct stripe *stripe, uint64_t hash, struct entry *old_entry,
                           struct entry *new_entry)
{
    assert(stripe_fits(stripe, old_entry, new_entry));
    assert(!new_entry->pinned || stripe_may_pin(stripe, old_entry, new_entry));
    if (!old_entry->pinned && !new_entry->pinned) {
        stripe->evict->rule->replaced(stripe->evict, old_entry, new_entry);
    } else {
        const enum status status = enter_queue(stripe, new_entry);
        if (status != STATUS_OK)
            return status;
        leave_queue(stripe, old_entry);
    }
    buckets_replace(&stripe->buckets, hash, old_entry, new_entry);
    stripe->size_bytes += entry_charge(new_entry);
    return STATUS_OK;
}

struct entry *stripe_evict(struct stripe *stripe)
{
    struct entry *victim = stripe->evict->rule->victim(stripe->evict);
    assert(victim != NULL); /* an entry is at most an eighth of the share: there is one to go */
    const uint64_t hash = buckets_hash(stripe->buckets.hash_key, victim->digest.bytes);
    buckets_remove(&stripe->buckets, hash, victim);
    return victim;
}

void stripe_depart(struct stripe *stripe, struct entry *entry, enum store_death why,
                   struct departed *departed)
{
    assert(departed->count < TABLE_REMOVALS_PER_HOLD);
    assert(stripe->size_bytes >= entry_charge(entry));
    stripe->size_bytes -= entry_charge(entry);
    stripe->deaths_count[why]++;
    departed->items[departed->count].entry = entry;
    departed->items[departed->count].why = why;
    departed->count++;
}

void stripe_take_out(struct stripe *stripe, uint64_t hash, struct entry *entry,
                     enum store_death why, struct departed *departed)
{
    buckets_remove(&stripe->buckets, hash, entry);
    leave_queue(stripe, entry);
    stripe_depart(stripe, entry, why, departed);
}

void stripe_add_stats(const struct stripe *stripe, struct store_stats *stats)
{
    stats->entries += stripe->buckets.entries_count;
    stats->size_bytes += stripe->size_bytes;
    stats->bytes_max += stripe->share.bytes_max;
    stats->sets += stripe->sets_count;
    stats->evictions += stripe->deaths_count[STORE_EVICTED];
    stats->expirations += stripe->deaths_count[STORE_EXPIRED];
    stats->replacements += stripe->deaths_count[STORE_REPLACED];
    stats->deletions += stripe->deaths_count[STORE_DELETED] + stripe->deaths_count[STORE_PURGED];
}
